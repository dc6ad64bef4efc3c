// weftctl channels, nodes, top: what the mesh is doing.
#include "weft/survey.hpp"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <thread>

#include "codec/survey_json.hpp"
#include "interrupt.hpp"
#include "json_line.hpp"
#include "query.hpp"
#include "weft/channel.hpp"

namespace weft {

namespace {

constexpr std::uint32_t kPage = 1000;  // channels

/// What all shards answer, put together.
v1::Frame ask_shards(const Sidecar::Options& sidecar, const v1::Frame& question) {
    v1::Frame all;
    for (const v1::Frame& answer : Sidecar::ask_all(sidecar, question)) merge_page(all, answer, kPage);
    return all;
}

struct ChannelsOptions {
    Sidecar::Options sidecar;
    std::string pattern;
    bool json = false;
};

void list_channels(const ChannelsOptions& options) {
    if (!options.pattern.empty()) {
        if (const auto pattern = ChannelPattern::parse(options.pattern); !pattern) {
            throw UsageError("pattern " + options.pattern + ": " + pattern.error());
        }
    }
    for (std::string after;;) {
        v1::Frame frame;
        v1::ReadChannels& read = *frame.mutable_read_channels();
        read.set_request(1);
        read.set_pattern(options.pattern);
        read.set_after(after);
        read.set_limit(kPage);
        const v1::Frame answer = ask_shards(options.sidecar, frame);
        const v1::ChannelsPage& page = answer.channels_page();
        for (const auto& entry : page.channels()) {
            if (options.json) {
                std::cout
                    << JsonLine().text("channel", entry.channel()).number("subscribers", entry.subscribers()).str();
            } else {
                std::cout << entry.channel() << '\t' << entry.subscribers();
            }
            std::cout << '\n';
        }
        for (const std::string& node : page.missing()) {
            std::cerr << "weftctl: node " << node << " did not answer: its subscribers are not counted\n";
        }
        after = page.horizon();
        if (after.empty()) return;
    }
}

struct NodesOptions {
    Sidecar::Options sidecar;
    bool json = false;
};

v1::NodesPage read_nodes(const Sidecar::Options& sidecar) {
    v1::Frame frame;
    frame.mutable_read_nodes()->set_request(1);
    return ask_shards(sidecar, frame).nodes_page();
}

void list_nodes(const NodesOptions& options) {
    if (!options.json) {
        std::cout << "node\tup\tsoftware\tuptime\tworkers\tpeers\tconnections\tchannels\thistory_bytes\n";
    }
    const v1::NodesPage page = read_nodes(options.sidecar);
    for (const v1::NodeInfo& node : page.nodes()) {
        if (options.json) {
            std::string line;
            append_object(line, [&](ObjectWriter& out) { write_node(out, node); });
            std::cout << line << '\n';
        } else if (node.up()) {
            std::cout << node.node() << "\tyes\t" << node.software() << '\t' << node.uptime_ms() / 1000 << "s\t"
                      << node.workers() << '\t' << node.peers() << '\t' << node.connections() << '\t' << node.channels()
                      << '\t' << node.history_bytes() << '\n';
        } else {
            std::cout << node.node() << "\tno\n";
        }
    }
}

struct TopOptions {
    Sidecar::Options sidecar;
    double interval = 1;  // seconds
    std::uint64_t count = 0;
    bool json = false;
};

/// What has happened on a node since the look before, by the second.
struct Rates {
    double published, delivered;
};

class Top {
public:
    explicit Top(const TopOptions& options) : options_(options) {}

    void run() {
        const auto& stopped = catch_interrupts();
        for (std::uint64_t looks = 0; stopped == 0; ++looks) {
            const v1::NodesPage page = read_nodes(options_.sidecar);
            if (looks > 0) show(page);
            if (options_.count != 0 && looks == options_.count) return;
            for (const v1::NodeInfo& node : page.nodes()) before_[node.node()] = node;
            const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(options_.interval);
            while (stopped == 0 && std::chrono::steady_clock::now() < end) {
                std::this_thread::sleep_for(std::chrono::milliseconds(50));
            }
        }
    }

private:
    [[nodiscard]] Rates rates_of(const v1::NodeInfo& node) const {
        const auto known = before_.find(node.node());
        if (known == before_.end() || known->second.uptime_ms() >= node.uptime_ms()) return {};  // it was restarted
        const double seconds = static_cast<double>(node.uptime_ms() - known->second.uptime_ms()) / 1000;
        return {static_cast<double>(node.published() - known->second.published()) / seconds,
                static_cast<double>(node.delivered() - known->second.delivered()) / seconds};
    }

    void show(const v1::NodesPage& page) const {
        if (!options_.json) {
            std::printf("%s%-20s %4s %11s %9s %13s %11s %11s %10s\n",
                        ::isatty(STDOUT_FILENO) != 0 ? "\x1b[H\x1b[J" : "", "NODE", "UP", "CONNECTIONS", "CHANNELS",
                        "SUBSCRIPTIONS", "PUBLISHED/s", "DELIVERED/s", "HISTORY kB");
        }
        for (const v1::NodeInfo& node : page.nodes()) {
            const Rates rates = rates_of(node);
            if (options_.json) {
                std::puts(JsonLine()
                              .text("node", node.node())
                              .boolean("up", node.up())
                              .number("connections", node.connections())
                              .number("channels", node.channels())
                              .number("subscriptions", node.subscriptions())
                              .json("published_per_second", std::to_string(rates.published))
                              .json("delivered_per_second", std::to_string(rates.delivered))
                              .number("history_bytes", node.history_bytes())
                              .str()
                              .c_str());
            } else {
                std::printf("%-20s %4s %11llu %9llu %13llu %11.1f %11.1f %10llu\n", node.node().c_str(),
                            node.up() ? "yes" : "no", static_cast<unsigned long long>(node.connections()),
                            static_cast<unsigned long long>(node.channels()),
                            static_cast<unsigned long long>(node.subscriptions()), rates.published, rates.delivered,
                            static_cast<unsigned long long>(node.history_bytes() / 1024));
            }
        }
        std::fflush(stdout);
    }

    const TopOptions& options_;
    std::map<std::string, v1::NodeInfo> before_;
};

}  // namespace

void add_channels_command(CLI::App& app) {
    add_query<ChannelsOptions>(
        app, "channels", "List channels that have subscribers, and how many",
        [](CLI::App& command, ChannelsOptions& options) {
            command.add_option("pattern", options.pattern, "Only those that match, such as chat:*");
        },
        list_channels);
}

void add_nodes_command(CLI::App& app) {
    add_query<NodesOptions>(
        app, "nodes", "List the nodes of the mesh, and what each holds", [](CLI::App&, NodesOptions&) {}, list_nodes);
}

void add_top_command(CLI::App& app) {
    add_query<TopOptions>(
        app, "top", "Show what the nodes do, again and again, until interrupted",
        [](CLI::App& command, TopOptions& options) {
            command.add_option("--interval", options.interval, "Seconds between two looks")
                ->check(CLI::Range(0.1, 3600.0))
                ->capture_default_str();
            command.add_option("--count", options.count, "End after so many looks");
        },
        [](const TopOptions& options) { Top(options).run(); });
}

}  // namespace weft
