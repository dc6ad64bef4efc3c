// Public keys that tickets are checked with: RSA, EC on P-256 and P-384, and Ed25519.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "auth/algorithm.hpp"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace weft {

/// Which key signed a ticket, whatever file it stands in: 128 bits of the SHA-256 of the key.
using KeyId = std::array<std::uint8_t, 16>;
KeyId key_id_of(std::string_view key_bytes) noexcept;

inline constexpr int kMinRsaBits = 2048;  // RFC 7518 §3.3
inline constexpr int kMaxRsaBits = 8192;  // checking one signature takes 0.2 ms then: strangers may ask for it

/// Errors are sentences, without any of the key's bytes.
class PublicKey {
public:
    enum class Kind { rsa, p256, p384, ed25519 };

    /// One "PUBLIC KEY" of RFC 7468 §13 (or PKCS #1's "RSA PUBLIC KEY"). Refused are private keys, certificates, other
    /// kinds of keys, curves that are given by their parameters rather than by name, and more than one key.
    static tl::expected<PublicKey, std::string> from_pem(std::string_view pem);

    /// Of a JWK's members (RFC 7518 §6.3.1, §6.2.1, RFC 8037 §2), decoded: numbers in network order. A coordinate has
    /// exactly as many bytes as its curve; a point that isn't on it is refused.
    static tl::expected<PublicKey, std::string> from_rsa(std::string_view modulus, std::string_view exponent);
    static tl::expected<PublicKey, std::string> from_ec(Kind curve, std::string_view x, std::string_view y);
    static tl::expected<PublicKey, std::string> from_ed25519(std::string_view x);

    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    [[nodiscard]] evp_pkey_st* get() const noexcept { return key_.get(); }
    [[nodiscard]] KeyId id() const;

    /// What a key of this kind can do: RSA both RS256 and PS256, the others one thing each.
    [[nodiscard]] AlgorithmSet fitting() const noexcept;

    /// What it is used for when nothing says so: RSA for RS256, as one key ought to serve one algorithm (RFC 8725
    /// §3.1).
    [[nodiscard]] Algorithm usual() const noexcept;

private:
    PublicKey(std::shared_ptr<evp_pkey_st> key, Kind kind) : key_(std::move(key)), kind_(kind) {}
    static tl::expected<PublicKey, std::string> checked(std::shared_ptr<evp_pkey_st> key);

    std::shared_ptr<evp_pkey_st> key_;
    Kind kind_;
};

}  // namespace weft
