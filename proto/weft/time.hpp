// Time as the pure code sees it: always a parameter, never read from a clock.
#pragma once

#include <chrono>

namespace weft {

/// Monotonic time, for intervals and deadlines. The epoch is arbitrary but the same within a process.
using Instant = std::chrono::time_point<std::chrono::steady_clock, std::chrono::milliseconds>;

/// Unix time, for what people and other hosts read.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

}  // namespace weft
