#include "auth/ticket.hpp"

#include <simdjson.h>

#include <utility>
#include <vector>

#include "auth/base64.hpp"
#include "auth/claims.hpp"
#include "auth/signature.hpp"

namespace weft {

namespace {

using Kind = TicketError::Kind;

tl::unexpected<TicketError> refuse(Kind kind, std::string detail) {
    return tl::unexpected(TicketError{kind, std::move(detail)});
}

/// The three parts of a compact JWS, still in base64 (RFC 7515 §7.1).
struct Parts {
    std::string_view header, payload, signature;
    std::string_view signed_input;  // header and payload with the dot between them
};

std::optional<Parts> split(std::string_view compact) {
    const std::size_t first = compact.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const std::size_t second = compact.find('.', first + 1);
    if (second == std::string_view::npos || compact.find('.', second + 1) != std::string_view::npos) {
        return std::nullopt;
    }
    return Parts{compact.substr(0, first), compact.substr(first + 1, second - first - 1), compact.substr(second + 1),
                 compact.substr(0, second)};
}

/// The header decides nothing: it must name the algorithm that we expect and ask for nothing that we don't do.
std::optional<TicketError> check_header(std::string_view json, std::string_view algorithm) {
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
        return TicketError{Kind::malformed, "the header is not a JSON object"};
    }
    std::optional<std::string_view> named;
    std::vector<std::string_view> seen;
    constexpr std::size_t kMaxMembers = 32;  // nobody is authenticated yet: comparing each with each must stay cheap
    for (auto [name, value] : object) {
        if (seen.size() == kMaxMembers) return TicketError{Kind::malformed, "the header has more than 32 members"};
        for (std::string_view other : seen) {
            if (other == name) return TicketError{Kind::malformed, "the header gives a member twice"};
        }
        seen.push_back(name);
        if (name == "crit") {
            // RFC 7515 §4.1.11: what isn't understood must be refused, and we understand no extension.
            return TicketError{Kind::malformed, "the header has crit: no extension is supported"};
        }
        if (name != "alg") continue;
        std::string_view text;
        if (value.get(text) != simdjson::SUCCESS) return TicketError{Kind::malformed, "alg is not a string"};
        named = text;
    }
    if (!named) return TicketError{Kind::algorithm, "the header has no alg"};
    if (*named != algorithm) {
        return TicketError{Kind::algorithm, "alg is not the one that is expected, " + std::string(algorithm)};
    }
    return std::nullopt;
}

constexpr std::size_t kMaxKeptHeader = 256;  // bytes
constexpr std::chrono::seconds kMaxLeeway = std::chrono::hours(24);
constexpr std::chrono::seconds kMaxMaxAge = std::chrono::hours(24) * 366 * 100;

}  // namespace

struct TicketVerifier::Key {
    TicketRules rules;
    std::unique_ptr<SignatureVerifier> signature;
    std::string good_header;  // in base64: the last that was looked at and found right, mostly everybody's
};

TicketVerifier::TicketVerifier(std::unique_ptr<Key> key) : key_(std::move(key)) {}
TicketVerifier::TicketVerifier(TicketVerifier&&) noexcept = default;
TicketVerifier& TicketVerifier::operator=(TicketVerifier&&) noexcept = default;
TicketVerifier::~TicketVerifier() = default;

tl::expected<TicketVerifier, std::string> TicketVerifier::create(TicketRules rules, std::string_view key) {
    if (rules.leeway < std::chrono::seconds(0) || rules.leeway > kMaxLeeway) {
        return tl::unexpected(std::string("the leeway is out of range: expected 0 to 24 hours"));
    }
    if (rules.max_age && (*rules.max_age <= std::chrono::seconds(0) || *rules.max_age > kMaxMaxAge)) {
        return tl::unexpected(std::string("max_age is out of range: expected 1 second to 100 years"));
    }
    auto signature = make_verifier(rules.algorithm, key);
    if (!signature) return tl::unexpected(std::move(signature.error()));
    return TicketVerifier(std::make_unique<Key>(Key{std::move(rules), std::move(*signature), {}}));
}

tl::expected<Ticket, TicketError> TicketVerifier::verify(std::string_view compact, WallTime now) const {
    if (compact.size() > kMaxTicket) {
        return refuse(Kind::malformed, "longer than " + std::to_string(kMaxTicket) + " bytes");
    }
    const std::optional<Parts> parts = split(compact);
    if (!parts) return refuse(Kind::malformed, "not three parts with dots between them");
    if (key_->good_header.empty() || parts->header != key_->good_header) {
        const auto header = decode_base64(parts->header, Base64::url);
        if (!header) return refuse(Kind::malformed, "the header is not base64url");
        if (auto error = check_header(*header, key_->signature->algorithm())) return tl::unexpected(std::move(*error));
        if (parts->header.size() <= kMaxKeptHeader) key_->good_header = parts->header;
    }
    const auto signature = decode_base64(parts->signature, Base64::url);
    if (!signature) return refuse(Kind::malformed, "the signature is not base64url");
    if (!key_->signature->verify(parts->signed_input, *signature)) {
        return refuse(Kind::signature, "the signature is not that of this key");
    }

    const auto payload = decode_base64(parts->payload, Base64::url);
    if (!payload) return refuse(Kind::malformed, "the claims are not base64url");
    auto claims = parse_claims(*payload);
    if (!claims) return tl::unexpected(std::move(claims.error()));
    Ticket& ticket = claims->ticket;
    const TicketRules& rules = key_->rules;
    // RFC 7519 §4.1.4: now must be before exp; §4.1.5: and not before nbf. Clocks may differ by the leeway.
    if (now >= ticket.expires_at + rules.leeway) return refuse(Kind::expired, "exp is over");
    if (claims->not_before && now < *claims->not_before - rules.leeway) {
        return refuse(Kind::not_yet, "nbf has not come");
    }
    // A ticket from the future would outlive max_age, and a revocation of all that was issued until now.
    if (ticket.issued_at && now < *ticket.issued_at - rules.leeway) return refuse(Kind::not_yet, "iat has not come");
    if (rules.max_age) {
        if (!ticket.issued_at) return refuse(Kind::claims, "iat is missing, which max_age needs");
        if (now > *ticket.issued_at + *rules.max_age + rules.leeway) {
            return refuse(Kind::too_old, "issued longer ago than max_age");
        }
    }
    return std::move(ticket);
}

tl::expected<std::string, std::string> sign_ticket(std::string_view claims, std::string_view key) {
    if (key.size() < kMinKey) {
        return tl::unexpected("the key has " + std::to_string(key.size()) + " bytes: HS256 needs at least " +
                              std::to_string(kMinKey));
    }
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(claims.data(), claims.size()).get(object) != simdjson::SUCCESS) {
        return tl::unexpected(std::string("the claims are not a JSON object"));
    }
    std::string compact = encode_base64(R"({"alg":"HS256","typ":"JWT"})", Base64::url);
    compact += '.';
    compact += encode_base64(claims, Base64::url);
    auto mac = hmac_sha256(key, compact);
    if (!mac) return mac;
    compact += '.';
    compact += encode_base64(*mac, Base64::url);
    if (compact.size() > kMaxTicket) {
        return tl::unexpected("the ticket would have " + std::to_string(compact.size()) + " bytes: at most " +
                              std::to_string(kMaxTicket) + " are accepted");
    }
    return compact;
}

}  // namespace weft
