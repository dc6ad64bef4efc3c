#include "auth/claims.hpp"

#include <simdjson.h>

#include <cmath>
#include <utility>

#include "weft/raw_member.hpp"

namespace weft {

namespace {

using simdjson::dom::element;
using Kind = TicketError::Kind;

tl::unexpected<TicketError> refuse(Kind kind, std::string detail) {
    return tl::unexpected(TicketError{kind, std::move(detail)});
}

/// A pattern as it may stand in a log: short, and nothing that a terminal would obey.
std::string printable(std::string_view text) {
    constexpr std::size_t kMaxShown = 64;
    std::string shown;
    for (char c : text.substr(0, kMaxShown)) shown += c > 0x20 && c < 0x7f && c != '"' ? c : '?';
    if (text.size() > kMaxShown) shown += "...";
    return shown;
}

bool has_control(std::string_view text) noexcept {
    for (char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
    }
    return false;
}

/// Seconds since 1970, whole or not (RFC 7519 §2, NumericDate), up to the end of the year 9999; to the millisecond.
tl::expected<WallTime, TicketError> numeric_date(std::string_view claim, element value) {
    double seconds = 0;
    if (!value.is_number() || value.get_double().get(seconds) != simdjson::SUCCESS) {
        return refuse(Kind::claims, std::string(claim) + " is not a number");
    }
    constexpr double kEnd = 253'402'300'800;  // the year 10000; times a thousand still exact in a double
    if (!(seconds >= 0 && seconds < kEnd)) return refuse(Kind::claims, std::string(claim) + " is out of range");
    return WallTime(std::chrono::milliseconds(std::llround(seconds * 1000)));
}

std::optional<TicketError> read_actions(std::string_view pattern, element value, std::uint8_t& actions) {
    const auto wrong = [&](const char* why) {
        return TicketError{Kind::malformed, "the list of actions for channels \"" + printable(pattern) + "\" " + why};
    };
    simdjson::dom::array list;
    if (value.get(list) != simdjson::SUCCESS) return wrong("is not an array");
    for (element item : list) {
        std::string_view name;
        if (item.get(name) != simdjson::SUCCESS) return wrong("has an item that is not a string");
        const std::uint8_t bits = actions_of(name);
        if (bits == 0) return wrong("has an unknown one: expected subscribe, publish, signal, presence, history or *");
        actions |= bits;
    }
    return std::nullopt;
}

std::optional<TicketError> read_channels(element value, Grants& grants) {
    simdjson::dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return TicketError{Kind::malformed, "channels is not an object"};
    std::vector<std::string_view> seen;  // views into the parser
    seen.reserve(8);
    for (auto [key, actions] : object) {
        if (grants.size() == Grants::kMaxPatterns) return TicketError{Kind::malformed, "too many patterns"};
        for (std::string_view other : seen) {
            if (other == key) {
                return TicketError{Kind::malformed, "channels \"" + printable(key) + "\" is given twice"};
            }
        }
        seen.push_back(key);
        std::uint8_t bits = 0;
        if (auto error = read_actions(key, actions, bits)) return error;
        if (!grants.add_channels(key, bits)) {
            return TicketError{Kind::malformed, "channels \"" + printable(key) + "\" is not a pattern of channels"};
        }
    }
    return std::nullopt;
}

std::optional<TicketError> read_methods(element value, Grants& grants) {
    simdjson::dom::array list;
    if (value.get(list) != simdjson::SUCCESS) return TicketError{Kind::malformed, "rpc is not an array"};
    for (element item : list) {
        if (grants.size() == Grants::kMaxPatterns) return TicketError{Kind::malformed, "too many patterns"};
        std::string_view text;
        if (item.get(text) != simdjson::SUCCESS) {
            return TicketError{Kind::malformed, "rpc has an item that is not a string"};
        }
        if (!grants.add_methods(text)) {
            return TicketError{Kind::malformed, "rpc \"" + printable(text) + "\" is not a pattern of methods"};
        }
    }
    return std::nullopt;
}

std::optional<TicketError> read_user(element value, std::string& user) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return TicketError{Kind::claims, "sub is not a string"};
    if (text.empty()) return TicketError{Kind::claims, "sub is empty"};
    if (text.size() > kMaxUser) return TicketError{Kind::claims, "sub is longer than 255 bytes"};
    // It goes into logs, headers of webhooks and other people's screens.
    if (has_control(text)) return TicketError{Kind::claims, "sub has control characters"};
    user = text;
    return std::nullopt;
}

std::optional<TicketError> read_id(element value, std::string& id) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return TicketError{Kind::claims, "jti is not a string"};
    if (text.empty()) return TicketError{Kind::claims, "jti is empty"};
    if (text.size() > kMaxTicketId) return TicketError{Kind::claims, "jti is longer than 255 bytes"};
    if (has_control(text)) return TicketError{Kind::claims, "jti has control characters"};
    id = text;
    return std::nullopt;
}

