// Tickets from strangers, and claims behind a right signature.
#include "auth/ticket.hpp"

#include <cstdint>
#include <string>

#include "auth/base64.hpp"
#include "auth/signature.hpp"
#include "support/require.hpp"

namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";
const weft::WallTime kNow{std::chrono::seconds(1'700'000'000)};

const weft::TicketVerifier& verifier() {
    static const auto verifier = weft::TicketVerifier::create({}, kKey);
    return *verifier;
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
    (void)weft::read_key(text);
    return 0;
}
