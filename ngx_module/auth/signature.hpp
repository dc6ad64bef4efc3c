// The seam between tickets and cryptography: one object checks signatures of one algorithm with one key.
//
// The algorithm is chosen when the object is made, by the configuration; a ticket's header is only compared with it.
//
// Why OpenSSL and not a JOSE library such as cjose: cjose compares MACs in constant time, but it takes the algorithm
// from the token's own header and accepts members that are given twice. We would need our own strict parser in front of
// it, and two parsers that read the same token differently are how forgeries get through.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weft {

/// Not for several threads at once.
class SignatureVerifier {
public:
    virtual ~SignatureVerifier() = default;  // wipes the key

    /// Its name in JWS headers (RFC 7518 §3.1).
    [[nodiscard]] virtual std::string_view algorithm() const noexcept = 0;

    /// Whether `signature` (bytes, not base64) is that of `input`. Takes the same time wherever they differ.
    [[nodiscard]] virtual bool verify(std::string_view input, std::string_view signature) const = 0;
};

/// For "HS256" the key is the secret's bytes. Errors (a sentence): an algorithm that isn't supported, a key too short.
tl::expected<std::unique_ptr<SignatureVerifier>, std::string> make_verifier(std::string_view algorithm,
                                                                            std::string_view key);

/// The HMAC-SHA256 of `input`, 32 bytes (RFC 2104, RFC 7518 §3.2); an error if OpenSSL fails.
tl::expected<std::string, std::string> hmac_sha256(std::string_view key, std::string_view input);

}  // namespace weft
