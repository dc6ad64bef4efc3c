// What one Broker thread can do without its sockets: a frame comes as bytes, and what it leads to leaves as bytes. And
// what it remembers of many channels.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdint>
#include <string>
#include <vector>

#include "broker/broker.hpp"
#include "weft/link_session.hpp"

namespace {

using namespace weft;

struct Counted final : Broker::Outbox {
    void send(LinkId, std::string_view frame) override {
        ++frames;
        bytes += frame.size();
    }
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
};

constexpr Instant kNow{std::chrono::seconds(1000)};
constexpr WallTime kWall{std::chrono::seconds(1'700'000'000)};

struct Node {
    explicit Node(BrokerSettings settings = {})
        : broker(
              std::move(settings), [this] { return ++random; }, out) {}
    void give(LinkId link, const std::string& batch) {
        const bool parsed = parser.parse(batch);
        for (std::size_t i = 0; parsed && i < parser.frames(); ++i) {
            broker.on_frame(link, *parser.frame(i), kNow, kWall);
        }
    }

    std::uint64_t random = 1;
    Counted out;
    Broker broker;
    BatchParser parser;
};

/// As it comes over a link, alone in its batch.
std::string batch_of(const v1::Frame& frame) {
    BatchQueue queue;
    std::string batch;
    queue.push(frame.SerializeAsString());
    queue.pop(batch, 1, 0);
    return batch;
}

std::string subscribe(const std::string& channel) {
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(channel);
    return batch_of(frame);
}

std::string publish(const std::string& channel, std::size_t size) {
    v1::Frame frame;
    frame.mutable_publish()->set_request(1);
    frame.mutable_publish()->set_channel(channel);
    frame.mutable_publish()->set_data('"' + std::string(size - 2, 'x') + '"');
    frame.mutable_publish()->mutable_publisher()->set_user("ada");
    frame.mutable_publish()->mutable_publisher()->set_client_id(1);
    return batch_of(frame);
}

void use_rules(Broker& broker, std::uint32_t count) {
    v1::ChannelRules rules;
    rules.set_generation(1);
    v1::ChannelRule& rule = *rules.add_rules();
    rule.set_pattern("**");
    rule.mutable_history()->set_count(count);
    rule.mutable_history()->set_age_ms(3'600'000);
    broker.on_rules(rules);
}

/// Arguments: workers that want each channel, channels, entries of history. 128 bytes of data.
void broker_publish(benchmark::State& state) {
    BrokerSettings settings;
    settings.node = "bench";
    settings.fill_wait = {};
    settings.gather_wait = {};
    Node node(settings);
    if (state.range(2) > 0) use_rules(node.broker, static_cast<std::uint32_t>(state.range(2)));
    for (std::int64_t worker = 1; worker <= state.range(0); ++worker) {
        node.broker.on_link_up(static_cast<LinkId>(worker), LinkRole::worker, "worker", kNow);
    }
    node.broker.on_tick(kNow);
    std::vector<std::string> publishes;
    for (std::int64_t i = 0; i < state.range(1); ++i) {
        const std::string channel = "chat:" + std::to_string(i * 7919);
        for (std::int64_t worker = 1; worker <= state.range(0); ++worker) {
            node.give(static_cast<LinkId>(worker), subscribe(channel));
        }
        publishes.push_back(publish(channel, 128));
    }
    node.out = Counted();
    std::size_t next = 0;
    for (auto _ : state) node.give(1, publishes[next = next + 1 < publishes.size() ? next + 1 : 0]);
    if (node.out.frames < static_cast<std::uint64_t>(state.iterations() * (state.range(0) + 1))) {
        state.SkipWithError("publications did not come to all workers");
    }
    state.counters["frames_in"] =
        benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
    state.counters["frames_out"] =
        benchmark::Counter(static_cast<double>(node.out.frames), benchmark::Counter::kIsRate);
}
BENCHMARK(broker_publish)
    ->ArgNames({"workers", "channels", "history"})
    ->Args({1, 1, 0})
    ->Args({4, 1, 0})
    ->Args({1, 1000, 0})
    ->Args({1, 200'000, 0})
    ->Args({1, 1, 100})
    ->Args({1, 1000, 100});

/// 200,000 channels of five entries each, 100 bytes of data: bytes of the heap for each.
void broker_memory(benchmark::State& state) {
    constexpr int kChannels = 200'000, kEntries = 5;
    const auto heap = [] { return static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd); };
    for (auto _ : state) {
        BrokerSettings settings;
        settings.node = "bench";
        settings.fill_wait = {};
        settings.gather_wait = {};
        settings.history_bytes = std::size_t{2} << 30;
        Node node(settings);
        use_rules(node.broker, kEntries);
        node.broker.on_link_up(1, LinkRole::worker, "worker", kNow);
        node.broker.on_tick(kNow);
        const double before = heap();
        for (int i = 0; i < kChannels; ++i) node.give(1, subscribe("chat:" + std::to_string(i)));
        const double channels = heap();
        for (int n = 0; n < kEntries; ++n) {
            for (int i = 0; i < kChannels; ++i) node.give(1, publish("chat:" + std::to_string(i), 100));
        }
        if (node.broker.counts().histories != kChannels) state.SkipWithError("a history is missing");
        state.counters["bytes_a_channel"] = (channels - before) / kChannels;
        state.counters["bytes_an_entry"] = (heap() - channels) / kChannels / kEntries;
        state.counters["bytes_counted"] =
            static_cast<double>(node.broker.counts().history_bytes) / kChannels / kEntries;
    }
}
BENCHMARK(broker_memory)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
