// What limits cost a client's message: a connection's own rates, and a rate over all workers.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "limit/shared_rates.hpp"
#include "limit/traffic_bucket.hpp"

namespace {

using namespace weft;

constexpr Rate kRate{1e5, 1'000'000};

void rate_of_a_connection(benchmark::State& state) {
    TrafficBucket bucket;
    Instant now{std::chrono::seconds(1)};
    for (auto _ : state) {
        now += std::chrono::milliseconds(1);
        benchmark::DoNotOptimize(bucket.take(kRate, {1e9, 1 << 20}, 128, now));
    }
}
BENCHMARK(rate_of_a_connection);

/// By how many users take turns: few are in the cache, many are not.
void rate_of_a_user(benchmark::State& state) {
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    const auto memory = std::make_unique<Line[]>(std::size_t{1} << 18);  // 16 MiB
    SharedRates* const rates = SharedRates::make({memory[0].bytes, std::size_t{1} << 24}, {1, 2});
    std::vector<std::string> users;
    for (std::int64_t i = 0; i < state.range(0); ++i) users.push_back("user-" + std::to_string(i * 7919));
    Instant now{std::chrono::seconds(1)};
    std::size_t next = 0;
    for (auto _ : state) {
        now += std::chrono::milliseconds(1);
        const std::string& user = users[next = (next + 1) % users.size()];
        benchmark::DoNotOptimize(rates->take(rates->key(SharedRates::Kind::user, user), kRate, now));
    }
}
BENCHMARK(rate_of_a_user)->Arg(1)->Arg(1'000)->Arg(100'000);

}  // namespace
