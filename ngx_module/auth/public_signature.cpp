#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <array>

#include "auth/ecdsa.hpp"
#include "auth/signature.hpp"

namespace weft {

namespace {

struct FreeContext {
    void operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    void operator()(EVP_MD* digest) const noexcept { EVP_MD_free(digest); }
};
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeContext>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeContext>;
using Digest = std::unique_ptr<EVP_MD, FreeContext>;

const unsigned char* bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

/// RSA and ECDSA: the digest first, then the signature of it. Contexts are made once, as looking algorithms up costs
/// more than the digest.
class DigestSignature final : public SignatureVerifier {
public:
    DigestSignature(Digest digest, DigestContext hash, KeyContext key, std::size_t size, std::size_t coordinate)
        : digest_(std::move(digest)),
          hash_(std::move(hash)),
          key_(std::move(key)),
          size_(size),
          coordinate_(coordinate) {}

    [[nodiscard]] bool verify(std::string_view input, std::string_view signature) const override {
        // A signature has one length, so that it has one spelling.
        if (signature.size() != size_) return false;
        std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
        unsigned int hash_size = 0;
        if (EVP_DigestInit_ex2(hash_.get(), digest_.get(), nullptr) != 1 ||
            EVP_DigestUpdate(hash_.get(), input.data(), input.size()) != 1 ||
            EVP_DigestFinal_ex(hash_.get(), hash.data(), &hash_size) != 1) {
            return false;
        }
        bool good = false;
        if (coordinate_ == 0) {
            good = EVP_PKEY_verify(key_.get(), bytes_of(signature), signature.size(), hash.data(), hash_size) == 1;
        } else if (const auto der = ecdsa_to_der(signature, coordinate_)) {
            good = EVP_PKEY_verify(key_.get(), der->bytes.data(), der->size, hash.data(), hash_size) == 1;
        }
        if (!good) ERR_clear_error();  // the queue is nginx's too
        return good;
    }

private:
    Digest digest_;
    DigestContext hash_;
    KeyContext key_;
    std::size_t size_;        // bytes of a signature
    std::size_t coordinate_;  // of an ECDSA one, of each of its numbers; 0: RSA
};

/// EdDSA hashes for itself, twice.
class EdDsa final : public SignatureVerifier {
public:
    EdDsa(PublicKey key, DigestContext context) : key_(std::move(key)), context_(std::move(context)) {}

    [[nodiscard]] bool verify(std::string_view input, std::string_view signature) const override {
        constexpr std::size_t kSize = 64;
        const bool good =
            signature.size() == kSize && EVP_MD_CTX_reset(context_.get()) == 1 &&
            EVP_DigestVerifyInit(context_.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
            EVP_DigestVerify(context_.get(), bytes_of(signature), signature.size(), bytes_of(input), input.size()) == 1;
        if (!good) ERR_clear_error();
        return good;
    }

private:
    PublicKey key_;
    DigestContext context_;
};

}  // namespace

tl::expected<std::unique_ptr<SignatureVerifier>, std::string> make_public_verifier(Algorithm algorithm,
                                                                                   const PublicKey& key) {
    const std::string name(name_of(algorithm));
    if (!key.fitting().has(algorithm)) {
        return tl::unexpected("the key can't serve " + name + ": it is one for " + key.fitting().names());
    }
    const std::string failure = "OpenSSL could not prepare " + name;
    DigestContext hash(EVP_MD_CTX_new());
    if (hash == nullptr) return tl::unexpected(failure);
    if (algorithm == Algorithm::eddsa) return std::make_unique<EdDsa>(key, std::move(hash));

    Digest digest(EVP_MD_fetch(nullptr, algorithm == Algorithm::es384 ? "SHA384" : "SHA256", nullptr));
    KeyContext context(EVP_PKEY_CTX_new(key.get(), nullptr));
    bool ready = digest != nullptr && context != nullptr && EVP_PKEY_verify_init(context.get()) == 1 &&
                 EVP_PKEY_CTX_set_signature_md(context.get(), digest.get()) == 1;
    if (key.kind() == PublicKey::Kind::rsa) {
        const bool pss = algorithm == Algorithm::ps256;
        ready =
            ready && EVP_PKEY_CTX_set_rsa_padding(context.get(), pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1;
        // RFC 7518 §3.5: the mask's hash is the same, and the salt is as long as it.
        ready = ready && (!pss || (EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), digest.get()) == 1 &&
                                   EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) == 1));
    }
    if (!ready) {
        ERR_clear_error();
        return tl::unexpected(failure);
    }
    const std::size_t coordinate = algorithm == Algorithm::es256 ? 32 : algorithm == Algorithm::es384 ? 48 : 0;
    const std::size_t size = coordinate != 0 ? 2 * coordinate : static_cast<std::size_t>(EVP_PKEY_get_size(key.get()));
    return std::make_unique<DigestSignature>(std::move(digest), std::move(hash), std::move(context), size, coordinate);
}

}  // namespace weft
