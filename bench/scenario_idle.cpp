// What a connection that does nothing costs: the growth of the servers' memory (PSS) from none to N of them.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "clock.hpp"
#include "process_stats.hpp"
#include "scenario.hpp"

namespace weft::bench {
namespace {

class Idle final : public Swarm::Listener {
public:
    Idle(const Options& options, const Dialect& dialect)
        : options_(options), dialect_(dialect), swarm_(options.address, options.tls, dialect, *this) {}

    JsonObject run();

    void on_delivery(Connection& connection, const Stamp& stamp, std::uint64_t) override {
        if (stamp.publisher == kProbe) connection.probed = true;
    }
    void on_lost(Connection&, std::string_view why) override { lost_ = why; }

private:
    static constexpr std::size_t kWarmup = 32;
    static constexpr std::uint32_t kPublishers = 1000;

    // Memory of each named server, as many as options_.servers.
    [[nodiscard]] std::vector<double> settled_memory();
    void open(std::size_t from, std::size_t to);
    void touch_all();
    void touch(std::uint32_t from, std::uint32_t to);

    const Options& options_;
    const Dialect& dialect_;
    Swarm swarm_;
    std::string lost_;
};

void Idle::open(std::size_t from, std::size_t to) {
    open_all(
        swarm_, options_, Role::subscriber, to - from,
        [&](std::size_t i) { return static_cast<std::uint32_t>((from + i) % options_.channels); }, lost_);
}

std::vector<double> Idle::settled_memory() {
    const auto measure = [&] {
        std::vector<double> bytes;
        for (const Server& server : options_.servers) {
            bytes.push_back(static_cast<double>(cost_of(with_descendants({server.pid})).pss_bytes));
        }
        return bytes;
    };
    const auto sum = [](const std::vector<double>& bytes) {
        double total = 0;
        for (const double b : bytes) total += b;
        return total;
    };
    std::vector<double> last = measure();
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t until = now_ns() + 300 * kMillisecond;
        for (std::uint64_t now = now_ns(); now < until; now = now_ns()) swarm_.turn(until - now);
        std::vector<double> next = measure();
        const bool settled = std::abs(sum(next) - sum(last)) < 16384;
        last = std::move(next);
        if (settled) break;
    }
    return last;
}

// One publication to each channel, so that everybody's write path has run once. Publishers that are bound to a channel
// come in batches: one for each of 10,000 channels at once would take all the files that a process may open.
void Idle::touch_all() {
    const std::uint32_t batch = dialect_.publisher_per_channel() ? kPublishers : options_.channels;
    for (std::uint32_t from = 0; from < options_.channels; from += batch) {
        touch(from, std::min(from + batch, options_.channels));
    }
}

void Idle::touch(std::uint32_t from, std::uint32_t to) {
    std::vector<Connection*> subscribers;
    for (const auto& connection : swarm_.connections()) {
        if (connection->channel >= from && connection->channel < to) subscribers.push_back(connection.get());
    }
    const std::uint32_t count = dialect_.publisher_per_channel() ? to - from : 1;
    open_all(
        swarm_, options_, Role::publisher, count, [&](std::size_t i) { return from + static_cast<std::uint32_t>(i); },
        lost_);
    std::vector<Connection*> publishers(count);  // of channel c: c % count, which batches of one size keep distinct
    for (const auto& connection : swarm_.connections()) {
        if (connection->role == Role::publisher) publishers[connection->channel % count] = connection.get();
    }
    probe_until_all_hear(swarm_, subscribers, publishers, options_.payload);
    for (Connection* publisher : publishers) swarm_.close(*publisher);
}

JsonObject Idle::run() {
    if (options_.servers.empty()) throw ScenarioError("idle needs --server NAME=PID");
    // The first connections make a server load and build what it keeps for ever; that is not for the others to pay.
    open(0, kWarmup);
    while (!swarm_.connections().empty()) swarm_.close(*swarm_.connections().back());

    const std::size_t count = options_.connections;
    const auto none = settled_memory();
    open(0, count / 2);
    const auto half = settled_memory();
    open(count / 2, count);
    const auto all = settled_memory();
    touch_all();
    const auto touched = settled_memory();
    if (!lost_.empty()) throw ScenarioError("a connection was lost: " + lost_);

    JsonObject result;
    result.add("connections", options_.connections).add("channels", options_.channels);
    double total = 0;
    double second_half = 0;
    double after_traffic = 0;
    const auto connections = static_cast<double>(count);
    for (std::size_t i = 0; i < none.size(); ++i) {
        total += (all[i] - none[i]) / connections;
        second_half += (all[i] - half[i]) / (connections - static_cast<double>(count / 2));
        after_traffic += (touched[i] - none[i]) / connections;
        result.add(options_.servers[i].name + "_bytes_per_connection", (all[i] - none[i]) / connections);
        result.add(options_.servers[i].name + "_bytes_at_start", none[i]);
    }
    result.add("bytes_per_connection", total)
        .add("bytes_per_connection_second_half", second_half)
        .add("bytes_per_connection_after_traffic", after_traffic)
        .add("clean", true);
    std::fprintf(
        stderr, "%s: %.0f bytes a connection over %zu (%.0f over the second half, %.0f after one publication to all)\n",
        options_.label.c_str(), total, count, second_half, after_traffic);
    return result;
}

}  // namespace

JsonObject run_idle(const Options& options, const Dialect& dialect) {
    return Idle(options, dialect).run();
}

}  // namespace weft::bench
