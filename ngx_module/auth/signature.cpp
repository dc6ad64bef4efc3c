#include "auth/signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

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

class Hs256 final : public SignatureVerifier {
public:
    explicit Hs256(std::string_view key) : key_(key) {}
    Hs256(const Hs256&) = delete;
    Hs256& operator=(const Hs256&) = delete;
    ~Hs256() override { OPENSSL_cleanse(key_.data(), key_.size()); }

    [[nodiscard]] std::string_view algorithm() const noexcept override { return "HS256"; }

    [[nodiscard]] bool verify(std::string_view input, std::string_view signature) const override {
        const std::optional<Mac> mac = mac_of(key_, input);
        return mac && signature.size() == mac->size() && CRYPTO_memcmp(mac->data(), signature.data(), mac->size()) == 0;
    }

private:
    std::string key_;
};

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
    return std::make_unique<Hs256>(key);
}

tl::expected<std::string, std::string> hmac_sha256(std::string_view key, std::string_view input) {
    const std::optional<Mac> mac = mac_of(key, input);
    if (!mac) return tl::unexpected(std::string("OpenSSL could not make an HMAC"));
    return std::string(reinterpret_cast<const char*>(mac->data()), mac->size());
}

}  // namespace weft
