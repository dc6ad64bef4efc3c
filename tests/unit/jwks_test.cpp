// JWK sets: what is taken, what is passed over, and what makes the whole set useless.
#include "auth/jwks.hpp"

#include <gtest/gtest.h>

#include <string>

#include "auth/base64.hpp"
#include "auth/signing_key.hpp"
#include "token_keys.hpp"

namespace weft {
namespace {

const std::string kSecret = encode_base64(std::string(32, 's'), Base64::url);

std::string set_of(const std::string& keys) {
    return R"({"keys":[)" + keys + "]}";
}

std::string rsa(const std::string& more = "") {
    return std::string(R"({"kty":"RSA","n":")") + kRfc7515Modulus + R"(","e":"AQAB")" + more + "}";
}

std::string ec(const std::string& more = "", const std::string& x = kRfc7515X, const std::string& y = kRfc7515Y,
               const std::string& curve = "P-256") {
    return R"({"kty":"EC","crv":")" + curve + R"(","x":")" + x + R"(","y":")" + y + '"' + more + "}";
}

std::string okp(const std::string& more = "", const std::string& curve = "Ed25519") {
    return R"({"kty":"OKP","crv":")" + curve + R"(","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")" + more + "}";
}

std::string oct(const std::string& more = "", const std::string& secret = kSecret) {
    return R"({"kty":"oct","k":")" + secret + '"' + more + "}";
}

/// What the keys of a set serve; or the error.
std::string outcome(const std::string& json, AlgorithmSet allowed = {}) {
    const auto ring = parse_jwks(json, allowed);
    return ring ? std::to_string(ring->size()) + ": " + ring->algorithms().names() : ring.error();
}

TEST(Jwks, TakesKeysOfEachKindForWhatTheyAreFor) {
    const AlgorithmSet both{Algorithm::rs256, Algorithm::ps256};
    const struct {
        std::string keys;
        AlgorithmSet allowed;
        const char* outcome;
    } kCases[] = {
        {rsa(), {}, "1: RS256"},
        {rsa(R"(,"alg":"PS256")"), {}, "1: PS256"},
        {rsa(), {Algorithm::ps256}, "1: PS256"},
        {rsa(), both, "2: RS256, PS256"},
        {rsa(R"(,"alg":"RS256")"), both, "1: RS256"},
        {ec(), {}, "1: ES256"},
        {okp(), {}, "1: EdDSA"},
        {oct(), {}, "1: HS256"},
        {oct("", encode_base64(std::string(64, 's'), Base64::url)), {Algorithm::hs512}, "1: HS512"},
        {oct(R"(,"alg":"HS384")", encode_base64(std::string(48, 's'), Base64::url)), {}, "1: HS384"},
        {rsa() + ',' + ec() + ',' + okp() + ',' + oct(), {}, "4: HS256, RS256, ES256, EdDSA"},
        {rsa() + ',' + ec() + ',' + okp() + ',' + oct(), {Algorithm::es256}, "1: ES256"},
        {ec(R"(,"use":"sig","key_ops":["sign","verify"],"x5c":["x"],"x5t":"y","ext":true)"), {}, "1: ES256"},
        // Passed over (RFC 7517 §5), as long as something is left.
        {ec() + ',' + okp("", "X25519"), {}, "1: ES256"},
        {ec() + ',' + okp("", "Ed448"), {}, "1: ES256"},
        {ec() + ',' + ec("", kRfc7515X, kRfc7515Y, "secp256k1"), {}, "1: ES256"},
        {ec() + ',' + ec("", "AA", "AA", "P-521"), {}, "1: ES256"},
        {ec() + R"(,{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"})", {}, "1: ES256"},
        {ec() + ',' + rsa(R"(,"use":"enc")"), {}, "1: ES256"},
        {ec() + ',' + rsa(R"(,"key_ops":["encrypt"])"), {}, "1: ES256"},
        {ec() + ',' + rsa(R"(,"key_ops":[])"), {}, "1: ES256"},
        {ec() + ',' + rsa(R"(,"key_ops":[7])"), {}, "1: ES256"},
        {ec() + ',' + rsa(R"(,"alg":"RS512")"), {}, "1: ES256"},
        {ec() + ',' + rsa(R"(,"alg":"none")"), {}, "1: ES256"},
        {ec() + ',' + rsa(R"(,"alg":"RSA-OAEP")"), {}, "1: ES256"},
        {ec(R"(,"kid":"a")") + ',' + rsa(R"(,"kid":"a","use":"enc")"), {}, "1: ES256"},
    };
    for (const auto& [keys, allowed, expected] : kCases) EXPECT_EQ(outcome(set_of(keys), allowed), expected) << keys;
    EXPECT_EQ(outcome(R"({"x":1,"keys":[)" + ec() + R"(],"y":{}})"), "1: ES256");
}

