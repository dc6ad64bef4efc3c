// The codes of the client protocol: error frames carry them, and a connection that ends for one closes with it.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft {

enum class Code : std::uint16_t {
    unknown_error = 4000,
    authentication_required = 4001,
    authentication_failed = 4002,
    origin_not_allowed = 4003,
    rate_limited = 4004,
    message_too_large = 4005,
    invalid_message = 4006,
    channel_not_found = 4007,
    channel_full = 4008,
    banned = 4009,
    permission_denied = 4010,
    not_subscribed = 4011,
    token_expired = 4012,
    revoked = 4013,
    slow_consumer = 4014,
    too_many_connections = 4015,
    too_many_subscriptions = 4016,
    unavailable = 4017,
    method_not_found = 4018,
    timeout = 4019,
};

/// Codes from here to 4999 are the application's own: its back ends choose them.
inline constexpr std::uint16_t kFirstApplicationCode = 4100;

/// The code's name in the protocol ("rate_limited"); "application" for one of the application's own, "unknown_error"
/// for a number that is none of them.
constexpr std::string_view reason(Code code) noexcept {
    switch (code) {
        case Code::unknown_error: return "unknown_error";
        case Code::authentication_required: return "authentication_required";
        case Code::authentication_failed: return "authentication_failed";
        case Code::origin_not_allowed: return "origin_not_allowed";
        case Code::rate_limited: return "rate_limited";
        case Code::message_too_large: return "message_too_large";
        case Code::invalid_message: return "invalid_message";
        case Code::channel_not_found: return "channel_not_found";
        case Code::channel_full: return "channel_full";
        case Code::banned: return "banned";
        case Code::permission_denied: return "permission_denied";
        case Code::not_subscribed: return "not_subscribed";
        case Code::token_expired: return "token_expired";
        case Code::revoked: return "revoked";
        case Code::slow_consumer: return "slow_consumer";
        case Code::too_many_connections: return "too_many_connections";
        case Code::too_many_subscriptions: return "too_many_subscriptions";
        case Code::unavailable: return "unavailable";
        case Code::method_not_found: return "method_not_found";
        case Code::timeout: return "timeout";
    }
    const auto number = static_cast<std::uint16_t>(code);
    return number >= kFirstApplicationCode && number <= 4999 ? "application" : "unknown_error";
}

}  // namespace weft
