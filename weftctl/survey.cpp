// weftctl channels, nodes, top: what the mesh is doing.
#include "weft/survey.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <thread>

#include "command.hpp"
#include "json_line.hpp"
#include "sidecar.hpp"
#include "weft/channel.hpp"

namespace weft {

namespace {

constexpr std::uint32_t kPage = 1000;  // channels

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
        std::vector<v1::ChannelsPage> pages;
        for (v1::Frame& answer : Sidecar::ask_all(options.sidecar, frame)) {
            pages.push_back(std::move(*answer.mutable_channels_page()));
        }
        const v1::ChannelsPage page = merge_channels(pages, kPage);
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
    std::vector<v1::NodesPage> pages;
    for (v1::Frame& answer : Sidecar::ask_all(sidecar, frame)) {
        pages.push_back(std::move(*answer.mutable_nodes_page()));
    }
    return merge_nodes(pages);
}

void list_nodes(const NodesOptions& options) {
    if (!options.json) {
        std::cout << "node\tup\tsoftware\tuptime\tworkers\tpeers\tconnections\tchannels\thistory_bytes\n";
    }
    for (const v1::NodeInfo& node : read_nodes(options.sidecar).nodes()) {
        if (options.json) {
            JsonLine line;
            line.text("node", node.node()).boolean("up", node.up());
            if (node.up()) {
                line.text("software", node.software())
                    .number("uptime_ms", node.uptime_ms())
                    .number("shards", node.shards())
                    .number("workers", node.workers())
                    .number("peers", node.peers())
                    .number("connections", node.connections())
                    .number("subscriptions", node.subscriptions())
                    .number("channels", node.channels())
                    .number("published", node.published())
                    .number("delivered", node.delivered())
                    .number("history_bytes", node.history_bytes());
            }
            std::cout << line.str() << '\n';
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

volatile std::sig_atomic_t stopped = 0;

/// What has happened on a node since the look before, by the second.
struct Rates {
    double published, delivered;
};

class Top {
public:
    explicit Top(const TopOptions& options) : options_(options) {}

    void run() {
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

void run_top(const TopOptions& options) {
    struct sigaction action {};
    action.sa_handler = [](int) { stopped = 1; };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    Top(options).run();
}

}  // namespace

void add_channels_command(CLI::App& app) {
    auto options = std::make_shared<ChannelsOptions>();
    CLI::App& command = *app.add_subcommand("channels", "List channels that have subscribers, and how many");
    command.add_option("pattern", options->pattern, "Only those that match, such as chat:*");
    command.add_flag("--json", options->json, "Print JSON, an object a line");
    Sidecar::add_options(command, options->sidecar);
    command.callback([options] { list_channels(*options); });
}

void add_nodes_command(CLI::App& app) {
    auto options = std::make_shared<NodesOptions>();
    CLI::App& command = *app.add_subcommand("nodes", "List the nodes of the mesh, and what each holds");
    command.add_flag("--json", options->json, "Print JSON, an object a line");
    Sidecar::add_options(command, options->sidecar);
    command.callback([options] { list_nodes(*options); });
}

void add_top_command(CLI::App& app) {
    auto options = std::make_shared<TopOptions>();
    CLI::App& command = *app.add_subcommand("top", "Show what the nodes do, again and again, until interrupted");
    command.add_option("--interval", options->interval, "Seconds between two looks")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    command.add_option("--count", options->count, "End after so many looks");
    command.add_flag("--json", options->json, "Print JSON, an object a line");
    Sidecar::add_options(command, options->sidecar);
    command.callback([options] { run_top(*options); });
}

}  // namespace weft
