#include "auth/signing_key.hpp"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <climits>
#include <utility>

#include "auth/ecdsa.hpp"
#include "auth/ticket.hpp"

namespace weft {

namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

std::shared_ptr<EVP_PKEY> owned(EVP_PKEY* key) {
    return {key, EVP_PKEY_free};
}

/// What a function of OpenSSL writes.
template <class Write>
std::string written(Write write) {
    const Bio bio(BIO_new(BIO_s_secmem()), BIO_free_all);
    char* text = nullptr;
    if (bio == nullptr || write(bio.get()) != 1) return {};
    const long size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

const EVP_MD* digest_of(Algorithm algorithm) noexcept {
    switch (algorithm) {
        case Algorithm::hs384:
        case Algorithm::es384: return EVP_sha384();
        case Algorithm::hs512: return EVP_sha512();
        default: return EVP_sha256();
    }
}

/// A signature as OpenSSL makes it; empty when it fails.
std::string sign_with(EVP_PKEY* key, Algorithm algorithm, std::string_view input) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const EVP_MD* digest = algorithm == Algorithm::eddsa ? nullptr : digest_of(algorithm);
    EVP_PKEY_CTX* options = nullptr;
    if (context == nullptr || EVP_DigestSignInit(context.get(), &options, digest, nullptr, key) != 1) return {};
    if (algorithm == Algorithm::ps256 && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
                                          EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1)) {
        return {};
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
    std::size_t size = 0;
    if (EVP_DigestSign(context.get(), nullptr, &size, bytes, input.size()) != 1) return {};
    std::string signature(size, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, input.size()) !=
        1) {
        return {};
    }
    signature.resize(size);
    return signature;
}

}  // namespace

SigningKey::~SigningKey() {
    OPENSSL_cleanse(secret_.data(), secret_.size());
}

tl::expected<SigningKey, std::string> SigningKey::of(std::shared_ptr<EVP_PKEY> key) {
    SigningKey made;
    made.key_ = std::move(key);
    const std::string pem = made.public_pem();
    auto open = PublicKey::from_pem(pem);  // which knows what is supported
    if (!open) return tl::unexpected(std::move(open.error()));
    made.public_ = std::make_unique<PublicKey>(std::move(*open));
    return made;
}

SigningKey SigningKey::of_secret(std::string_view secret) {
    SigningKey made;
    made.secret_ = secret;
    return made;
}

tl::expected<SigningKey, std::string> SigningKey::read(std::string_view file_content) {
    if (file_content.find("-----BEGIN ") == std::string_view::npos) {
        auto secret = read_key(file_content);
        if (!secret) return tl::unexpected(std::move(secret.error()));
        SigningKey made;
        made.secret_ = std::move(*secret);
        if (made.secret_.size() < kMinKey) {
            return tl::unexpected("the key has " + std::to_string(made.secret_.size()) + " bytes, at least " +
                                  std::to_string(kMinKey) + " are needed");
        }
        return made;
    }
    const Bio bio(BIO_new_mem_buf(file_content.data(), static_cast<int>(file_content.size())), BIO_free_all);
    constexpr auto kNoPassword = [](char*, int, int, void*) noexcept { return -1; };
    auto key = owned(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, kNoPassword, nullptr));
    ERR_clear_error();
    if (key == nullptr) {
        return tl::unexpected(std::string("it is not a private key in PEM without a password that OpenSSL can read"));
    }
    return of(std::move(key));
}

tl::expected<SigningKey, std::string> SigningKey::generate(Algorithm algorithm) {
    EVP_PKEY* key = nullptr;
    switch (algorithm) {
        case Algorithm::rs256:
        case Algorithm::ps256: {
            constexpr std::size_t kBits = 3072;
            key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", kBits);
            break;
        }
        case Algorithm::es256: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"); break;
        case Algorithm::es384: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"); break;
        case Algorithm::eddsa: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); break;
        default: break;
    }
    if (key == nullptr) return tl::unexpected("OpenSSL made no key for " + std::string(name_of(algorithm)));
    return of(owned(key));
}

AlgorithmSet SigningKey::fitting() const noexcept {
    if (public_ != nullptr) return public_->fitting();
    AlgorithmSet set;
    for (Algorithm algorithm : kAlgorithms) {
        if (is_hmac(algorithm) && secret_.size() >= mac_size(algorithm)) set.add(algorithm);
    }
    return set;
}

Algorithm SigningKey::usual() const noexcept {
    return public_ != nullptr ? public_->usual() : Algorithm::hs256;
}

std::string SigningKey::private_pem() const {
    return written([&](BIO* bio) {
        return PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
}

std::string SigningKey::public_pem() const {
    return written([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key_.get()); });
}

tl::expected<std::string, std::string> SigningKey::sign(Algorithm algorithm, std::string_view input) const {
    const std::string name(name_of(algorithm));
    if (!fitting().has(algorithm)) {
        return tl::unexpected("the key can't sign with " + name + ": it is one for " + fitting().names());
    }
    const auto failed = [&name] {
        ERR_clear_error();
        return tl::unexpected("OpenSSL could not sign with " + name);
    };
    if (public_ == nullptr) {
        std::string mac(mac_size(algorithm), '\0');
        unsigned int size = 0;
        if (secret_.size() > INT_MAX || HMAC(digest_of(algorithm), secret_.data(), static_cast<int>(secret_.size()),
                                             reinterpret_cast<const unsigned char*>(input.data()), input.size(),
                                             reinterpret_cast<unsigned char*>(mac.data()), &size) == nullptr) {
            return failed();
        }
        return mac;
    }
    std::string signature = sign_with(key_.get(), algorithm, input);
    if (signature.empty()) return failed();
    if (algorithm != Algorithm::es256 && algorithm != Algorithm::es384) return signature;
    const auto raw = ecdsa_from_der(signature, algorithm == Algorithm::es256 ? 32 : 48);
    if (!raw) return failed();
    return *raw;
}

}  // namespace weft
