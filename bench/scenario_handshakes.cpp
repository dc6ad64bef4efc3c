// Connections opened and reset as fast as the server lets: what a reconnect storm costs.
#include <cstdint>
#include <cstdio>

#include "clock.hpp"
#include "cpu_meter.hpp"
#include "histogram.hpp"
#include "scenario.hpp"

namespace weft::bench {
namespace {

class Handshakes final : public Swarm::Listener {
public:
    Handshakes(const Options& options, const Dialect& dialect)
        : options_(options), swarm_(options.address, options.tls, dialect, *this) {}

    JsonObject run();

    void on_delivery(Connection&, const Stamp&, std::uint64_t) override {}
    void on_upgraded(Connection& connection) override {
        if (!options_.until_ready) finish(connection);
    }
    void on_ready(Connection& connection) override {
        if (options_.until_ready) finish(connection);
    }
    void on_lost(Connection& connection, std::string_view why) override {
        ++failures_;
        why_ = why;
        swarm_.close(connection);
    }

private:
    static constexpr std::uint64_t kTolerated = 100;  // failures before it is no measurement any more

    void churn(double seconds);
    void finish(Connection& connection) {
        if (measuring_) latency_.record(now_ns() - connection.opened_at);
        swarm_.close(connection);
    }

    const Options& options_;
    Swarm swarm_;
    Histogram latency_;
    bool measuring_ = false;
    std::uint64_t failures_ = 0;
    std::string why_;
};

void Handshakes::churn(double seconds) {
    const std::uint64_t until = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
    while (now_ns() < until) {
        while (swarm_.opening() < options_.concurrency) swarm_.open(Role::subscriber, 0);
        swarm_.turn(10 * kMillisecond);
        if (failures_ > kTolerated) throw ScenarioError("too many handshakes failed: " + why_);
    }
}

JsonObject Handshakes::run() {
    CpuMeter cpu(options_.servers);
    churn(options_.warmup);
    measuring_ = true;
    cpu.start();
    const std::uint64_t began = now_ns();
    churn(options_.seconds);
    const double seconds = static_cast<double>(now_ns() - began) / 1e9;
    cpu.stop();

    const double rate = static_cast<double>(latency_.count()) / seconds;
    const double p50 = static_cast<double>(latency_.at(0.5)) / 1e3;
    const double p99 = static_cast<double>(latency_.at(0.99)) / 1e3;
    std::fprintf(
        stderr, "%s: %.0f handshakes/s, p50 %.0f us, p99 %.0f us, server CPU %.0f %%, load CPU %.0f %%, failures %ju\n",
        options_.label.c_str(), rate, p50, p99, 100 * cpu.server_seconds() / seconds,
        100 * cpu.load_seconds() / seconds, std::uintmax_t{failures_});
    JsonObject result;
    result.add("until", options_.until_ready ? "ready" : "upgraded")
        .add("concurrency", options_.concurrency)
        .add("seconds", seconds)
        .add("handshakes_per_second", rate)
        .add("handshakes_per_server_cpu_second", cpu.server_seconds() > 0 ? rate * seconds / cpu.server_seconds() : 0.0)
        .add("latency_p50_us", p50)
        .add("latency_p99_us", p99);
    cpu.add_to(result, seconds);
    result.add("failures", failures_).add("clean", failures_ == 0);
    return result;
}

}  // namespace

JsonObject run_handshakes(const Options& options, const Dialect& dialect) {
    return Handshakes(options, dialect).run();
}

}  // namespace weft::bench
