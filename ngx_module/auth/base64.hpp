// Base 64 (RFC 4648), read strictly: one text for each value, so that nobody can vary a ticket without changing it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft {

enum class Base64 {
    url,       // §5, never padded, as in JWS (RFC 7515 §2)
    standard,  // §4, padded
};

/// No value for a character outside the alphabet (line breaks included), wrong padding, an impossible length, or bits
/// beyond the last byte that are not zero.
std::optional<std::string> decode_base64(std::string_view text, Base64 alphabet);

std::string encode_base64(std::string_view bytes, Base64 alphabet);

}  // namespace weft
