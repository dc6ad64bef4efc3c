#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <array>
#include <climits>

#include "auth/signature.hpp"

namespace weft {

namespace {

/// Looking up the algorithm and hashing the key anew costs OpenSSL 3 more than a ticket's MAC itself: done once here.
class Hmac final : public SignatureVerifier {
public:
    Hmac(EVP_MAC_CTX* context, std::size_t size) : context_(context), size_(size) {}
    Hmac(const Hmac&) = delete;
    Hmac& operator=(const Hmac&) = delete;
    ~Hmac() override { EVP_MAC_CTX_free(context_); }  // wipes the key

    [[nodiscard]] bool verify(std::string_view input, std::string_view signature) const override {
        std::array<unsigned char, EVP_MAX_MD_SIZE> mac;
        std::size_t size = 0;
        const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
        return EVP_MAC_init(context_, nullptr, 0, nullptr) == 1 &&  // with the same key again
               EVP_MAC_update(context_, bytes, input.size()) == 1 &&
               EVP_MAC_final(context_, mac.data(), &size, mac.size()) == 1 && size == size_ &&
               signature.size() == size_ && CRYPTO_memcmp(mac.data(), signature.data(), size_) == 0;
    }

private:
    EVP_MAC_CTX* context_;
    std::size_t size_;
};

/// A context with the key in it; null when OpenSSL fails.
EVP_MAC_CTX* hmac_context(Algorithm algorithm, std::string_view key) {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);  // the context holds its own reference
    std::string digest = algorithm == Algorithm::hs256 ? "SHA256" : algorithm == Algorithm::hs384 ? "SHA384" : "SHA512";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0),
                                     OSSL_PARAM_construct_end()};
    const auto* bytes = reinterpret_cast<const unsigned char*>(key.data());
    if (context != nullptr && EVP_MAC_init(context, bytes, key.size(), parameters) == 1) return context;
    EVP_MAC_CTX_free(context);
    return nullptr;
}

}  // namespace

tl::expected<std::unique_ptr<SignatureVerifier>, std::string> make_hmac_verifier(Algorithm algorithm,
                                                                                 std::string_view secret) {
    const std::string name(name_of(algorithm));
    if (!is_hmac(algorithm)) return tl::unexpected("a secret can't serve " + name);
    const std::size_t size = mac_size(algorithm);
    if (secret.size() < size) {
        return tl::unexpected("the key has " + std::to_string(secret.size()) + " bytes: " + name + " needs at least " +
                              std::to_string(size));
    }
    EVP_MAC_CTX* context = hmac_context(algorithm, secret);
    if (context == nullptr) return tl::unexpected("OpenSSL could not prepare " + name);
    return std::make_unique<Hmac>(context, size);
}

tl::expected<std::string, std::string> hmac_sha256(std::string_view key, std::string_view input) {
    std::array<unsigned char, 32> mac;
    unsigned int size = 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
    if (key.size() > INT_MAX ||
        HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, input.size(), mac.data(), &size) ==
            nullptr ||
        size != mac.size()) {
        return tl::unexpected(std::string("OpenSSL could not make an HMAC"));
    }
    return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}

}  // namespace weft
