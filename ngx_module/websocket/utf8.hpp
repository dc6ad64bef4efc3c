// UTF-8 checked as it arrives (RFC 3629: no surrogates, no overlong forms, nothing beyond U+10FFFF).
#pragma once

#include <cstdint>
#include <string_view>

namespace weft::websocket {

/// Remembers an unfinished character between calls, in one word.
class Utf8Checker {
public:
    /// False as soon as the bytes so far can't be the beginning of valid UTF-8; then the checker is done for.
    bool feed(std::string_view bytes) noexcept;
    /// Whether the text may end here (no unfinished character).
    [[nodiscard]] bool complete() const noexcept { return state_ == 0; }
    void reset() noexcept { state_ = 0; }

private:
    std::uint32_t state_ = 0;
};

bool is_utf8(std::string_view text) noexcept;

}  // namespace weft::websocket
