#include "auth/public_key.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>

namespace weft {

namespace {

/// OpenSSL's queue of errors is nginx's as well, which would log what we left in it at its next look.
struct ErrorQueue {
    ErrorQueue() = default;
    ErrorQueue(const ErrorQueue&) = delete;
    ErrorQueue& operator=(const ErrorQueue&) = delete;
    ~ErrorQueue() { ERR_clear_error(); }
};

template <auto Free>
struct With {
    template <class T>
    void operator()(T* object) const noexcept {
        Free(object);
    }
};
using Bio = std::unique_ptr<BIO, With<BIO_free_all>>;
using Number = std::unique_ptr<BIGNUM, With<BN_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, With<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, With<OSSL_PARAM_free>>;
using Context = std::unique_ptr<EVP_PKEY_CTX, With<EVP_PKEY_CTX_free>>;

tl::unexpected<std::string> refuse(std::string_view why) {
    return tl::unexpected(std::string(why));
}

const unsigned char* bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

std::shared_ptr<EVP_PKEY> owned(EVP_PKEY* key) {
    return {key, EVP_PKEY_free};
}

std::shared_ptr<EVP_PKEY> make_key(const char* type, OSSL_PARAM_BLD* builder) {
    const Params params(OSSL_PARAM_BLD_to_param(builder));
    const Context context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* key = nullptr;
    if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
        return nullptr;
    }
    return owned(key);
}

std::string text_parameter(EVP_PKEY* key, const char* name) {
    char text[64] = "";
    std::size_t size = 0;
    if (EVP_PKEY_get_utf8_string_param(key, name, text, sizeof(text), &size) != 1) return {};
    return {text, size};
}

tl::expected<void, std::string> check_rsa(EVP_PKEY* key) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < kMinRsaBits || bits > kMaxRsaBits) {
        return refuse("the RSA key has " + std::to_string(bits) + " bits: expected " + std::to_string(kMinRsaBits) +
                      " to " + std::to_string(kMaxRsaBits));
    }
    BIGNUM* n = nullptr;
    BIGNUM* e = nullptr;
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n);
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e);
    const Number modulus(n);
    const Number exponent(e);
    constexpr int kMaxExponentBits = 32;  // nobody needs more, and the time of a check grows with it
    if (n == nullptr || e == nullptr || BN_is_odd(n) == 0 || BN_is_odd(e) == 0 || BN_is_one(e) != 0 ||
        BN_num_bits(e) > kMaxExponentBits) {
        return refuse("the RSA key's modulus must be odd, and its exponent odd, at least 3 and below 2^32");
    }
    return {};
}

}  // namespace

KeyId key_id_of(std::string_view key_bytes) noexcept {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes_of(key_bytes), key_bytes.size(), digest);
    KeyId id;
    std::copy_n(digest, id.size(), id.begin());
    return id;
}

tl::expected<PublicKey, std::string> PublicKey::checked(std::shared_ptr<EVP_PKEY> key) {
    switch (EVP_PKEY_get_base_id(key.get())) {
        case EVP_PKEY_RSA: {
            if (auto good = check_rsa(key.get()); !good) return tl::unexpected(std::move(good.error()));
            return PublicKey(std::move(key), Kind::rsa);
        }
        case EVP_PKEY_EC: {
            // Parameters of one's own have let people pass a curve of theirs off as a known one (CVE-2020-0601).
            const std::string encoding = text_parameter(key.get(), OSSL_PKEY_PARAM_EC_ENCODING);
            const std::string curve = text_parameter(key.get(), OSSL_PKEY_PARAM_GROUP_NAME);
            const Context context(EVP_PKEY_CTX_new(key.get(), nullptr));
            if (encoding == "explicit" || (curve != "prime256v1" && curve != "secp384r1")) {
                return refuse("the EC key's curve is not supported: expected P-256 or P-384, by name");
            }
            if (context == nullptr || EVP_PKEY_public_check(context.get()) != 1) {
                return refuse("the EC key's point is not on its curve");
            }
            return PublicKey(std::move(key), curve == "prime256v1" ? Kind::p256 : Kind::p384);
        }
        case EVP_PKEY_ED25519: return PublicKey(std::move(key), Kind::ed25519);
        default: return refuse("the kind of key is not supported: expected RSA, EC (P-256 or P-384) or Ed25519");
    }
}

