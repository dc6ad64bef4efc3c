// The one clock of the load generator. Sender and receiver are the same process, so monotonic stamps compare.
#pragma once

#include <cstdint>
#include <ctime>

namespace weft::bench {

/// CLOCK_MONOTONIC in nanoseconds.
inline std::uint64_t now_ns() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(t.tv_nsec);
}

inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

}  // namespace weft::bench
