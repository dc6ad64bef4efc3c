#include "limit/token_bucket.hpp"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

// Beyond this a float can't count tokens one by one.
constexpr std::uint32_t kMaxCapacity = 1U << 23;

// A clock that has gone back looks, in 32 bits, like one that went on for almost 2^32 ms (50 days). This much of that
// range is taken for going back.
constexpr std::uint32_t kMostBackwardsMs = 60 * 60 * 1000;

// Forgives the rounding of a float, so that it makes no message a millisecond late.
constexpr double kTolerance = 1e-6;

constexpr double kLongestWaitMs = 1e15;  // keeps the wait for a tiny rate within its type

}  // namespace

std::chrono::milliseconds TokenBucket::take(const Rate& rate, Instant now) noexcept {
    if (!rate.limited()) return std::chrono::milliseconds{0};
    const auto now_ms = static_cast<std::uint32_t>(now.time_since_epoch().count());
    std::uint32_t elapsed_ms = now_ms - at_ms_;
    if (missing_ <= 0 || elapsed_ms > UINT32_MAX - kMostBackwardsMs) elapsed_ms = 0;

    const double capacity = std::min(rate.burst, kMaxCapacity - 1) + 1.0;
    // Tokens missing beyond the capacity come from a rate that was higher before a reload.
    const double before = std::min<double>(missing_, capacity);
    const double missing = std::max(0.0, before - elapsed_ms * rate.per_second / 1000);
    const double excess = missing + 1 - capacity - kTolerance;
    if (excess > 0) {
        // Nothing is written down: the time since at_ms_ stays in account, however often somebody asks in vain and
        // however little of a token each time is worth.
        const double wait_ms = std::ceil(excess / rate.per_second * 1000);
        return std::chrono::milliseconds{static_cast<std::int64_t>(std::clamp(wait_ms, 1.0, kLongestWaitMs))};
    }
    // After a step back the old time stays: the stretch up to it has been refilled already.
    if (missing_ <= 0 || elapsed_ms > 0) at_ms_ = now_ms;
    missing_ = static_cast<float>(missing + 1);
    return std::chrono::milliseconds{0};
}

}  // namespace weft
