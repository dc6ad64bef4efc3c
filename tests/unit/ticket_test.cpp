#include "auth/ticket.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "auth/base64.hpp"
#include "auth/signature.hpp"

namespace weft {
namespace {

using Kind = TicketError::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";
constexpr std::int64_t kNow = 1'700'000'000;

WallTime at(std::int64_t unix_seconds) {
    return WallTime(seconds(unix_seconds));
}

std::string base64url(std::string_view bytes) {
    return encode_base64(bytes, Base64::url);
}

/// A ticket with a right signature over whatever header and payload are given, already encoded.
std::string seal_encoded(std::string_view header, std::string_view payload, std::string_view key = kKey) {
    std::string input = std::string(header) + '.' + std::string(payload);
    return input + '.' + base64url(*hmac_sha256(key, input));
}

std::string seal(std::string_view header, std::string_view payload) {
    return seal_encoded(base64url(header), base64url(payload));
}

constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";

std::string ticket_of(std::string_view claims) {
    return seal(kHeader, claims);
}

/// Claims that are fine but for what `more` adds.
std::string claims_with(std::string_view more) {
    return R"({"sub":"alice","exp":1700000060)" + (more.empty() ? "" : "," + std::string(more)) + "}";
}

TicketVerifier verifier_with(TicketRules rules = {}) {
    return std::move(*TicketVerifier::create(std::move(rules), kKey));
}

std::string name_of(Kind kind) {
    constexpr const char* kNames[] = {"malformed", "algorithm", "unknown_key", "signature",
                                      "claims",    "expired",   "not_yet",     "too_old"};
    return kNames[static_cast<int>(kind)];
}

/// "accepted", or why not.
std::string verdict(std::string_view compact, const TicketVerifier& verifier, WallTime now = at(kNow)) {
    const auto ticket = verifier.verify(compact, now);
    return ticket ? "accepted" : name_of(ticket.error().kind);
}

std::string verdict(std::string_view compact) {
    return verdict(compact, verifier_with());
}

// --- what is accepted ------------------------------------------------------------------------------------------------

TEST(TicketVerifier, GivesWhatTheTicketSays) {
    const auto ticket = verifier_with().verify(
        ticket_of(
            R"({"sub":"al\u00efce","exp":1700000060,"iat":1699999999.25,"nbf":1699999999,"jti":"t-1","iss":"i",)"
            R"("aud":["a","b"],"other":{"sub":[1,2]},"rpc":["echo","orders.*"],)"
            R"("channels":{"chat:*":["subscribe","publish"],"user:42":["subscribe","history","presence","signal"],"none":[]}})"),
        at(kNow));
    ASSERT_TRUE(ticket) << ticket.error().detail;
    EXPECT_EQ(ticket->user,
              "al\xc3\xaf"
              "ce");
    EXPECT_EQ(ticket->expires_at, at(1'700'000'060));
    EXPECT_EQ(ticket->issued_at, at(1'699'999'999) + milliseconds(250));
    EXPECT_EQ(ticket->id, "t-1");
    EXPECT_TRUE(ticket->grants.allows(Action::publish, "chat:lobby"));
    EXPECT_FALSE(ticket->grants.allows(Action::history, "chat:lobby"));
    EXPECT_TRUE(ticket->grants.allows(Action::history, "user:42"));
    EXPECT_FALSE(ticket->grants.allows(Action::subscribe, "none"));
    EXPECT_TRUE(ticket->grants.allows_rpc("orders.list"));
    EXPECT_FALSE(ticket->grants.allows_rpc("payments.list"));
}

TEST(TicketVerifier, PassesInfoThroughByteForByte) {
    const auto with = [](const std::string& info, const std::string& name = R"("info")") {
        return verifier_with().verify(
            ticket_of(claims_with("\"a\":{\"info\":1,\"b\":[\"info\"]}," + name + ":" + info)), at(kNow));
    };
    const std::string longest = R"({"x":")" + std::string(kMaxInfo - 8, 'x') + "\"}";
    for (const std::string& info :
         {std::string("{}"), std::string(R"({"n":1.50, "s":"\u00e9\"}","o":{"info":[{}]}})"), longest}) {
        const auto ticket = with(" " + info + "\n");
        ASSERT_TRUE(ticket) << ticket.error().detail;
        EXPECT_EQ(ticket->info, info);
    }
    EXPECT_EQ(with(longest + "\n").value().info.size(), kMaxInfo);
    for (const std::string& info : {std::string("1"), std::string("[]"), std::string("\"x\""),
                                    R"({"x":" )" + std::string(kMaxInfo - 8, 'x') + "\"}"}) {
        const auto ticket = with(info);
        ASSERT_FALSE(ticket) << info;
        EXPECT_EQ(ticket.error().kind, TicketError::Kind::claims);
    }
    EXPECT_FALSE(with("{}", R"("\u0069nfo")")) << "rather than to pass something else";
}

TEST(TicketVerifier, GrantsNothingUnlessTheTicketSaysSo) {
    const auto ticket = verifier_with().verify(ticket_of(claims_with("")), at(kNow));
    ASSERT_TRUE(ticket) << ticket.error().detail;
    EXPECT_EQ(ticket->grants.size(), 0U);
    EXPECT_FALSE(ticket->grants.allows(Action::subscribe, "chat:lobby"));
    EXPECT_FALSE(ticket->issued_at.has_value());
    EXPECT_TRUE(ticket->id.empty());
}

TEST(TicketVerifier, AcceptsTheSignatureOfRfc7515AppendixA1) {
    const std::string key = *decode_base64(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", Base64::url);
    const std::string compact =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const auto verifier = make_hmac_verifier(Algorithm::hs256, key);
    ASSERT_TRUE(verifier);
    const std::size_t dot = compact.rfind('.');
    EXPECT_TRUE((*verifier)->verify(compact.substr(0, dot), *decode_base64(compact.substr(dot + 1), Base64::url)));
    // As a ticket it lacks `sub`, which is found out only when the signature is right.
    const auto tickets = TicketVerifier::create({}, key);
    EXPECT_EQ(verdict(compact, *tickets, at(1'300'819'379)), "claims");
    EXPECT_EQ(verdict(compact, verifier_with(), at(1'300'819'379)), "signature");
}

TEST(TicketVerifier, AcceptsWhatSignTicketMakes) {
    const auto compact = sign_ticket(claims_with(""), kKey);
    ASSERT_TRUE(compact) << compact.error();
    EXPECT_EQ(verdict(*compact), "accepted");
}

TEST(TicketVerifier, IgnoresHeaderMembersThatItDoesNotKnow) {
    EXPECT_EQ(
        verdict(seal(R"({"kid":"1","alg":"HS256","typ":7,"jku":"https://evil.example/","jwk":{}})", claims_with(""))),
        "accepted");
}

// --- forgeries -------------------------------------------------------------------------------------------------------

TEST(TicketVerifier, RefusesASignatureOfAnotherKey) {
    EXPECT_EQ(verdict(seal_encoded(base64url(kHeader), base64url(claims_with("")), "another key of at least 32 bytes")),
              "signature");
}

TEST(TicketVerifier, RefusesATicketWithAnyBitFlipped) {
    const std::string good = ticket_of(claims_with(R"("channels":{"chat:*":["subscribe"]})"));
    const TicketVerifier verifier = verifier_with();
    ASSERT_EQ(verdict(good, verifier), "accepted");
    for (std::size_t i = 0; i < good.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string forged = good;
            forged[i] = static_cast<char>(forged[i] ^ 1 << bit);
            EXPECT_NE(verdict(forged, verifier), "accepted") << "byte " << i << " bit " << bit;
        }
    }
}

TEST(TicketVerifier, RefusesATicketCutOffAnywhere) {
    const std::string good = ticket_of(claims_with(""));
    const TicketVerifier verifier = verifier_with();
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_NE(verdict(good.substr(0, size), verifier), "accepted") << size;
        EXPECT_NE(verdict(good.substr(good.size() - size), verifier), "accepted") << size;
    }
}

TEST(TicketVerifier, RefusesATicketWithAnythingAddedOrTakenOut) {
    const std::string good = ticket_of(claims_with(""));
    const TicketVerifier verifier = verifier_with();
    for (std::size_t i = 0; i <= good.size(); ++i) {
        for (char extra : {'A', '.', '=', ' ', '\n', '\0', '+', '/', '\x80'}) {
            std::string forged = good;
            forged.insert(i, 1, extra);
            EXPECT_NE(verdict(forged, verifier), "accepted") << i << ' ' << extra;
        }
        if (i < good.size()) {
            EXPECT_NE(verdict(std::string(good).erase(i, 1), verifier), "accepted") << i;
        }
    }
}

TEST(TicketVerifier, PinsTheAlgorithm) {
    const struct {
        const char* header;
        const char* verdict;
    } kCases[] = {
        {R"({"alg":"none"})", "algorithm"},
        {R"({"alg":"None"})", "algorithm"},
        {R"({"alg":""})", "algorithm"},
        {R"({"alg":"hs256"})", "algorithm"},
        {R"({"alg":"HS256 "})", "algorithm"},
        {R"({"alg":"HS256\u0000"})", "algorithm"},
        {R"({"alg":"HS384"})", "algorithm"},
        {R"({"alg":"HS512"})", "algorithm"},
        {R"({"alg":"RS256"})", "algorithm"},
        {R"({"alg":"EdDSA"})", "algorithm"},
        {R"({"typ":"JWT"})", "algorithm"},
        {R"({"Alg":"HS256"})", "algorithm"},
        {R"({})", "algorithm"},
        {R"({"alg":null})", "malformed"},
        {R"({"alg":["HS256"]})", "malformed"},
        {R"({"alg":256})", "malformed"},
        {R"({"alg":"HS256","alg":"HS256"})", "malformed"},
        {R"({"alg":"none","alg":"HS256"})", "malformed"},
        {R"({"alg":"HS256","alg":"none"})", "malformed"},
        {R"({"alg":"HS256","kid":"a","kid":"b"})", "malformed"},
        {R"({"alg":"HS256","crit":["exp"],"exp":1})", "malformed"},
        {R"({"alg":"HS256","crit":["b64"],"b64":false})", "malformed"},
        {R"({"alg":"HS256","crit":[]})", "malformed"},
        {R"({"alg":"HS256","crit":null})", "malformed"},
        {R"({"alg":"HS256","kid":1})", "malformed"},
        {R"({"alg":"HS256","kid":null})", "malformed"},
        {R"(["HS256"])", "malformed"},
        {R"("HS256")", "malformed"},
        {"", "malformed"},
        {R"({"alg":"HS256")", "malformed"},
        {R"({"alg":"HS256"}x)", "malformed"},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "malformed"},
    };
    for (const auto& [header, expected] : kCases) {
        EXPECT_EQ(verdict(seal(header, claims_with(""))), expected) << header;
        // And as attackers send it, without any signature.
        const std::string unsigned_ticket = base64url(header) + '.' + base64url(claims_with("")) + '.';
        EXPECT_EQ(verdict(unsigned_ticket), expected) << header;
    }
    std::string many = R"({"alg":"HS256")";
    for (int i = 0; i < 32; ++i) many += ",\"" + std::to_string(i) + "\":1";
    EXPECT_EQ(verdict(seal(many + "}", claims_with(""))), "malformed");
}

TEST(TicketVerifier, ChecksTheSignatureBeforeItReadsTheClaims) {
    std::string forged =
        seal_encoded(base64url(kHeader), base64url("not JSON at all"), "another key of at least 32 bytes");
    EXPECT_EQ(verdict(forged), "signature");
    EXPECT_EQ(verdict(ticket_of("not JSON at all")), "malformed");
}

TEST(TicketVerifier, RefusesSignaturesOfAnotherLength) {
    const std::string input = base64url(kHeader) + '.' + base64url(claims_with(""));
    const std::string mac = *hmac_sha256(kKey, input);
    EXPECT_EQ(verdict(input + '.'), "signature");
    for (std::size_t size = 0; size < mac.size(); ++size) {
        EXPECT_EQ(verdict(input + '.' + base64url(mac.substr(0, size))), "signature") << size;
    }
    EXPECT_EQ(verdict(input + '.' + base64url(mac + '\0')), "signature");
    EXPECT_EQ(verdict(input + '.' + base64url(mac + mac)), "signature");
    EXPECT_EQ(verdict(input + '.' + base64url(mac)), "accepted");
}

TEST(TicketVerifier, TakesOneSpellingOfATicketOnly) {
    const std::string header = base64url(kHeader);  // 27 bytes: nothing to pad
    const std::string claims = claims_with(R"("x":123)");
    ASSERT_EQ(claims.size() % 3, 1U) << "so that base64 has spare bits, and could be padded";
    const std::string payload = base64url(claims);
    const std::string good = seal_encoded(header, payload);
    ASSERT_EQ(verdict(good), "accepted");
    const std::string signature = good.substr(good.rfind('.') + 1);

    std::string spare_bits = payload;  // decodes to the same bytes if one looks away
    spare_bits.back() = static_cast<char>(spare_bits.back() + 1);
    for (const std::string& text : {
             good + '=',
             good + '.',
             good + "..",
             '.' + good,
             good + '\n',
             ' ' + good,
             "\xef\xbb\xbf" + good,
             header + ".." + payload + '.' + signature,
             header + '.' + payload,
             payload,
             std::string(),
             std::string("."),
             std::string(".."),
             std::string("..."),
             ".." + signature,
             '.' + payload + '.' + signature,
             good + '.' + signature,
             seal_encoded(header + "==", payload),
             seal_encoded(header, payload + "=="),
             seal_encoded(header, payload + "="),
             seal_encoded(header, spare_bits),
             seal_encoded(header, payload + "\n"),
             seal_encoded(" " + header, payload),
             seal_encoded(header, payload + "A"),
             seal_encoded(header, encode_base64(claims, Base64::standard)),
             seal_encoded(header, ""),
             seal_encoded("", payload),
         }) {
        EXPECT_EQ(verdict(text), "malformed") << text;
    }
    // Without claims: three parts, but not signed so.
    EXPECT_EQ(verdict(header + ".."), "signature");
    EXPECT_EQ(verdict(header + ".." + signature), "signature");
}

TEST(TicketVerifier, RefusesATicketThatIsTooLong) {
    const auto of_size = [](std::size_t claims) {
        const std::string start = R"({"sub":"a","exp":1700000060,"x":")";
        return ticket_of(start + std::string(claims - start.size() - 2, 'x') + "\"}");
    };
    std::size_t claims = 6000;
    while (of_size(claims + 1).size() <= kMaxTicket) ++claims;
    EXPECT_EQ(verdict(of_size(claims)), "accepted");
    EXPECT_EQ(verdict(of_size(claims + 1)), "malformed");
    EXPECT_EQ(verdict(std::string(10'000'000, '.')), "malformed");
}

// --- claims ----------------------------------------------------------------------------------------------------------

TEST(TicketVerifier, ReadsClaimsStrictly) {
    const std::string longest(kMaxUser, 'u');
    const struct {
        std::string claims;
        const char* verdict;
    } kCases[] = {
        {R"({"exp":1700000060})", "claims"},
        {R"({"sub":"a"})", "claims"},
        {R"({"sub":"","exp":1700000060})", "claims"},
        {R"({"sub":7,"exp":1700000060})", "claims"},
        {R"({"sub":null,"exp":1700000060})", "claims"},
        {R"({"sub":["a"],"exp":1700000060})", "claims"},
        {R"({"sub":"a\nb","exp":1700000060})", "claims"},
        {R"({"sub":"a\u0000","exp":1700000060})", "claims"},
        {R"({"sub":"\u007f","exp":1700000060})", "claims"},
        {R"({"sub":")" + longest + R"(","exp":1700000060})", "accepted"},
        {R"({"sub":")" + longest + R"(u","exp":1700000060})", "claims"},
        {R"({"sub":"a","exp":"1700000060"})", "claims"},
        {R"({"sub":"a","exp":null})", "claims"},
        {R"({"sub":"a","exp":true})", "claims"},
        {R"({"sub":"a","exp":[1700000060]})", "claims"},
        {R"({"sub":"a","exp":-1})", "claims"},
        {R"({"sub":"a","exp":1e300})", "claims"},
        {R"({"sub":"a","exp":9223372036854775807})", "claims"},
        {R"({"sub":"a","exp":18446744073709551615})", "claims"},
        {R"({"sub":"a","exp":253402300800})", "claims"},
        {R"({"sub":"a","exp":253402300799})", "accepted"},
        {R"({"sub":"a","exp":99999999999999999999999})", "malformed"},
        {R"({"sub":"a","exp":1e400})", "malformed"},
        {R"({"sub":"a","exp":1700000060.5})", "accepted"},
        {R"({"sub":"a","exp":1.70000006e9})", "accepted"},
        {R"({"sub":"a","exp":0})", "expired"},
        {claims_with(R"("nbf":"now")"), "claims"},
        {claims_with(R"("nbf":-5)"), "claims"},
        {claims_with(R"("iat":false)"), "claims"},
        {claims_with(R"("iat":1e99)"), "claims"},
        {claims_with(R"("jti":5)"), "claims"},
        {claims_with(R"("jti":"")"), "claims"},
        {claims_with(R"("jti":"a\r")"), "claims"},
        {claims_with(R"("jti":")" + std::string(kMaxTicketId, 'j') + '"'), "accepted"},
        {claims_with(R"("jti":")" + std::string(kMaxTicketId + 1, 'j') + '"'), "claims"},
        {claims_with(R"("iss":1)"), "claims"},
        {claims_with(R"("aud":1)"), "claims"},
        {claims_with(R"("aud":["a",1])"), "claims"},
        {claims_with(R"("aud":"a")"), "accepted"},
        {claims_with(R"("aud":[])"), "accepted"},
        {claims_with(R"("iat":)" + std::string(400, '9')), "malformed"},
        {claims_with(R"("x":)" + std::string(3000, '[') + std::string(3000, ']')), "malformed"},
        {claims_with(R"("x":)" + std::string(500, '[') + std::string(500, ']')), "accepted"},
        {claims_with(R"("channels":)" + std::string(500, '[') + std::string(500, ']')), "malformed"},
        {claims_with(R"("sub":"bob")"), "malformed"},
        {claims_with(R"("exp":9999999999)"), "malformed"},
        {claims_with(R"("s\u0075b":"bob")"), "malformed"},
        {claims_with(R"("x":1,"x":1)"), "malformed"},
        {claims_with(R"("channels":{},"channels":{"**":["publish"]})"), "malformed"},
        {"[]", "malformed"},
        {"null", "malformed"},
        {"", "malformed"},
        {R"({"sub":"a","exp":1700000060)", "malformed"},
        {R"({"sub":"a","exp":1700000060}{})", "malformed"},
        {"{\"sub\":\"\xff\",\"exp\":1700000060}", "malformed"},
        {R"({"sub":"\ud800","exp":1700000060})", "malformed"},
    };
    for (const auto& [claims, expected] : kCases) EXPECT_EQ(verdict(ticket_of(claims)), expected) << claims;
    std::string many;
    for (int i = 0; i < 127; ++i) many += (many.empty() ? "\"" : ",\"") + std::to_string(i) + "\":1";
    EXPECT_EQ(verdict(ticket_of(claims_with(many))), "malformed") << "129 claims";
}

TEST(TicketVerifier, ReadsGrantsStrictly) {
    const struct {
        const char* claims;
        const char* detail;
    } kCases[] = {
        {R"("channels":[])", "channels is not an object"},
        {R"("channels":null)", "channels is not an object"},
        {R"("channels":{"a":"subscribe"})", "the list of actions for channels \"a\" is not an array"},
        {R"("channels":{"a":[1]})", "the list of actions for channels \"a\" has an item that is not a string"},
        {R"("channels":{"a":["subscribe"],"chat:*":["publish","admin"]})",
         "the list of actions for channels \"chat:*\" has an unknown one: expected subscribe, publish, signal, "
         "presence, history or *"},
        {R"("channels":{"a":["Subscribe"]})",
         "the list of actions for channels \"a\" has an unknown one: expected subscribe, publish, signal, presence, "
         "history or *"},
        {R"("channels":{"a":[""]})",
         "the list of actions for channels \"a\" has an unknown one: expected subscribe, publish, signal, presence, "
         "history or *"},
        {R"("channels":{"":["subscribe"]})", "channels \"\" is not a pattern of channels"},
        {R"("channels":{"a b\n\u001b[2J":["subscribe"]})", "channels \"a?b??[2J\" is not a pattern of channels"},
        {R"("channels":{"a":["subscribe"],"a":["publish"]})", "channels \"a\" is given twice"},
        {R"("rpc":"echo")", "rpc is not an array"},
        {R"("rpc":{"echo":true})", "rpc is not an array"},
        {R"("rpc":[1])", "rpc has an item that is not a string"},
        {R"("rpc":["a b"])", "rpc \"a?b\" is not a pattern of methods"},
    };
    for (const auto& [claims, detail] : kCases) {
        const auto ticket = verifier_with().verify(ticket_of(claims_with(claims)), at(kNow));
        ASSERT_FALSE(ticket) << claims;
        EXPECT_EQ(name_of(ticket.error().kind), "malformed") << claims;
        EXPECT_EQ(ticket.error().detail, detail) << claims;
    }
}

TEST(TicketVerifier, BoundsThePatternsOfOneTicket) {
    const auto claims = [](std::size_t channels, std::size_t methods) {
        std::string text;
        for (std::size_t i = 0; i < channels; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":[]";
        text = "\"channels\":{" + text + "},\"rpc\":[";
        for (std::size_t i = 0; i < methods; ++i) text += i == 0 ? "\"m\"" : ",\"m\"";
        return ticket_of(claims_with(text + "]"));
    };
    EXPECT_EQ(verdict(claims(Grants::kMaxPatterns / 2, Grants::kMaxPatterns / 2)), "accepted");
    EXPECT_EQ(verdict(claims(Grants::kMaxPatterns / 2, Grants::kMaxPatterns / 2 + 1)), "malformed");
    EXPECT_EQ(verdict(claims(Grants::kMaxPatterns + 1, 0)), "malformed");
}

// --- time ------------------------------------------------------------------------------------------------------------

TEST(TicketVerifier, HoldsExpNbfAndIatToTheMillisecondWithLeeway) {
    const auto leeway = [](int value) {
        TicketRules rules;
        rules.leeway = seconds(value);
        return rules;
    };
    const auto max_age = [&](int value, int age) {
        TicketRules rules = leeway(value);
        rules.max_age = seconds(age);
        return rules;
    };
    const struct {
        const char* claims;  // besides sub and exp = kNow + 60
        TicketRules rules;
        std::int64_t after_now_ms;
        const char* verdict;
    } kCases[] = {
        // exp: now must be before it (RFC 7519 §4.1.4)
        {"", leeway(0), 59'999, "accepted"},
        {"", leeway(0), 60'000, "expired"},
        {"", leeway(5), 64'999, "accepted"},
        {"", leeway(5), 65'000, "expired"},
        {"", {}, 64'999, "accepted"},
        {"", {}, 65'000, "expired"},
        // nbf: now must not be before it (§4.1.5)
        {R"("nbf":1700000010)", leeway(0), 9'999, "not_yet"},
        {R"("nbf":1700000010)", leeway(0), 10'000, "accepted"},
        {R"("nbf":1700000010)", leeway(5), 4'999, "not_yet"},
        {R"("nbf":1700000010)", leeway(5), 5'000, "accepted"},
        {R"("nbf":1700000010.5)", leeway(0), 10'499, "not_yet"},
        {R"("nbf":1700000010.5)", leeway(0), 10'500, "accepted"},
        // iat
        {R"("iat":1700000010)", leeway(5), 4'999, "not_yet"},
        {R"("iat":1700000010)", leeway(5), 5'000, "accepted"},
        {R"("iat":1)", leeway(0), 0, "accepted"},
        // max_age
        {"", max_age(0, 10), 0, "claims"},
        {R"("iat":1700000000)", max_age(0, 10), 10'000, "accepted"},
        {R"("iat":1700000000)", max_age(0, 10), 10'001, "too_old"},
        {R"("iat":1700000000)", max_age(5, 10), 15'000, "accepted"},
        {R"("iat":1700000000)", max_age(5, 10), 15'001, "too_old"},
        {R"("iat":1700000000)", max_age(5, 10), -5'001, "not_yet"},
    };
    for (const auto& [claims, rules, after, expected] : kCases) {
        EXPECT_EQ(verdict(ticket_of(claims_with(claims)), verifier_with(rules), at(kNow) + milliseconds(after)),
                  expected)
            << claims << " at " << after;
    }
}

// --- issuer, audience, single use ------------------------------------------------------------------------------------

TEST(TicketVerifier, WantsTheIssuerAndTheAudienceThatItWasToldOf) {
    TicketRules iss;
    iss.issuers = {"https://id.example", "b"};
    TicketRules aud;
    aud.audiences = {"weft", "chat"};
    TicketRules both = iss;
    both.audiences = aud.audiences;
    std::string many;
    for (std::size_t i = 0; i <= kMaxAudiences; ++i) many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + '"';
    const struct {
        std::string claims;
        const TicketRules& rules;
        const char* verdict;
    } kCases[] = {
        {R"("iss":"https://id.example")", iss, "accepted"},
        {R"("iss":"b")", iss, "accepted"},
        {R"("iss":"https:\/\/id.example")", iss, "accepted"},  // JSON's spelling, not the claim's
        {"", iss, "claims"},
        {R"("iss":"")", iss, "claims"},
        {R"("iss":"https://id.example/")", iss, "claims"},
        {R"("iss":"HTTPS://id.example")", iss, "claims"},
        {R"("iss":"b\u0000")", iss, "claims"},
        {R"("iss":["b"])", iss, "claims"},
        {R"("aud":"b")", iss, "claims"},
        {R"("aud":"weft")", aud, "accepted"},
        {R"("aud":["other","chat"])", aud, "accepted"},
        {"", aud, "claims"},
        {R"("aud":[])", aud, "claims"},
        {R"("aud":"other")", aud, "claims"},
        {R"("aud":["other","Weft"])", aud, "claims"},
        {R"("aud":"weft chat")", aud, "claims"},
        {R"("aud":{"weft":1})", aud, "claims"},
        {R"("aud":[["weft"]])", aud, "claims"},
        {R"("aud":[)" + many + "]", aud, "claims"},
        {R"("iss":"weft")", aud, "claims"},
        {R"("iss":"b","aud":"weft")", both, "accepted"},
        {R"("iss":"b")", both, "claims"},
        {R"("aud":"weft")", both, "claims"},
    };
    for (const auto& [claims, rules, expected] : kCases) {
        EXPECT_EQ(verdict(ticket_of(claims_with(claims)), verifier_with(rules)), expected) << claims;
    }
}

TEST(TicketVerifier, WantsAnIdOfATicketThatIsForOneUse) {
    TicketRules rules;
    rules.once = true;
    EXPECT_EQ(verdict(ticket_of(claims_with("")), verifier_with(rules)), "claims");
    EXPECT_EQ(verdict(ticket_of(claims_with(R"("jti":"")")), verifier_with(rules)), "claims");
    EXPECT_EQ(verdict(ticket_of(claims_with(R"("jti":"a")")), verifier_with(rules)), "accepted");
}

TEST(TicketVerifier, KnowsFromWhenOnItRefusesATicket) {
    for (const bool aged : {false, true}) {
        TicketRules rules;
        rules.leeway = seconds(7);
        if (aged) rules.max_age = seconds(10);
        const TicketVerifier verifier = verifier_with(rules);
        const std::string compact = ticket_of(claims_with(R"("iat":1699999999)"));
        const auto ticket = verifier.verify(compact, at(kNow));
        ASSERT_TRUE(ticket);
        const WallTime end = verifier.refused_from(*ticket);
        EXPECT_EQ(verdict(compact, verifier, end - milliseconds(1)), "accepted") << aged;
        EXPECT_NE(verdict(compact, verifier, end), "accepted") << aged;
    }
}

// --- making verifiers, keys and tickets ------------------------------------------------------------------------------

TEST(TicketVerifier, RefusesRulesThatItCannotKeep) {
    EXPECT_EQ(TicketVerifier::create({}, std::string(31, 'k')).error(),
              "the key has 31 bytes: HS256 needs at least 32");
    EXPECT_TRUE(TicketVerifier::create({}, std::string(32, 'k')));
    EXPECT_TRUE(TicketVerifier::create({}, std::string(1000, '\0')));
    TicketRules rules;
    rules.leeway = seconds(-1);
    EXPECT_FALSE(TicketVerifier::create(rules, kKey));
    rules.leeway = seconds::max();
    EXPECT_FALSE(TicketVerifier::create(rules, kKey)) << "would overflow";
    rules.leeway = seconds(0);
    rules.max_age = seconds(0);
    EXPECT_FALSE(TicketVerifier::create(rules, kKey));
    rules.max_age = seconds::max();
    EXPECT_FALSE(TicketVerifier::create(rules, kKey));
}

TEST(TicketVerifier, DoesNotTellTheTicketsBytesWhenItRefuses) {
    for (const std::string& text :
         {std::string("s3cret"), std::string("s3cret.s3cret.s3cret"), seal(R"({"alg":"s3cret"})", "s3cret"),
          ticket_of("s3cret"), ticket_of(R"({"s3cret":1,"s3cret":2})"), ticket_of(R"({"sub":"s3cret","exp":1})"),
          ticket_of(R"({"sub":"a","exp":"s3cret"})"),
          ticket_of(R"({"sub":"a","exp":1,"channels":{"x":["s3cret"]}})")}) {
        const auto ticket = verifier_with().verify(text, at(kNow));
        ASSERT_FALSE(ticket);
        EXPECT_EQ(ticket.error().detail.find("s3cret"), std::string::npos) << ticket.error().detail;
        EXPECT_FALSE(ticket.error().detail.empty());
    }
}

TEST(SignTicket, RefusesWhatWouldBeNoTicket) {
    EXPECT_EQ(sign_ticket("[]", kKey).error(), "the claims are not a JSON object");
    EXPECT_EQ(sign_ticket("{", kKey).error(), "the claims are not a JSON object");
    EXPECT_EQ(sign_ticket("{}", "short").error(), "the key has 5 bytes: HS256 needs at least 32");
    EXPECT_FALSE(sign_ticket("{\"x\":\"" + std::string(kMaxTicket, 'x') + "\"}", kKey));
}

TEST(ReadKey, TakesRawBase64AndHexWithOneLineBreakAtTheEnd) {
    const struct {
        std::string_view content, key;
    } kCases[] = {
        {"secret", "secret"},
        {"secret\n", "secret"},
        {"secret\r\n", "secret"},
        {"secret\n\n", "secret\n"},
        {"secret\r", "secret\r"},
        {" secret ", " secret "},
        {std::string_view("\0\xff\n\0", 4), std::string_view("\0\xff\n\0", 4)},
        {"base64:c2VjcmV0cw==\n", "secrets"},
        {"base64:+/8=", "\xfb\xff"},
        {"hex:00fFA0\r\n", std::string_view("\x00\xff\xa0", 3)},
        {"Base64:c2Vj", "Base64:c2Vj"},
    };
    for (const auto& [content, key] : kCases) {
        const auto read = read_key(content);
        ASSERT_TRUE(read) << content << read.error();
        EXPECT_EQ(*read, key);
    }
}

TEST(ReadKey, RefusesWhatIsNoKeyWithoutQuotingIt) {
    for (const char* content : {"",
                                "\n",
                                "\r\n",
                                "base64:",
                                "hex:",
                                "hex:\n",
                                "base64:c2VjcmV0cw",
                                "base64:c2Vj cmV0",
                                "base64:c2Vj\ncmV0",
                                "base64:c2VjcmV0cx==",
                                "base64:-_8=",
                                "base64:====",
                                "base64:c2V=cmV0",
                                "hex:abc",
                                "hex:0x00",
                                "hex:zz",
                                "hex:00 11",
                                "{\"k\":\"c2VjcmV0\"}",
                                " \n[\"c2VjcmV0\"]",
                                "ssh-ed25519 c2VjcmV0",
                                "ecdsa-sha2-nistp256 c2V",
                                "-----BEGIN PUBLIC KEY-----\nc2V"}) {
        const auto read = read_key(content);
        ASSERT_FALSE(read) << content;
        EXPECT_EQ(read.error().find("c2V"), std::string::npos);
    }
}

TEST(Base64, IsThatOfRfc4648Section10) {
    const struct {
        const char *bytes, *url, *standard;
    } kCases[] = {{"", "", ""},
                  {"f", "Zg", "Zg=="},
                  {"fo", "Zm8", "Zm8="},
                  {"foo", "Zm9v", "Zm9v"},
                  {"foob", "Zm9vYg", "Zm9vYg=="},
                  {"fooba", "Zm9vYmE", "Zm9vYmE="},
                  {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                  {"\xfb\xff\xbf", "-_-_", "+/+/"}};
    for (const auto& [bytes, url, standard] : kCases) {
        EXPECT_EQ(encode_base64(bytes, Base64::url), url);
        EXPECT_EQ(encode_base64(bytes, Base64::standard), standard);
        EXPECT_EQ(decode_base64(url, Base64::url), bytes);
        EXPECT_EQ(decode_base64(standard, Base64::standard), bytes);
    }
}

TEST(Base64, HasOneTextForEachValue) {
    // Every text of up to three letters that decodes is what encoding its bytes gives back.
    std::vector<std::string> texts = {""};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto bytes = decode_base64(texts[i], Base64::url);
        if (bytes) {
            ASSERT_EQ(encode_base64(*bytes, Base64::url), texts[i]);
        }
        if (texts[i].size() == 3) continue;
        for (char c : std::string_view("ABCDPQRSghwz0189-_=.")) texts.push_back(texts[i] + c);
    }
    for (const char* text : {"A", "AAAAA", "Zh", "Zm9", "Zg==", "Zg=", "Z g", "Zg\n", "Z+", "Z/", "\x80\x80", "===="}) {
        EXPECT_FALSE(decode_base64(text, Base64::url)) << text;
    }
    for (const char* text : {"A", "Zg", "Zg=", "Zh==", "Zm9=", "Zg===", "Zm8=Zm8=", "=", "====", "Z===", "-_-_"}) {
        EXPECT_FALSE(decode_base64(text, Base64::standard)) << text;
    }
}

}  // namespace
}  // namespace weft
