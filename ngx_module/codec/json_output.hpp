// JSON text on its way into a string. Most of a frame is short: names, ids, positions. Appending each to a std::string
// by itself costs more in calls and checks of capacity than its bytes do; so the text is gathered in a block of fixed
// size, where one comparison makes room, and goes to the string a block at a time.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "codec/message.hpp"
#include "codec/text_rules.hpp"

namespace weft {

/// The block, and the string that it goes to.
class JsonOutput {
public:
    /// Appends to `out`, which has all of the text after flush() only and must outlive this.
    explicit JsonOutput(std::string& out) noexcept : out_(out) {}
    JsonOutput(const JsonOutput&) = delete;
    JsonOutput& operator=(const JsonOutput&) = delete;

    /// Hands what has been gathered to the string.
    void flush() {
        out_.append(block_, static_cast<std::size_t>(at_ - block_));
        at_ = block_;
    }

    /// A single byte of JSON's own, such as a bracket.
    JsonOutput& operator+=(char c) {
        *room(1) = c;
        ++at_;
        return *this;
    }

    /// JSON as it is.
    JsonOutput& operator+=(Json text) {
        if (text.size() > left()) {
            append_long(text);
        } else {
            at_ += text.copy(at_, text.size());  // which, unlike memcpy, allows for an empty text that is nowhere
        }
        return *this;
    }

    /// A member's name, which needs no escapes, and its colon; with a comma in front when `comma`. Inline so that a
    /// literal becomes a few stores of constants.
    [[gnu::always_inline]] void name(std::string_view name, bool comma) {
        constexpr std::size_t kAround = 4;  // bytes: ,"":
        if (name.size() + kAround > left()) return long_name(name, comma);
        char* at = at_;
        *at = ',';
        at += comma ? 1 : 0;
        *at++ = '"';
        std::memcpy(at, name.data(), name.size());
        at += name.size();
        *at++ = '"';
        *at++ = ':';
        at_ = at;
    }

    /// `text`, which is UTF-8, as a string: with its quotes, control characters escaped (RFC 8259 §7).
    void string(std::string_view text);

    /// RFC 3339 in UTC with milliseconds, as a string.
    void time(WallTime time);

    /// 16 hex digits, as a string.
    void hex(std::uint64_t id) {
        char* const at = room(2 + HexId::kSize);
        *at = '"';
        HexId::write(id, at + 1);
        at[1 + HexId::kSize] = '"';
        at_ = at + 2 + HexId::kSize;
    }

    template <typename Number>
    void number(Number value) {
        char* const at = room(kDigits);
        at_ = std::to_chars(at, at + kDigits, value).ptr;
    }

private:
    static constexpr std::size_t kBlock = 1024;  // bytes: an event but for long data
    static constexpr std::size_t kDigits = 32;   // bytes that a number takes at most

    [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(block_ + kBlock - at_); }

    /// Where the next `size` bytes go; `size` is a block's at most.
    char* room(std::size_t size) {
        if (left() < size) flush();
        return at_;
    }

    void append_long(std::string_view text);
    void long_name(std::string_view name, bool comma);
    /// A string from behind its opening quote, or from where something must be escaped, to its end.
    void rest_of_string(std::string_view text);

    std::string& out_;
    char* at_ = block_;  // in block_, where the next byte goes
    char block_[kBlock];
};

inline constexpr std::size_t kTimestamp = 24;  // bytes of 2026-01-31T12:34:56.789Z

/// Writes `time` as RFC 3339 in UTC with milliseconds to `out`, which has room for kTimestamp bytes. What lies outside
/// of the years 0 to 9999 becomes the nearest time inside.
void write_timestamp(char* out, WallTime time) noexcept;

}  // namespace weft
