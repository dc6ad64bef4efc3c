// Words that the header fields of a handshake are made of, RFC 9110 §5.6.
#pragma once

#include <string_view>

namespace weft::websocket {

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool is_alphanumeric(char c) noexcept {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

/// A character of a token, §5.6.2.
constexpr bool is_token_character(char c) noexcept {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return is_alphanumeric(c) || kMarks.find(c) != std::string_view::npos;
}

/// Optional white space, §5.6.3.
inline constexpr std::string_view kBlanks = " \t";

}  // namespace weft::websocket
