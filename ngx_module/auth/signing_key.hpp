// Makes tickets: what weftctl, the demo and tests have of a key. The module never signs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "auth/algorithm.hpp"
#include "auth/public_key.hpp"

namespace weft {

/// Errors are sentences, without any of the key's bytes.
class SigningKey {
public:
    /// From a key file's content: a private key in PEM (not encrypted), or a secret as read_key() takes it. The caller
    /// wipes the content.
    static tl::expected<SigningKey, std::string> read(std::string_view file_content);

    /// A secret's bytes as they are.
    static SigningKey of_secret(std::string_view secret);

    /// A new private key. Only for algorithms that are not HMACs; RSA gets 3072 bits.
    static tl::expected<SigningKey, std::string> generate(Algorithm algorithm);

    SigningKey(SigningKey&&) noexcept = default;
    SigningKey& operator=(SigningKey&&) noexcept = default;
    SigningKey(const SigningKey&) = delete;
    SigningKey& operator=(const SigningKey&) = delete;
    ~SigningKey();  // wipes the secret

    /// What it can sign with, and what it does unless told otherwise.
    [[nodiscard]] AlgorithmSet fitting() const noexcept;
    [[nodiscard]] Algorithm usual() const noexcept;

    /// Null for a secret.
    [[nodiscard]] const PublicKey* public_key() const noexcept { return public_.get(); }
    /// Empty for a private key.
    [[nodiscard]] const std::string& secret() const noexcept { return secret_; }

    /// PEM of the private key (PKCS #8), which the caller wipes; and of the public one.
    [[nodiscard]] std::string private_pem() const;
    [[nodiscard]] std::string public_pem() const;

    /// The bytes of a JWS signature.
    [[nodiscard]] tl::expected<std::string, std::string> sign(Algorithm algorithm, std::string_view input) const;

private:
    SigningKey() = default;
    static tl::expected<SigningKey, std::string> of(std::shared_ptr<evp_pkey_st> key);

    std::string secret_;
    std::shared_ptr<evp_pkey_st> key_;
    std::unique_ptr<PublicKey> public_;
};

/// A compact JWS of `claims`, a JSON object's text; `key_name` is the `kid`, empty for none. Errors: an algorithm that
/// doesn't fit the key, claims that are no object, a ticket longer than kMaxTicket.
tl::expected<std::string, std::string> sign_ticket(std::string_view claims, const SigningKey& key, Algorithm algorithm,
                                                   std::string_view key_name);

/// The key as a JWK of a set that weft_ticket reads: the public part of a private key, or the secret. `key_name` as
/// above.
std::string jwk_of(const SigningKey& key, Algorithm algorithm, std::string_view key_name);
std::string jwk_of(const PublicKey& key, Algorithm algorithm, std::string_view key_name);

}  // namespace weft