std::optional<TicketError> read_issuer(element value, std::optional<std::string>& issuer) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return TicketError{Kind::claims, "iss is not a string"};
    issuer = text;
    return std::nullopt;
}

/// What others are shown of the user: passed through byte for byte, so that numbers keep their digits.
std::optional<TicketError> read_info(std::string_view json, element value, std::string& info) {
    if (!value.is_object()) return TicketError{Kind::claims, "info is not an object"};
    const std::string_view text = raw_member(json, "info");
    if (text.empty()) return TicketError{Kind::claims, "info is spelt with escapes"};
    if (text.size() > kMaxInfo) return TicketError{Kind::claims, "info is longer than 1024 bytes"};
    info = text;
    return std::nullopt;
}

/// A string, or an array of strings (RFC 7519 §4.1.3).
std::optional<TicketError> read_audiences(element value, std::vector<std::string>& audiences) {
    const auto wrong = [] { return TicketError{Kind::claims, "aud is not a string or an array of strings"}; };
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) {
        audiences.emplace_back(text);
        return std::nullopt;
    }
    simdjson::dom::array list;
    if (value.get(list) != simdjson::SUCCESS) return wrong();
    for (element item : list) {
        if (item.get(text) != simdjson::SUCCESS) return wrong();
        if (audiences.size() == kMaxAudiences) return TicketError{Kind::claims, "aud has more than 64 items"};
        audiences.emplace_back(text);
    }
    return std::nullopt;
}

}  // namespace

tl::expected<Claims, TicketError> parse_claims(std::string_view json) {
    thread_local simdjson::dom::parser parser;  // keeps its memory, which kMaxTicket bounds
    simdjson::dom::object object;
    if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
        return refuse(Kind::malformed, "the claims are not a JSON object");
    }
    Claims claims;
    std::optional<WallTime> expires_at;
    bool has_user = false;
    std::vector<std::string_view> seen;
    seen.reserve(16);  // growing from nothing would cost most tickets five allocations
    for (auto [name, value] : object) {
        for (std::string_view other : seen) {
            if (other == name) return refuse(Kind::malformed, "a claim is given twice");
        }
        // Bounded, so that a ticket of thousands of claims costs no quadratic time.
        constexpr std::size_t kMaxClaims = 128;
        if (seen.size() == kMaxClaims) return refuse(Kind::malformed, "more than 128 claims");
        seen.push_back(name);

        std::optional<TicketError> error;
        if (name == "sub") {
            error = read_user(value, claims.ticket.user);
            has_user = true;
        } else if (name == "jti") {
            error = read_id(value, claims.ticket.id);
        } else if (name == "channels") {
            error = read_channels(value, claims.ticket.grants);
        } else if (name == "rpc") {
            error = read_methods(value, claims.ticket.grants);
        } else if (name == "info") {
            error = read_info(json, value, claims.ticket.info);
        } else if (name == "iss") {
            error = read_issuer(value, claims.issuer);
        } else if (name == "aud") {
            error = read_audiences(value, claims.audiences);
        } else if (name == "exp" || name == "nbf" || name == "iat") {
            auto time = numeric_date(name, value);
            if (!time) return tl::unexpected(std::move(time.error()));
            (name == "exp" ? expires_at : name == "nbf" ? claims.not_before : claims.ticket.issued_at) = *time;
        }
        if (error) return tl::unexpected(std::move(*error));
    }
    if (!has_user) return refuse(Kind::claims, "sub is missing");
    if (!expires_at) return refuse(Kind::claims, "exp is missing");
    claims.ticket.expires_at = *expires_at;
    return claims;
}

}  // namespace weft
