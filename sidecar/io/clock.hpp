// The clocks and the randomness that the pure parts are handed.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "weft/time.hpp"

namespace weft {

inline Instant monotonic_now() {
    return std::chrono::time_point_cast<Instant::duration>(std::chrono::steady_clock::now());
}

inline WallTime wall_now() {
    return std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now());
}

/// 64 bits from the kernel.
inline std::uint64_t random_bits() {
    static thread_local std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace weft
