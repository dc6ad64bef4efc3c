// How much one connection may send: messages and bytes, in 12 bytes of state; the rates are shared configuration.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "limit/token_bucket.hpp"

namespace weft {

struct ByteRate {
    double per_second = 0;    // 0: no limit
    std::uint64_t burst = 0;  // bytes beyond the steady rate that may come at once
    [[nodiscard]] bool limited() const noexcept { return per_second > 0; }
    bool operator==(const ByteRate&) const = default;
};

/// Two token buckets that share a clock. They start full. As for time that goes backwards, see TokenBucket.
class TrafficBucket {
public:
    struct Verdict {
        std::chrono::milliseconds wait{0};  // zero: allowed; else until the same would be, at least 1
        bool bytes = false;                 // too many bytes, rather than messages
    };

    /// Takes one message of `size` bytes out of both buckets, or nothing. Bytes may overdraw their bucket: a message
    /// passes while anything is left in it, and the next ones wait until that is paid back. So no message is too
    /// large for ever, and in the long run the rate holds.
    Verdict take(const Rate& messages, const ByteRate& bytes, std::size_t size, Instant now) noexcept;

    /// What it knows, for another that goes on where this one is.
    struct Level {
        float missing_messages = 0;
        float missing_bytes = 0;
        std::uint32_t at_ms = 0;
    };
    [[nodiscard]] Level level() const noexcept { return {missing_messages_, missing_bytes_, at_ms_}; }
    void set_level(const Level& level) noexcept {
        missing_messages_ = level.missing_messages;
        missing_bytes_ = level.missing_bytes;
        at_ms_ = level.at_ms;
    }

private:
    float missing_messages_ = 0;  // taken and not yet refilled
    float missing_bytes_ = 0;
    std::uint32_t at_ms_ = 0;  // when that was so, milliseconds, wrapping
};

}  // namespace weft
