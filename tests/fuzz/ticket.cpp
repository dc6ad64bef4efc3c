// Tickets from strangers, and claims behind a right signature.
#include "auth/ticket.hpp"

#include <cstdint>
#include <string>

#include "auth/base64.hpp"
#include "auth/ecdsa.hpp"
#include "auth/signature.hpp"
#include "support/require.hpp"

namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";
const weft::WallTime kNow{std::chrono::seconds(1'700'000'000)};

const weft::TicketVerifier& verifier() {
    static const auto verifier = weft::TicketVerifier::create({}, kKey);
    return *verifier;
}

/// One with several keys, of which strangers may name any, and all that can be asked of claims.
const weft::TicketVerifier& strict_verifier() {
    static const auto verifier = [] {
        weft::KeyRing keys;
        (void)keys.add_secret({}, kKey, {});
        (void)keys.add_secret("a", kKey, {});
        const auto ed25519 = weft::PublicKey::from_ed25519(
            *weft::decode_base64("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", weft::Base64::url));
        (void)keys.add_public("b", *ed25519, {});
        const auto p256 = weft::PublicKey::from_ec(
            weft::PublicKey::Kind::p256,
            *weft::decode_base64("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", weft::Base64::url),
            *weft::decode_base64("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", weft::Base64::url));
        (void)keys.add_public("c", *p256, {});
        weft::TicketRules rules;
        rules.issuers = {"i"};
        rules.audiences = {"w"};
        rules.max_age = std::chrono::seconds(60);
        rules.once = true;
        return weft::TicketVerifier::create(rules, std::move(keys));
    }();
    return *verifier;
}

/// A signature means one thing in DER, and the same when it comes back.
void check_ecdsa(std::string_view text) {
    for (const std::size_t size : {32U, 48U}) {
        if (const auto der = weft::ecdsa_to_der(text.substr(0, 2 * size), size)) {
            const std::string_view made(reinterpret_cast<const char*>(der->bytes.data()), der->size);
            REQUIRE(weft::ecdsa_from_der(made, size) == text.substr(0, 2 * size));
        }
        (void)weft::ecdsa_from_der(text, size);
    }
}

/// Base64url has one text for each value, or a ticket could be varied without breaking its signature.
void check_base64(std::string_view text) {
    for (weft::Base64 alphabet : {weft::Base64::url, weft::Base64::standard}) {
        const auto bytes = weft::decode_base64(text, alphabet);
        REQUIRE(!bytes || weft::encode_base64(*bytes, alphabet) == text);
        REQUIRE(weft::decode_base64(weft::encode_base64(text, alphabet), alphabet) == text);
    }
}

std::string seal(std::string_view header, std::string_view payload) {
    std::string compact = weft::encode_base64(header, weft::Base64::url) + '.';
    compact += weft::encode_base64(payload, weft::Base64::url);
    const std::string mac = *weft::hmac_sha256(kKey, compact);
    return compact + '.' + weft::encode_base64(mac, weft::Base64::url);
}

void check(const tl::expected<weft::Ticket, weft::TicketError>& ticket) {
    if (!ticket) {
        REQUIRE(!ticket.error().detail.empty());
        for (char c : ticket.error().detail) REQUIRE(c >= 0x20 && c < 0x7f);
        return;
    }
    REQUIRE(!ticket->user.empty() && ticket->user.size() <= weft::kMaxUser);
    REQUIRE(ticket->id.size() <= weft::kMaxTicketId);
    REQUIRE(ticket->expires_at + std::chrono::seconds(5) > kNow);
    REQUIRE(ticket->grants.size() <= weft::Grants::kMaxPatterns);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    check_base64(text);
    check(verifier().verify(text, kNow));
    check(verifier().verify(seal(R"({"alg":"HS256"})", text), kNow));
    check(verifier().verify(seal(text, R"({"sub":"a","exp":1700000060})"), kNow));
    check(strict_verifier().verify(text, kNow));
    const auto strict = strict_verifier().verify(seal(R"({"alg":"HS256","kid":"a"})", text), kNow);
    check(strict);
    REQUIRE(!strict || (!strict->id.empty() && strict_verifier().refused_from(*strict) > kNow));
    check(strict_verifier().verify(
        seal(text, R"({"sub":"a","exp":1700000060,"iat":1700000000,"jti":"x","iss":"i","aud":"w"})"), kNow));
    check_ecdsa(text);
    (void)weft::read_key(text);
    return 0;
}
