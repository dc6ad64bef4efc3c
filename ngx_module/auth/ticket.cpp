#include "auth/ticket.hpp"

#include <algorithm>
#include <utility>

#include "auth/base64.hpp"
#include "auth/claims.hpp"
#include "auth/ticket_header.hpp"

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

constexpr std::size_t kMaxKeptHeader = 256;  // bytes
constexpr std::chrono::seconds kMaxLeeway = std::chrono::hours(24);
constexpr std::chrono::seconds kMaxMaxAge = std::chrono::hours(24) * 366 * 100;

}  // namespace

struct TicketVerifier::State {
    TicketRules rules;
    KeyRing fixed;
    std::unique_ptr<KeySource> source;
    KeyRing changing;  // what came from `source` last
    // In base64: the last header that was looked at and found right, mostly everybody's, and the keys that it may mean.
    std::string good_header;
    KeyRing::Candidates candidates;

    void refresh(WallTime now) {
        if (source == nullptr) return;
        auto keys = source->changed(now);
        if (!keys) return;
        changing = std::move(*keys);
        good_header.clear();  // its candidates are gone
    }

    tl::expected<void, TicketError> choose(std::string_view header);
    std::optional<TicketError> check_claims(const Claims& claims, WallTime now) const;
};

/// Which keys a ticket of this header may be signed with, into `candidates`.
tl::expected<void, TicketError> TicketVerifier::State::choose(std::string_view header) {
    good_header.clear();
    candidates = {};
    const auto json = decode_base64(header, Base64::url);
    if (!json) return refuse(Kind::malformed, "the header is not base64url");
    const auto read = parse_ticket_header(*json);
    if (!read) return tl::unexpected(read.error());
    AlgorithmSet expected = fixed.algorithms();
    for (Algorithm algorithm : kAlgorithms) {
        if (changing.algorithms().has(algorithm)) expected.add(algorithm);
    }
    const auto algorithm = parse_algorithm(read->algorithm);
    if (!algorithm || !expected.has(*algorithm)) {
        return refuse(Kind::algorithm, "alg is not one that is expected: " + expected.names());
    }
    // A name decides between the keys of a set; those of files have none and are good for what no set claims.
    const std::optional<std::string_view> name = read->key;
    changing.find(*algorithm, name, candidates);
    const bool named = name && candidates.count > 0 && !candidates.entries[0]->name.empty();
    if (!named) fixed.find(*algorithm, name, candidates);
    if (candidates.count == 0) return refuse(Kind::unknown_key, "no key has this kid");
    if (header.size() <= kMaxKeptHeader) good_header = header;
    return {};
}

std::optional<TicketError> TicketVerifier::State::check_claims(const Claims& claims, WallTime now) const {
    const Ticket& ticket = claims.ticket;
    // RFC 7519 §4.1.4: now must be before exp; §4.1.5: and not before nbf. Clocks may differ by the leeway.
    if (now >= ticket.expires_at + rules.leeway) return TicketError{Kind::expired, "exp is over"};
    if (claims.not_before && now < *claims.not_before - rules.leeway) {
        return TicketError{Kind::not_yet, "nbf has not come"};
    }
    // A ticket from the future would outlive max_age, and a revocation of all that was issued until now.
    if (ticket.issued_at && now < *ticket.issued_at - rules.leeway) {
        return TicketError{Kind::not_yet, "iat has not come"};
    }
    if (rules.max_age) {
        if (!ticket.issued_at) return TicketError{Kind::claims, "iat is missing, which max_age needs"};
        if (now > *ticket.issued_at + *rules.max_age + rules.leeway) {
            return TicketError{Kind::too_old, "issued longer ago than max_age"};
        }
    }
    const auto has = [](const std::vector<std::string>& list, const std::string& text) {
        return std::find(list.begin(), list.end(), text) != list.end();
    };
    if (!rules.issuers.empty()) {
        if (!claims.issuer) return TicketError{Kind::claims, "iss is missing"};
        if (!has(rules.issuers, *claims.issuer)) return TicketError{Kind::claims, "iss is not one that is expected"};
    }
    if (!rules.audiences.empty()) {
        if (claims.audiences.empty()) return TicketError{Kind::claims, "aud is missing"};
        const auto ours = [&](const std::string& audience) { return has(rules.audiences, audience); };
        if (std::none_of(claims.audiences.begin(), claims.audiences.end(), ours)) {
            return TicketError{Kind::claims, "aud has none that is expected"};
        }
    }
    if (rules.once && ticket.id.empty()) return TicketError{Kind::claims, "jti is missing, which once needs"};
    return std::nullopt;
}

