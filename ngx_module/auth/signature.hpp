// The seam between tickets and cryptography: one object checks signatures of one algorithm with one key.
//
// The algorithm is chosen when the object is made, by the configuration and the key; a ticket's header only selects
// among what is there. docs/auth.md says why this is OpenSSL and not a JOSE library.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "auth/algorithm.hpp"
#include "auth/public_key.hpp"

namespace weft {

/// Not for several threads at once.
class SignatureVerifier {
public:
    virtual ~SignatureVerifier() = default;  // wipes the key

    /// Whether `signature` (bytes, not base64, and for ECDSA the two numbers of RFC 7518 §3.4, not DER) is that of
    /// `input`. A MAC is compared in the same time wherever it differs. Leaves nothing in OpenSSL's queue of errors.
    [[nodiscard]] virtual bool verify(std::string_view input, std::string_view signature) const = 0;
};

/// HS256, HS384 or HS512; the key is the secret's bytes. Errors (a sentence): a secret shorter than mac_size().
tl::expected<std::unique_ptr<SignatureVerifier>, std::string> make_hmac_verifier(Algorithm algorithm,
                                                                                 std::string_view secret);

/// The others, with a key that fits. Errors (a sentence): one that doesn't.
tl::expected<std::unique_ptr<SignatureVerifier>, std::string> make_public_verifier(Algorithm algorithm,
                                                                                   const PublicKey& key);

/// The HMAC-SHA256 of `input`, 32 bytes (RFC 2104, RFC 7518 §3.2); an error if OpenSSL fails.
tl::expected<std::string, std::string> hmac_sha256(std::string_view key, std::string_view input);

}  // namespace weft
