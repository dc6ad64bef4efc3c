#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <simdjson.h>

#include "auth/base64.hpp"
#include "auth/signing_key.hpp"
#include "auth/ticket.hpp"

namespace weft {

namespace {

/// A text as a JSON string.
std::string quoted(std::string_view text) {
    constexpr char kHex[] = "0123456789abcdef";
    std::string json = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') json += '\\';
        if (static_cast<unsigned char>(c) < 0x20) {
            json += std::string("\\u00") + kHex[c >> 4 & 15] + kHex[c & 15];
        } else {
            json += c;
        }
    }
    return json + '"';
}

std::string member(const char* name, std::string_view value) {
    return std::string(",\"") + name + "\":" + quoted(value);
}

std::string member_of_bytes(const char* name, std::string_view bytes) {
    return member(name, encode_base64(bytes, Base64::url));
}

/// A number of the key in network order, padded with zeros to `size` bytes, if that is more than it needs.
std::string number_of(EVP_PKEY* key, const char* name, int size = 0) {
    BIGNUM* number = nullptr;
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return {};
    std::string bytes(static_cast<std::size_t>(std::max(size, BN_num_bytes(number))), '\0');
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    BN_free(number);
    return bytes;
}

std::string public_members(const PublicKey& key) {
    switch (key.kind()) {
        case PublicKey::Kind::rsa:
            return R"("kty":"RSA")" + member_of_bytes("n", number_of(key.get(), OSSL_PKEY_PARAM_RSA_N)) +
                   member_of_bytes("e", number_of(key.get(), OSSL_PKEY_PARAM_RSA_E));
        case PublicKey::Kind::ed25519: {
            std::string x(32, '\0');
            std::size_t size = x.size();
            EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(x.data()), &size);
            return R"("kty":"OKP","crv":"Ed25519")" + member_of_bytes("x", x);
        }
        default: {
            const bool p256 = key.kind() == PublicKey::Kind::p256;
            const int size = p256 ? 32 : 48;
            return std::string(R"("kty":"EC","crv":")") + (p256 ? "P-256\"" : "P-384\"") +
                   member_of_bytes("x", number_of(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, size)) +
                   member_of_bytes("y", number_of(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, size));
        }
    }
}

std::string jwk_with(const std::string& members, Algorithm algorithm, std::string_view key_name) {
    std::string json = '{' + members + member("alg", name_of(algorithm)) + member("use", "sig");
    if (!key_name.empty()) json += member("kid", key_name);
    return json + '}';
}

}  // namespace

tl::expected<std::string, std::string> sign_ticket(std::string_view claims, const SigningKey& key, Algorithm algorithm,
                                                   std::string_view key_name) {
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(claims.data(), claims.size()).get(object) != simdjson::SUCCESS) {
        return tl::unexpected(std::string("the claims are not a JSON object"));
    }
    std::string header = R"({"alg":")" + std::string(name_of(algorithm)) + R"(","typ":"JWT")";
    if (!key_name.empty()) header += member("kid", key_name);
    std::string compact = encode_base64(header + '}', Base64::url);
    compact += '.';
    compact += encode_base64(claims, Base64::url);
    auto signature = key.sign(algorithm, compact);
    if (!signature) return signature;
    compact += '.';
    compact += encode_base64(*signature, Base64::url);
    if (compact.size() > kMaxTicket) {
        return tl::unexpected("the ticket would have " + std::to_string(compact.size()) + " bytes: at most " +
                              std::to_string(kMaxTicket) + " are accepted");
    }
    return compact;
}

tl::expected<std::string, std::string> sign_ticket(std::string_view claims, std::string_view key) {
    if (key.size() < kMinKey) {
        return tl::unexpected("the key has " + std::to_string(key.size()) + " bytes: HS256 needs at least " +
                              std::to_string(kMinKey));
    }
    return sign_ticket(claims, SigningKey::of_secret(key), Algorithm::hs256, {});
}

std::string jwk_of(const SigningKey& key, Algorithm algorithm, std::string_view key_name) {
    if (key.public_key() != nullptr) return jwk_of(*key.public_key(), algorithm, key_name);
    return jwk_with(R"("kty":"oct")" + member_of_bytes("k", key.secret()), algorithm, key_name);
}

std::string jwk_of(const PublicKey& key, Algorithm algorithm, std::string_view key_name) {
    return jwk_with(public_members(key), algorithm, key_name);
}

}  // namespace weft