TicketVerifier::TicketVerifier(std::unique_ptr<State> state) : state_(std::move(state)) {}
TicketVerifier::TicketVerifier(TicketVerifier&&) noexcept = default;
TicketVerifier& TicketVerifier::operator=(TicketVerifier&&) noexcept = default;
TicketVerifier::~TicketVerifier() = default;

tl::expected<TicketVerifier, std::string> TicketVerifier::create(TicketRules rules, KeyRing keys,
                                                                 std::unique_ptr<KeySource> source) {
    if (rules.leeway < std::chrono::seconds(0) || rules.leeway > kMaxLeeway) {
        return tl::unexpected(std::string("the leeway is out of range: expected 0 to 24 hours"));
    }
    if (rules.max_age && (*rules.max_age <= std::chrono::seconds(0) || *rules.max_age > kMaxMaxAge)) {
        return tl::unexpected(std::string("max_age is out of range: expected 1 second to 100 years"));
    }
    auto state = std::make_unique<State>();
    state->rules = std::move(rules);
    state->fixed = std::move(keys);
    state->source = std::move(source);
    return TicketVerifier(std::move(state));
}

tl::expected<TicketVerifier, std::string> TicketVerifier::create(TicketRules rules, std::string_view secret) {
    KeyRing keys;
    if (auto added = keys.add_secret({}, secret, {}); !added) return tl::unexpected(std::move(added.error()));
    return create(std::move(rules), std::move(keys));
}

const TicketRules& TicketVerifier::rules() const noexcept {
    return state_->rules;
}

WallTime TicketVerifier::refused_from(const Ticket& ticket) const noexcept {
    const TicketRules& rules = state_->rules;
    WallTime end = ticket.expires_at;
    // The age is compared inclusively.
    if (rules.max_age && ticket.issued_at) {
        end = std::min(end, *ticket.issued_at + *rules.max_age + std::chrono::milliseconds(1));
    }
    return end + rules.leeway;
}

tl::expected<Ticket, TicketError> TicketVerifier::verify(std::string_view compact, WallTime now) const {
    if (compact.size() > kMaxTicket) {
        return refuse(Kind::malformed, "longer than " + std::to_string(kMaxTicket) + " bytes");
    }
    const std::optional<Parts> parts = split(compact);
    if (!parts) return refuse(Kind::malformed, "not three parts with dots between them");
    state_->refresh(now);
    if (state_->good_header.empty() || parts->header != state_->good_header) {
        if (auto chosen = state_->choose(parts->header); !chosen) return tl::unexpected(std::move(chosen.error()));
    }
    const auto signature = decode_base64(parts->signature, Base64::url);
    if (!signature) return refuse(Kind::malformed, "the signature is not base64url");
    const KeyRing::Candidates& candidates = state_->candidates;
    const KeyRing::Entry* signer = nullptr;
    for (std::size_t i = 0; i < candidates.count && signer == nullptr; ++i) {
        const KeyRing::Entry& entry = *candidates.entries[i];
        if (entry.verifier->verify(parts->signed_input, *signature)) signer = &entry;
    }
    if (signer == nullptr) return refuse(Kind::signature, "the signature is not that of any key that may be meant");

    const auto payload = decode_base64(parts->payload, Base64::url);
    if (!payload) return refuse(Kind::malformed, "the claims are not base64url");
    auto claims = parse_claims(*payload);
    if (!claims) return tl::unexpected(std::move(claims.error()));
    if (auto error = state_->check_claims(*claims, now)) return tl::unexpected(std::move(*error));
    claims->ticket.key = signer->id;
    return std::move(claims->ticket);
}

}  // namespace weft
