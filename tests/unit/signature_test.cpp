// Signatures and the keys that check them, with the examples of RFC 7515 and RFC 8037.
#include "auth/signature.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <string>

#include "auth/base64.hpp"
#include "auth/ecdsa.hpp"
#include "auth/signing_key.hpp"
#include "token_keys.hpp"

namespace weft {
namespace {

std::string bytes(std::string_view base64url) {
    return decode_base64(base64url, Base64::url).value();
}

PublicKey rsa_of_rfc7515() {
    return std::move(*PublicKey::from_rsa(bytes(kRfc7515Modulus), bytes("AQAB")));
}

PublicKey ec_of_rfc7515() {
    return std::move(*PublicKey::from_ec(PublicKey::Kind::p256, bytes(kRfc7515X), bytes(kRfc7515Y)));
}

bool verifies(Algorithm algorithm, const PublicKey& key, std::string_view input, std::string_view signature) {
    const auto verifier = make_public_verifier(algorithm, key);
    EXPECT_TRUE(verifier) << verifier.error();
    const bool good = (*verifier)->verify(input, signature);
    EXPECT_EQ((*verifier)->verify(input, signature), good) << "the second time";
    EXPECT_EQ(ERR_peek_error(), 0U) << "nothing is left in the queue of errors that is nginx's too";
    return good;
}

TEST(Signature, AcceptsTheExamplesOfTheRfcs) {
    const std::string input = std::string("eyJhbGciOiJSUzI1NiJ9.") + kRfc7515Payload;
    EXPECT_TRUE(verifies(Algorithm::rs256, rsa_of_rfc7515(), input, bytes(kRfc7515RsaSignature)));  // A.2
    const std::string ec_input = std::string("eyJhbGciOiJFUzI1NiJ9.") + kRfc7515Payload;
    EXPECT_TRUE(verifies(Algorithm::es256, ec_of_rfc7515(), ec_input, bytes(kRfc7515EcSignature)));  // A.3
    const auto ed25519 = PublicKey::from_ed25519(bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
    ASSERT_TRUE(ed25519);
    EXPECT_TRUE(
        verifies(Algorithm::eddsa, *ed25519, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
                 bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")));
}

TEST(Signature, RefusesThoseExamplesWithAnyByteChangedOrOfAnotherLength) {
    const std::string input = std::string("eyJhbGciOiJFUzI1NiJ9.") + kRfc7515Payload;
    const std::string good = bytes(kRfc7515EcSignature);
    const auto verifier = make_public_verifier(Algorithm::es256, ec_of_rfc7515());
    ASSERT_TRUE(verifier);
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string forged = good;
        forged[i] = static_cast<char>(forged[i] ^ 1);
        EXPECT_FALSE((*verifier)->verify(input, forged)) << i;
        EXPECT_FALSE((*verifier)->verify(input, good.substr(0, i))) << i;
    }
    EXPECT_FALSE((*verifier)->verify(input + 'x', good));
    EXPECT_FALSE((*verifier)->verify(input, good + '\0'));
    EXPECT_TRUE((*verifier)->verify(input, good));
}

TEST(Signature, OfEcdsaIsTwoNumbersAndNotDer) {
    const std::string input = std::string("eyJhbGciOiJFUzI1NiJ9.") + kRfc7515Payload;
    const std::string raw = bytes(kRfc7515EcSignature);
    const auto der = ecdsa_to_der(raw, 32);
    ASSERT_TRUE(der);
    const std::string in_der(reinterpret_cast<const char*>(der->bytes.data()), der->size);
    EXPECT_EQ(ecdsa_from_der(in_der, 32), raw);
    EXPECT_FALSE(verifies(Algorithm::es256, ec_of_rfc7515(), input, in_der));
    // CVE-2022-21449: zeros, which a careless verifier takes for anything.
    EXPECT_FALSE(verifies(Algorithm::es256, ec_of_rfc7515(), input, std::string(64, '\0')));
    EXPECT_FALSE(verifies(Algorithm::es256, ec_of_rfc7515(), input, raw.substr(0, 32) + std::string(32, '\0')));
    EXPECT_FALSE(verifies(Algorithm::es256, ec_of_rfc7515(), input, std::string(64, '\xff')));
}

TEST(Ecdsa, NumbersKeepTheirValueInDer) {
    for (const std::size_t size : {32U, 48U}) {
        for (const char first : {'\x00', '\x01', '\x7f', '\x80', '\xff'}) {
            for (const std::size_t zeros : {std::size_t{0}, std::size_t{1}, size - 1}) {
                std::string number(size, '\x5a');
                std::fill_n(number.begin(), zeros, '\0');
                number[zeros] = first == '\0' && zeros == size - 1 ? '\x01' : first;
                const std::string raw = number + std::string(size - 1, '\0') + '\x80';
                const auto der = ecdsa_to_der(raw, size);
                ASSERT_TRUE(der) << size << ' ' << int{first} << ' ' << zeros;
                EXPECT_EQ(ecdsa_from_der({reinterpret_cast<const char*>(der->bytes.data()), der->size}, size), raw);
            }
        }
    }
    EXPECT_FALSE(ecdsa_to_der(std::string(64, '\0'), 32));
    EXPECT_FALSE(ecdsa_to_der(std::string(63, 'x'), 32));
    EXPECT_FALSE(ecdsa_to_der(std::string(64, 'x'), 48));
    EXPECT_FALSE(ecdsa_to_der(std::string(132, 'x'), 66));
    EXPECT_FALSE(ecdsa_from_der("", 32));
    EXPECT_FALSE(ecdsa_from_der("0\x06\x02\x01\x01\x02", 32));
}

TEST(Signature, OfEachAlgorithmIsAcceptedByItAlone) {
    const std::string input = "header.payload";
    for (Algorithm signer : kAlgorithms) {
        const SigningKey& key = key_for(signer);
        const auto signature = key.sign(signer, input);
        ASSERT_TRUE(signature) << signature.error();
        for (Algorithm algorithm : kAlgorithms) {
            const SigningKey& other = key_for(algorithm);
            const auto verifier = is_hmac(algorithm) ? make_hmac_verifier(algorithm, other.secret())
                                                     : make_public_verifier(algorithm, *other.public_key());
            ASSERT_TRUE(verifier) << verifier.error();
            EXPECT_EQ((*verifier)->verify(input, *signature), algorithm == signer)
                << name_of(signer) << " by " << name_of(algorithm);
            EXPECT_FALSE((*verifier)->verify(input + '.', *signature));
            EXPECT_FALSE((*verifier)->verify(input, ""));
        }
    }
}

TEST(Signature, OfPssHasASaltAsLongAsItsHash) {
    const std::string pem = key_for(Algorithm::ps256).private_pem();
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    ASSERT_NE(key, nullptr);
    for (const int salt : {0, 20, 31, 32, 33}) {
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        EVP_PKEY_CTX* options = nullptr;
        ASSERT_EQ(EVP_DigestSignInit(context, &options, EVP_sha256(), nullptr, key), 1);
        ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        ASSERT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt), 1);
        std::array<unsigned char, 1024> made;
        std::size_t size = made.size();
        ASSERT_EQ(EVP_DigestSign(context, made.data(), &size, reinterpret_cast<const unsigned char*>("x"), 1), 1);
        const std::string signature(reinterpret_cast<const char*>(made.data()), size);
        EXPECT_EQ(verifies(Algorithm::ps256, *key_for(Algorithm::ps256).public_key(), "x", signature), salt == 32)
            << salt;
        EVP_MD_CTX_free(context);
    }
    EVP_PKEY_free(key);
    BIO_free(bio);
}

TEST(Signature, NeedsAKeyThatFits) {
    EXPECT_EQ(make_public_verifier(Algorithm::es256, rsa_of_rfc7515()).error(),
              "the key can't serve ES256: it is one for RS256, PS256");
    EXPECT_EQ(make_public_verifier(Algorithm::es384, ec_of_rfc7515()).error(),
              "the key can't serve ES384: it is one for ES256");
    EXPECT_EQ(make_public_verifier(Algorithm::hs256, rsa_of_rfc7515()).error(),
              "the key can't serve HS256: it is one for RS256, PS256");
    EXPECT_EQ(make_hmac_verifier(Algorithm::hs384, std::string(47, 'k')).error(),
              "the key has 47 bytes: HS384 needs at least 48");
    EXPECT_EQ(make_hmac_verifier(Algorithm::hs512, std::string(63, 'k')).error(),
              "the key has 63 bytes: HS512 needs at least 64");
    EXPECT_EQ(make_hmac_verifier(Algorithm::rs256, std::string(64, 'k')).error(), "a secret can't serve RS256");
}

TEST(PublicKey, IsReadFromPem) {
    for (Algorithm algorithm : {Algorithm::rs256, Algorithm::es256, Algorithm::es384, Algorithm::eddsa}) {
        const SigningKey& key = key_for(algorithm);
        const auto read = PublicKey::from_pem("some words before it\n" + key.public_pem() + "\n\n");
        ASSERT_TRUE(read) << read.error();
        EXPECT_EQ(read->usual(), algorithm);
        EXPECT_EQ(read->id(), key.public_key()->id());
    }
    EXPECT_NE(key_for(Algorithm::es256).public_key()->id(), key_for(Algorithm::es384).public_key()->id());
}

TEST(PublicKey, RefusesPemOfAnythingElse) {
    const std::string good = key_for(Algorithm::es256).public_pem();
    const std::string p521 = "-----BEGIN PUBLIC KEY-----\n" + std::string(kP521Spki) + "\n-----END PUBLIC KEY-----\n";
    std::string broken = good;
    broken[60] = broken[60] == 'A' ? 'B' : 'A';
    const struct {
        std::string pem;
        const char* says;
    } kCases[] = {
        {key_for(Algorithm::es256).private_pem(), "it holds a private key: expected the public one"},
        {good + key_for(Algorithm::es256).private_pem(), "it holds a private key"},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "it holds a private key"},
        {"-----BEGIN RSA PRIVATE KEY-----\n", "it holds a private key"},
        {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "it holds a certificate"},
        {good + key_for(Algorithm::es384).public_pem(), "it holds more than one key"},
        {p521, "the EC key's curve is not supported"},
        {"-----BEGIN PUBLIC KEY-----\n" + std::string(kRsa1024Spki) + "\n-----END PUBLIC KEY-----\n",
         "the RSA key has 1024 bits: expected 2048 to 8192"},
        {"-----BEGIN PUBLIC KEY-----\n" + std::string(kX25519Spki) + "\n-----END PUBLIC KEY-----\n",
         "the kind of key is not supported"},
        {broken, ""},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "it is not a public key in PEM"},
        {"-----BEGIN PUBLIC KEY-----", "it is not a public key in PEM"},
        {"", "it is not a public key in PEM"},
        {"-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END PUBLIC "
         "KEY-----\n",
         "it is not a public key in PEM"},
    };
    for (const auto& [pem, says] : kCases) {
        const auto key = PublicKey::from_pem(pem);
        ASSERT_FALSE(key) << pem;
        EXPECT_TRUE(key.error().starts_with(says)) << key.error() << "\n" << pem;
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
}

TEST(SigningKey, TakesSecretsAndPrivateKeysOnly) {
    EXPECT_TRUE(SigningKey::read("base64:" + encode_base64(std::string(32, 'k'), Base64::standard) + "\n"));
    EXPECT_FALSE(SigningKey::read("too short"));
    EXPECT_FALSE(SigningKey::read(key_for(Algorithm::es256).public_pem()));
    EXPECT_FALSE(SigningKey::read("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
    EXPECT_FALSE(SigningKey::generate(Algorithm::hs256));
    const auto again = SigningKey::read(key_for(Algorithm::eddsa).private_pem());
    ASSERT_TRUE(again) << again.error();
    EXPECT_EQ(again->public_pem(), key_for(Algorithm::eddsa).public_pem());
    EXPECT_EQ(again->sign(Algorithm::es256, "x").error(), "the key can't sign with ES256: it is one for EdDSA");
}

}  // namespace
}  // namespace weft
