// How long calls took, counted in buckets as Prometheus wants them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace weft {

struct Latency {
    static constexpr std::array<std::uint32_t, 13> kBounds = {1,   2,   5,    10,   25,   50,   100,
                                                              250, 500, 1000, 2500, 5000, 10000};  // milliseconds

    std::array<std::uint64_t, kBounds.size() + 1> counts{};  // not cumulative; the last is for those beyond
    std::uint64_t sum_ms = 0;

    void add(std::chrono::milliseconds took) noexcept {
        std::size_t bucket = 0;
        while (bucket < kBounds.size() && took.count() > kBounds[bucket]) ++bucket;
        ++counts[bucket];
        sum_ms += static_cast<std::uint64_t>(took.count());
    }
};

}  // namespace weft
