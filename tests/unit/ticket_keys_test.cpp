// Which key a ticket is checked with: algorithms, names of keys, and keys that change.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "auth/base64.hpp"
#include "auth/jwks.hpp"
#include "auth/ticket.hpp"
#include "token_keys.hpp"

namespace weft {
namespace {

const WallTime kNow{std::chrono::seconds(1'700'000'000)};
constexpr std::string_view kClaims = R"({"sub":"alice","exp":1700000060})";

SigningKey secret(char letter) {
    return SigningKey::of_secret(std::string(32, letter));
}

std::string signed_by(const SigningKey& key, Algorithm algorithm, std::string_view name = "") {
    return sign_ticket(kClaims, key, algorithm, name).value();
}

/// A ticket with this header, whatever it says, and a signature of `key`.
std::string sealed(std::string_view header, const SigningKey& key, Algorithm algorithm) {
    const std::string input = encode_base64(header, Base64::url) + '.' + encode_base64(kClaims, Base64::url);
    return input + '.' + encode_base64(key.sign(algorithm, input).value(), Base64::url);
}

std::string verdict(const TicketVerifier& verifier, std::string_view compact, WallTime now = kNow) {
    constexpr const char* kNames[] = {"malformed", "algorithm", "unknown_key", "signature",
                                      "claims",    "expired",   "not_yet",     "too_old"};
    const auto ticket = verifier.verify(compact, now);
    return ticket ? "accepted" : kNames[static_cast<int>(ticket.error().kind)];
}

KeyRing ring_of(Algorithm algorithm) {
    KeyRing ring;
    const SigningKey& key = key_for(algorithm);
    if (key.public_key() != nullptr) {
        EXPECT_TRUE(ring.add_public({}, *key.public_key(), {algorithm}));
    } else {
        EXPECT_TRUE(ring.add_secret({}, key.secret(), {algorithm}));
    }
    return ring;
}

TicketVerifier verifier_of(KeyRing ring, std::unique_ptr<KeySource> source = nullptr) {
    return std::move(*TicketVerifier::create({}, std::move(ring), std::move(source)));
}

TEST(TicketKeys, ServeTheirAlgorithmAndNoOther) {
    for (Algorithm configured : kAlgorithms) {
        const TicketVerifier verifier = verifier_of(ring_of(configured));
        for (Algorithm used : kAlgorithms) {
            EXPECT_EQ(verdict(verifier, signed_by(key_for(used), used)), used == configured ? "accepted" : "algorithm")
                << name_of(used) << " for " << name_of(configured);
        }
    }
}

// RFC 8725 §2.1: a public key is no secret, so whoever has it could sign if it were taken for one.
TEST(TicketKeys, ThatArePublicAreNeverTakenForSecrets) {
    for (Algorithm algorithm : {Algorithm::rs256, Algorithm::es256, Algorithm::eddsa}) {
        const std::string pem = key_for(algorithm).public_pem();
        KeyRing ring = ring_of(algorithm);
        // A server that has secrets besides, so that HS256 is an algorithm that it knows.
        ASSERT_TRUE(ring.add_secret({}, std::string(32, 's'), {}));
        const TicketVerifier verifier = verifier_of(std::move(ring));
        std::string body = pem.substr(pem.find('\n') + 1);
        body.resize(body.find("-----"));
        for (const std::string& guess :
             {pem, pem.substr(0, pem.size() - 1), body, *read_key("x" + pem.substr(1, 40))}) {
            EXPECT_EQ(verdict(verifier, signed_by(SigningKey::of_secret(guess), Algorithm::hs256)), "signature");
        }
        EXPECT_EQ(verdict(verifier, signed_by(key_for(algorithm), algorithm)), "accepted");
        // And none is read as one.
        EXPECT_EQ(read_key(pem).error(), "it holds PEM, not a secret");
        EXPECT_EQ(read_key(R"({"keys":[]})").error(), "it holds JSON, not a secret");
        std::string der;
        for (char c : body) der += c == '\n' ? "" : std::string(1, c);
        EXPECT_EQ(read_key(*decode_base64(der, Base64::standard)).error(),
                  "it holds a public key in DER, not a secret");
    }
}

TEST(TicketKeys, AreChosenByNameAndByNothingElseOfTheHeader) {
    KeyRing named;
    ASSERT_TRUE(named.add_secret("a", secret('a').secret(), {}));
    ASSERT_TRUE(named.add_secret("b", secret('b').secret(), {}));
    const TicketVerifier verifier = verifier_of(std::move(named));
    const struct {
        std::string ticket;
        const char* verdict;
    } kCases[] = {
        {signed_by(secret('a'), Algorithm::hs256, "a"), "accepted"},
        {signed_by(secret('b'), Algorithm::hs256, "b"), "accepted"},
        {signed_by(secret('a'), Algorithm::hs256, "b"), "signature"},
        {signed_by(secret('a'), Algorithm::hs256, "A"), "unknown_key"},
        {signed_by(secret('a'), Algorithm::hs256, "a "), "unknown_key"},
        {signed_by(secret('a'), Algorithm::hs256, std::string(5000, 'k')), "unknown_key"},
        {signed_by(secret('a'), Algorithm::hs256), "accepted"},  // names none: both are tried
        {signed_by(secret('b'), Algorithm::hs256), "accepted"},
        {signed_by(secret('c'), Algorithm::hs256), "signature"},
        // What others took for a file, a query or a command (kid injection).
        {signed_by(secret('a'), Algorithm::hs256, "../../../../dev/null"), "unknown_key"},
        {signed_by(SigningKey::of_secret(std::string(32, '\0')), Algorithm::hs256, "/dev/zero"), "unknown_key"},
        {signed_by(secret('a'), Algorithm::hs256, "a' UNION SELECT 'x"), "unknown_key"},
        {signed_by(secret('a'), Algorithm::hs256, "a|id"), "unknown_key"},
        {sealed(R"({"alg":"HS256","kid":"a\u0000"})", secret('a'), Algorithm::hs256), "unknown_key"},
        {sealed(R"({"alg":"HS256","kid":""})", secret('a'), Algorithm::hs256), "unknown_key"},
        {sealed(R"({"alg":"HS256","kid":["a"]})", secret('a'), Algorithm::hs256), "malformed"},
        // A key that comes with the ticket is nobody's.
        {sealed(R"({"alg":"HS256","kid":"a","jwk":{"kty":"oct","k":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}})",
                secret('x'), Algorithm::hs256),
         "signature"},
        {sealed(R"({"alg":"HS256","kid":"a","jku":"https://evil.example/jwks.json"})", secret('x'), Algorithm::hs256),
         "signature"},
        {sealed(R"({"alg":"HS256","kid":"a","x5u":"https://evil.example/","x5c":["MIIB"]})", secret('x'),
                Algorithm::hs256),
         "signature"},
    };
    for (const auto& [ticket, expected] : kCases) {
        EXPECT_EQ(verdict(verifier, ticket), expected)
            << decode_base64(ticket.substr(0, ticket.find('.')), Base64::url)->substr(0, 80);
    }
}

TEST(TicketKeys, WithoutANameServeTicketsThatNameAny) {
    const TicketVerifier verifier = verifier_of(ring_of(Algorithm::hs256));
    EXPECT_EQ(verdict(verifier, signed_by(key_for(Algorithm::hs256), Algorithm::hs256, "whatever")), "accepted");
    EXPECT_EQ(verdict(verifier, signed_by(secret('x'), Algorithm::hs256, "whatever")), "signature");
}

TEST(TicketKeys, AreTriedInABoundedNumber) {
    KeyRing ring;
    for (char letter = 'a'; letter < 'a' + 10; ++letter) {
        ASSERT_TRUE(ring.add_secret(std::string(1, letter), secret(letter).secret(), {}));
    }
    const TicketVerifier verifier = verifier_of(std::move(ring));
    int accepted = 0;
    for (char letter = 'a'; letter < 'a' + 10; ++letter) {
        accepted += verdict(verifier, signed_by(secret(letter), Algorithm::hs256)) == "accepted" ? 1 : 0;
        EXPECT_EQ(verdict(verifier, signed_by(secret(letter), Algorithm::hs256, std::string(1, letter))), "accepted");
    }
    EXPECT_EQ(accepted, int{KeyRing::kMaxNameless}) << "tickets that name no key";
    KeyRing nameless;
    for (char letter = 'a'; letter < 'a' + 4; ++letter) {
        ASSERT_TRUE(nameless.add_secret({}, secret(letter).secret(), {}));
    }
    EXPECT_EQ(nameless.add_secret({}, secret('z').secret(), {}).error(),
              "there are more than 4 keys without a kid for HS256");
    EXPECT_TRUE(nameless.add_secret("named", secret('z').secret(), {}));
    KeyRing full;
    for (std::size_t i = 0; i < kMaxKeys; ++i)
        ASSERT_TRUE(full.add_secret(std::to_string(i), secret('a').secret(), {}));
    EXPECT_EQ(full.add_secret("one more", secret('a').secret(), {}).error(), "there are more than 64 keys");
}

TEST(TicketKeys, ServeWhatIsAllowedAndFitsThem) {
    KeyRing ring;
    const AlgorithmSet allowed{Algorithm::rs256, Algorithm::ps256, Algorithm::hs384};
    ASSERT_TRUE(ring.add_public({}, *key_for(Algorithm::rs256).public_key(), allowed));
    EXPECT_EQ(ring.algorithms().names(), "RS256, PS256");
    EXPECT_EQ(ring.add_public({}, *key_for(Algorithm::es256).public_key(), allowed).error(),
              "the key can't serve HS384, RS256, PS256: it is one for ES256");
    EXPECT_EQ(ring.add_secret({}, secret('a').secret(), allowed).error(),
              "the key has 32 bytes: HS384 needs at least 48");
    EXPECT_EQ(ring.add_secret({}, secret('a').secret(), {Algorithm::rs256}).error(),
              "the key can't serve RS256: it is one for HS256, HS384, HS512");
}

TEST(TicketKeys, TellWhoSigned) {
    KeyRing ring;
    ASSERT_TRUE(ring.add_secret({}, secret('a').secret(), {}));
    ASSERT_TRUE(ring.add_secret({}, secret('b').secret(), {}));
    const TicketVerifier both = verifier_of(std::move(ring));
    KeyRing same;
    ASSERT_TRUE(same.add_secret("named", secret('b').secret(), {}));
    const TicketVerifier other = verifier_of(std::move(same));
    const auto by_a = both.verify(signed_by(secret('a'), Algorithm::hs256), kNow);
    const auto by_b = both.verify(signed_by(secret('b'), Algorithm::hs256), kNow);
    const auto elsewhere = other.verify(signed_by(secret('b'), Algorithm::hs256, "named"), kNow);
    ASSERT_TRUE(by_a && by_b && elsewhere);
    EXPECT_NE(by_a->key, by_b->key);
    EXPECT_EQ(by_b->key, elsewhere->key) << "the same key in another file";
}

/// Hands out what a test puts there.
struct TestSource final : KeySource {
    explicit TestSource(std::optional<std::string>& next) : next(next) {}
    std::optional<KeyRing> changed(WallTime) override {
        if (!next) return std::nullopt;
        auto ring = parse_jwks(*std::exchange(next, std::nullopt), {});
        EXPECT_TRUE(ring) << ring.error();
        return std::move(*ring);
    }
    std::optional<std::string>& next;
};

TEST(TicketKeys, ThatChangeAreUsedFromTheNextTicketOn) {
    const auto set = [](std::initializer_list<char> letters) {
        std::string keys;
        for (char letter : letters) {
            keys += (keys.empty() ? "" : ",") + jwk_of(secret(letter), Algorithm::hs256, std::string(1, letter));
        }
        return R"({"keys":[)" + keys + "]}";
    };
    std::optional<std::string> next = set({'a'});
    KeyRing fixed;
    ASSERT_TRUE(fixed.add_secret({}, secret('f').secret(), {}));
    const TicketVerifier verifier = verifier_of(std::move(fixed), std::make_unique<TestSource>(next));
    const auto by = [](char letter) { return signed_by(secret(letter), Algorithm::hs256, std::string(1, letter)); };
    EXPECT_EQ(verdict(verifier, by('a')), "accepted");
    EXPECT_EQ(verdict(verifier, by('a')), "accepted");
    EXPECT_EQ(verdict(verifier, by('b')), "signature")
        << "no key of the set has its name, and the nameless one is not it";
    EXPECT_EQ(verdict(verifier, by('f')), "accepted") << "keys of files stay";
    next = set({'a', 'b'});
    EXPECT_EQ(verdict(verifier, by('b')), "accepted");
    EXPECT_EQ(verdict(verifier, by('a')), "accepted");
    next = set({'b'});
    EXPECT_EQ(verdict(verifier, by('a')), "signature") << "whose header was the last that was right";
    EXPECT_EQ(verdict(verifier, by('b')), "accepted");
    EXPECT_EQ(verdict(verifier, by('f')), "accepted");
    EXPECT_EQ(verdict(verifier, signed_by(secret('f'), Algorithm::hs256, "b")), "signature")
        << "a name that the set has means the set's key";
}

}  // namespace
}  // namespace weft
