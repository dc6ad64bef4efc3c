// ECDSA signatures in JWS are two numbers of fixed length (RFC 7518 §3.4); OpenSSL speaks DER (RFC 3279 §2.2.3).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// A DER signature, on the stack.
struct DerSignature {
    std::array<unsigned char, 8 + 2 * 48> bytes;
    std::size_t size = 0;
};

/// `raw` is r and s, `coordinate` bytes each (32 or 48). None for another length, and for a number that is zero.
std::optional<DerSignature> ecdsa_to_der(std::string_view raw, std::size_t coordinate) noexcept;

/// The other way, of a signature that OpenSSL made; none if it isn't one.
std::optional<std::string> ecdsa_from_der(std::string_view der, std::size_t coordinate);

}  // namespace weft