TEST(Jwks, RefusesTheSetForWhatCanOnlyBeAMistakeOrAnAttack) {
    const std::string flipped_y = "y_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    const std::string zeros = encode_base64(std::string(32, '\0'), Base64::url);
    const std::string p384_point = encode_base64(std::string(48, '\1'), Base64::url);
    std::string many;
    for (int i = 0; i < 65; ++i) many += (i == 0 ? "" : ",") + oct(R"(,"kid":")" + std::to_string(i) + '"');
    const struct {
        std::string json;
        const char* error;
    } kCases[] = {
        {"", "it is not a JSON object"},
        {"[]", "it is not a JSON object"},
        {"{", "it is not a JSON object"},
        {set_of(ec()) + "x", "it is not a JSON object"},
        {R"({"keys":)" + std::string(1000, '[') + std::string(1000, ']') + "}", "it is not a JSON object"},
        {"{\"keys\":[\"\xff\"]}", "it is not a JSON object"},
        {ec(), "it is not a JWK set: it has no keys"},
        {R"({"keys":{}})", "its keys are not an array"},
        {R"({"keys":[],"keys":[]})", "it has keys twice"},
        {set_of(""), "it has no key that can be used"},
        {set_of(rsa(R"(,"use":"enc")")), "it has no key that can be used"},
        {set_of("1"), "key 1 is not an object"},
        {set_of(ec() + ",[]"), "key 2 is not an object"},
        {set_of("{}"), "key 1 has no kty"},
        {set_of(R"({"kty":1})"), "key 1 has a kty that is not a string"},
        {set_of(R"({"kty":"RSA","kty":"EC"})"), "key 1 gives a member twice"},
        {set_of(ec(R"(,"kid":"a","kid":"b")")), "key 1 gives a member twice"},
        {set_of(ec(R"(,"kid":7)")), "key 1 has a kid that is not a string"},
        {set_of(ec(R"(,"kid":"")")), "key 1 has a kid of 0 bytes: expected 1 to 255"},
        {set_of(ec(R"(,"kid":")" + std::string(256, 'k') + '"')), "key 1 has a kid of 256 bytes: expected 1 to 255"},
        {set_of(ec(R"(,"kid":"a")") + ',' + rsa(R"(,"kid":"a")")), "key 2 has the kid of another"},
        {set_of(ec(R"(,"kid":"a")") + ',' + oct(R"(,"kid":"\u0061")")), "key 2 has the kid of another"},
        {set_of(ec(R"(,"key_ops":"verify")")), "key 1 has key_ops that are not an array"},
        {set_of(ec(R"(,"d":"AA")")),
         "key 1 is a private one: expected public keys (and secrets) alone, so that it can sign nothing here"},
        {set_of(rsa(R"(,"use":"enc","p":"AA")")),
         "key 1 is a private one: expected public keys (and secrets) alone, so that it can sign nothing here"},
        // keys that are none
        {set_of(R"({"kty":"RSA","n":")" + std::string(kRsa1024Modulus) + R"(","e":"AQAB"})"),
         "key 1 is none that can be used: the RSA key has 1024 bits: expected 2048 to 8192"},
        {set_of(R"({"kty":"RSA","n":")" + encode_base64(std::string(2000, 'x'), Base64::url) + R"(","e":"AQAB"})"),
         "key 1 is none that can be used: the RSA key's modulus or exponent has an impossible length"},
        {set_of(std::string(R"({"kty":"RSA","n":")") + kRfc7515Modulus + R"(","e":"AQ"})"),
         "key 1 is none that can be used: the RSA key's modulus must be odd, and its exponent odd, at least 3 and "
         "below 2^32"},
        {set_of(std::string(R"({"kty":"RSA","n":")") + kRfc7515Modulus + R"(","e":"Ag"})"),
         "key 1 is none that can be used: the RSA key's modulus must be odd, and its exponent odd, at least 3 and "
         "below 2^32"},
        {set_of(std::string(R"({"kty":"RSA","n":")") + kRfc7515Modulus + R"(","e":"AQAAAAE"})"),
         "key 1 is none that can be used: the RSA key's modulus must be odd, and its exponent odd, at least 3 and "
         "below 2^32"},
        {set_of(std::string(R"({"kty":"RSA","n":")") + kRfc7515Modulus + R"("})"), "key 1 has no e"},
        {set_of(R"({"kty":"RSA","n":"","e":"AQAB"})"), "key 1 has no n"},
        {set_of(R"({"kty":"RSA","n":"AA==","e":"AQAB"})"), "key 1 has a n that is not base64url"},
        {set_of(R"({"kty":"RSA","n":"AB","e":"AQAB"})"), "key 1 has a n that is not base64url"},
        {set_of(ec("", kRfc7515X, flipped_y)),
         "key 1 is none that can be used: the EC key's point is not on its curve"},
        {set_of(ec("", zeros, zeros)), "key 1 is none that can be used: the EC key's point is not on its curve"},
        {set_of(ec("", kRfc7515Y, kRfc7515X)),
         "key 1 is none that can be used: the EC key's point is not on its curve"},
        {set_of(ec("", kRfc7515X, "AA")),
         "key 1 is none that can be used: the EC key's coordinates don't have as many bytes as its curve"},
        {set_of(ec("", kRfc7515X, kRfc7515Y, "P-384")),
         "key 1 is none that can be used: the EC key's coordinates don't have as many bytes as its curve"},
        {set_of(ec("", p384_point, p384_point, "P-384")),
         "key 1 is none that can be used: the EC key's point is not on its curve"},
        {set_of(R"({"kty":"EC","crv":"P-256","x":"AA"})"), "key 1 has no y"},
        {set_of(R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})"),
         "key 1 is none that can be used: the Ed25519 key doesn't have 32 bytes"},
        {set_of(oct("", "c2hvcnQ")), "key 1 is none that can be used: the key has 5 bytes: HS256 needs at least 32"},
        {set_of(oct(R"(,"alg":"HS512")")),
         "key 1 is none that can be used: the key has 32 bytes: HS512 needs at least 64"},
        {set_of(R"({"kty":"oct"})"), "key 1 has no k"},
        // keys for something that they can't do: RFC 8725 §2.1
        {set_of(rsa(R"(,"alg":"HS256")")),
         "key 1 is none that can be used: the key can't serve HS256: it is one for RS256, PS256"},
        {set_of(oct(R"(,"alg":"RS256")")),
         "key 1 is none that can be used: the key can't serve RS256: it is one for HS256, HS384, HS512"},
        {set_of(ec(R"(,"alg":"ES384")")),
         "key 1 is none that can be used: the key can't serve ES384: it is one for ES256"},
        // bounds
        {set_of(many), "it has more than 64 keys"},
        {set_of(oct() + ',' + oct() + ',' + oct() + ',' + oct() + ',' + oct()),
         "key 5 is none that can be used: there are more than 4 keys without a kid for HS256"},
        {set_of(ec()) + std::string(kMaxJwks, ' '), "it is longer than 256k"},
    };
    for (const auto& [json, error] : kCases) EXPECT_EQ(outcome(json), error) << json.substr(0, 300);
    EXPECT_EQ(outcome(set_of(ec()), {Algorithm::rs256, Algorithm::hs256}),
              "it has no key that can be used for HS256, RS256");
}

TEST(Jwks, TellsNothingOfASecretWhenItRefuses) {
    for (const std::string& key : {oct("", "c2VjcmV0"), oct("", kSecret + "="), oct(R"(,"d":"AA")")}) {
        const auto ring = parse_jwks(set_of(key), {});
        ASSERT_FALSE(ring);
        EXPECT_EQ(ring.error().find("c2V"), std::string::npos);
        EXPECT_EQ(ring.error().find(kSecret.substr(0, 6)), std::string::npos);
    }
}

TEST(Jwks, IsWhatJwkOfMakes) {
    for (Algorithm algorithm : kAlgorithms) {
        const std::string json = set_of(jwk_of(key_for(algorithm), algorithm, "k \"1\"\\\n"));
        EXPECT_EQ(outcome(json), "1: " + std::string(name_of(algorithm))) << json;
        const auto ring = parse_jwks(json, {});
        ASSERT_TRUE(ring);
        KeyRing::Candidates candidates;
        ring->find(algorithm, "k \"1\"\\\n", candidates);
        ASSERT_EQ(candidates.count, 1U);
        const auto signature = key_for(algorithm).sign(algorithm, "input");
        EXPECT_TRUE(candidates.entries[0]->verifier->verify("input", *signature)) << name_of(algorithm);
    }
}

}  // namespace
}  // namespace weft
