// A token bucket of 8 bytes; the rate is shared configuration and is passed in.
#pragma once

#include <chrono>
#include <cstdint>

#include "weft/time.hpp"

namespace weft {

/// How fast and in what bursts. `per_second` may be fractional (5r/m); 0 means no limit.
struct Rate {
    double per_second = 0;
    std::uint32_t burst = 0;  // messages beyond the steady rate that may come at once; the bucket holds burst + 1
    [[nodiscard]] bool limited() const noexcept { return per_second > 0; }
    bool operator==(const Rate&) const = default;
};

/// Starts full. Time going backwards, by up to an hour, is taken for no time passing. Bursts above 2^23 count as 2^23;
/// a rate below one token in 24 days isn't kept.
class TokenBucket {
public:
    /// Takes one token (zero: allowed). Otherwise nothing is taken, and the result says how long until there is one,
    /// rounded up to a whole millisecond, at least 1.
    std::chrono::milliseconds take(const Rate& rate, Instant now) noexcept;

private:
    float missing_ = 0;        // tokens taken and not yet refilled
    std::uint32_t at_ms_ = 0;  // when that was so, milliseconds, wrapping
};

}  // namespace weft
