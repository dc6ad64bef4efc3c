// JWK sets (RFC 7517 §5): the keys of an issuer in one JSON file.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "auth/key_ring.hpp"

namespace weft {

inline constexpr std::size_t kMaxJwks = std::size_t{256} * 1024;  // bytes

/// Reads a JWK set. Keys that are for something else, or that Weft can't use, are left out, as RFC 7517 §5 has it:
/// `use` other than "sig", `key_ops` without "verify", an `alg`, `kty` or `crv` that isn't supported. A key with `alg`
/// serves that algorithm, if `allowed` has it; one without serves those of `allowed` that fit it. An empty `allowed`:
/// all, and each key's usual one.
///
/// What can only be a mistake is an error (a sentence that names the key by its place, counted from 1), so that nothing
/// of the file is used: no JSON object, a member given twice, a `kid` twice, a private key, an RSA key of fewer than
/// 2048 bits, a point that is not on its curve, a secret that is too short, a value that is not canonical base64url,
/// more than kMaxKeys keys, no key that can be used.
///
/// Secrets in it ("oct") are wiped from what is kept of the JSON; the caller wipes `json`.
tl::expected<KeyRing, std::string> parse_jwks(std::string_view json, AlgorithmSet allowed);

}  // namespace weft
