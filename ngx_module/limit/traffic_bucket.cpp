#include "limit/traffic_bucket.hpp"

#include <algorithm>
#include <cmath>

namespace weft {

namespace {

constexpr std::uint32_t kMaxCapacity = 1U << 23;            // as TokenBucket
constexpr std::uint32_t kMostBackwardsMs = 60 * 60 * 1000;  // as TokenBucket
constexpr double kTolerance = 1e-6;                         // forgives the rounding of a float
constexpr double kLongestWaitMs = 1e15;                     // fits milliseconds
constexpr double kMostDebt = 2048.0 * 1024 * 1024;          // bytes; keeps the float exact to 128 of them

std::chrono::milliseconds wait_for(double missing, double per_second) noexcept {
    const double ms = std::ceil(missing / per_second * 1000);
    return std::chrono::milliseconds{static_cast<std::int64_t>(std::clamp(ms, 1.0, kLongestWaitMs))};
}

}  // namespace

TrafficBucket::Verdict TrafficBucket::take(const Rate& messages, const ByteRate& bytes, std::size_t size,
                                           Instant now) noexcept {
    const auto now_ms = static_cast<std::uint32_t>(now.time_since_epoch().count());
    const bool full = missing_messages_ <= 0 && missing_bytes_ <= 0;
    std::uint32_t elapsed_ms = now_ms - at_ms_;
    if (full || elapsed_ms > UINT32_MAX - kMostBackwardsMs) elapsed_ms = 0;

    // Nothing is written down when something is refused: the time since at_ms_ stays in account, however often
    // somebody asks in vain.
    double missing_messages = 0;
    if (messages.limited()) {
        const double capacity = std::min(messages.burst, kMaxCapacity - 1) + 1.0;
        // More than the capacity may be missing from before a reload that made it smaller.
        const double before = std::min<double>(missing_messages_, capacity);
        missing_messages = std::max(0.0, before - elapsed_ms * messages.per_second / 1000) + 1;
        const double excess = missing_messages - capacity - kTolerance;
        if (excess > 0) return {wait_for(excess, messages.per_second), false};
    }
    double missing_bytes = 0;
    if (bytes.limited()) {
        missing_bytes = std::max(0.0, missing_bytes_ - elapsed_ms * bytes.per_second / 1000);
        const double excess = missing_bytes - static_cast<double>(bytes.burst);
        if (excess > 0) return {wait_for(excess, bytes.per_second), true};
        missing_bytes = std::min(missing_bytes + static_cast<double>(size), kMostDebt);
    }
    // After a step back the old time stays: the stretch up to it has been refilled already.
    if (full || elapsed_ms > 0) at_ms_ = now_ms;
    missing_messages_ = static_cast<float>(missing_messages);
    missing_bytes_ = static_cast<float>(missing_bytes);
    return {};
}

}  // namespace weft
