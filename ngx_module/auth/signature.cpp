#include "auth/signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <array>
#include <climits>
#include <optional>

#include "auth/ticket.hpp"

namespace weft {

namespace {

using Mac = std::array<unsigned char, 32>;

std::optional<Mac> mac_of(std::string_view key, std::string_view input) {
    if (key.size() > INT_MAX) return std::nullopt;
    Mac mac;
    unsigned int size = 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, input.size(), mac.data(), &size) ==
            nullptr ||
        size != mac.size()) {
        return std::nullopt;
    }
    return mac;
}

/// Looking up the algorithm and hashing the key anew costs OpenSSL 3 more than a ticket's MAC itself: done once here.
class Hs256 final : public SignatureVerifier {
public:
    explicit Hs256(EVP_MAC_CTX* context) : context_(context) {}
    Hs256(const Hs256&) = delete;
    Hs256& operator=(const Hs256&) = delete;
    ~Hs256() override { EVP_MAC_CTX_free(context_); }  // wipes the key

    [[nodiscard]] std::string_view algorithm() const noexcept override { return "HS256"; }

    [[nodiscard]] bool verify(std::string_view input, std::string_view signature) const override {
        Mac mac;
        std::size_t size = 0;
        const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
        return EVP_MAC_init(context_, nullptr, 0, nullptr) == 1 &&  // with the same key again
               EVP_MAC_update(context_, bytes, input.size()) == 1 &&
               EVP_MAC_final(context_, mac.data(), &size, mac.size()) == 1 && size == mac.size() &&
               signature.size() == mac.size() && CRYPTO_memcmp(mac.data(), signature.data(), mac.size()) == 0;
    }

private:
    EVP_MAC_CTX* context_;
};

/// A context with the key in it; null when OpenSSL fails.
EVP_MAC_CTX* hmac_sha256_context(std::string_view key) {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);  // the context holds its own reference
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
    const auto* bytes = reinterpret_cast<const unsigned char*>(key.data());
    if (context != nullptr && EVP_MAC_init(context, bytes, key.size(), parameters) == 1) return context;
    EVP_MAC_CTX_free(context);
    return nullptr;
}

}  // namespace

tl::expected<std::unique_ptr<SignatureVerifier>, std::string> make_verifier(std::string_view algorithm,
                                                                            std::string_view key) {
    if (algorithm != "HS256") {
        return tl::unexpected("the algorithm \"" + std::string(algorithm) + "\" is not supported: expected HS256");
    }
    if (key.size() < kMinKey) {
        return tl::unexpected("the key has " + std::to_string(key.size()) + " bytes: HS256 needs at least " +
                              std::to_string(kMinKey));
    }
    EVP_MAC_CTX* context = hmac_sha256_context(key);
    if (context == nullptr) return tl::unexpected(std::string("OpenSSL could not prepare HMAC-SHA256"));
    return std::make_unique<Hs256>(context);
}

tl::expected<std::string, std::string> hmac_sha256(std::string_view key, std::string_view input) {
    const std::optional<Mac> mac = mac_of(key, input);
    if (!mac) return tl::unexpected(std::string("OpenSSL could not make an HMAC"));
    return std::string(reinterpret_cast<const char*>(mac->data()), mac->size());
}

}  // namespace weft