tl::expected<PublicKey, std::string> PublicKey::from_pem(std::string_view pem) {
    const ErrorQueue errors;
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos) {
        return refuse("it holds a private key: expected the public one, as openssl pkey -pubout gives it");
    }
    if (pem.find("-----BEGIN CERTIFICATE") != std::string_view::npos) {
        return refuse("it holds a certificate: expected its public key, as openssl x509 -pubkey -noout gives it");
    }
    const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    if (bio == nullptr) return refuse("OpenSSL has no memory");
    // Without a callback of ours OpenSSL would ask the terminal for a password, should the PEM say that it has one.
    constexpr auto kNoPassword = [](char*, int, int, void*) noexcept { return -1; };
    auto key = owned(PEM_read_bio_PUBKEY(bio.get(), nullptr, kNoPassword, nullptr));
    if (key == nullptr) return refuse("it is not a public key in PEM that OpenSSL can read");
    const std::size_t first = pem.find("-----BEGIN ");
    if (pem.find("-----BEGIN ", first + 1) != std::string_view::npos) {
        return refuse("it holds more than one key: expected a file for each, or a JWK set");
    }
    return checked(std::move(key));
}

tl::expected<PublicKey, std::string> PublicKey::from_rsa(std::string_view modulus, std::string_view exponent) {
    const ErrorQueue errors;
    constexpr std::size_t kMaxBytes = kMaxRsaBits / 8 + 1;
    if (modulus.empty() || exponent.empty() || modulus.size() > kMaxBytes || exponent.size() > kMaxBytes) {
        return refuse("the RSA key's modulus or exponent has an impossible length");
    }
    const Number n(BN_bin2bn(bytes_of(modulus), static_cast<int>(modulus.size()), nullptr));
    const Number e(BN_bin2bn(bytes_of(exponent), static_cast<int>(exponent.size()), nullptr));
    const ParamBuilder builder(OSSL_PARAM_BLD_new());
    if (n == nullptr || e == nullptr || builder == nullptr ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
        return refuse("OpenSSL has no memory");
    }
    auto key = make_key("RSA", builder.get());
    if (key == nullptr) return refuse("it is not an RSA key");
    return checked(std::move(key));
}

tl::expected<PublicKey, std::string> PublicKey::from_ec(Kind curve, std::string_view x, std::string_view y) {
    const ErrorQueue errors;
    const std::size_t size = curve == Kind::p256 ? 32 : 48;
    if (x.size() != size || y.size() != size) {
        return refuse("the EC key's coordinates don't have as many bytes as its curve");
    }
    std::string point = "\x04";  // uncompressed (SEC 1 §2.3.3)
    point.append(x).append(y);
    const ParamBuilder builder(OSSL_PARAM_BLD_new());
    const char* group = curve == Kind::p256 ? "prime256v1" : "secp384r1";
    if (builder == nullptr ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
        return refuse("OpenSSL has no memory");
    }
    auto key = make_key("EC", builder.get());
    if (key == nullptr) return refuse("the EC key's point is not on its curve");
    return checked(std::move(key));
}

tl::expected<PublicKey, std::string> PublicKey::from_ed25519(std::string_view x) {
    const ErrorQueue errors;
    if (x.size() != 32) return refuse("the Ed25519 key doesn't have 32 bytes");
    auto key = owned(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()));
    if (key == nullptr) return refuse("it is not an Ed25519 key");
    return checked(std::move(key));
}

KeyId PublicKey::id() const {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    if (size <= 0) throw std::bad_alloc();
    const KeyId id = key_id_of({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    return id;
}

AlgorithmSet PublicKey::fitting() const noexcept {
    AlgorithmSet set{usual()};
    if (kind_ == Kind::rsa) set.add(Algorithm::ps256);
    return set;
}

Algorithm PublicKey::usual() const noexcept {
    switch (kind_) {
        case Kind::rsa: return Algorithm::rs256;
        case Kind::p256: return Algorithm::es256;
        case Kind::p384: return Algorithm::es384;
        case Kind::ed25519: return Algorithm::eddsa;
    }
    return Algorithm::eddsa;
}

}  // namespace weft
