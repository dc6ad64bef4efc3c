// The claims of a ticket, read strictly. Whether they hold now is TicketVerifier's matter.
#pragma once

#include <string>
#include <string_view>

#include "auth/ticket.hpp"

namespace weft {

struct Claims {
    Ticket ticket;
    std::optional<WallTime> not_before;  // `nbf`
    std::optional<std::string> issuer;   // `iss`
    std::vector<std::string> audiences;  // `aud`
};

/// Reads a JWS payload. Errors: `malformed` for what is not a JSON object, a claim given twice, and wrong `channels` or
/// `rpc`; `claims` for a registered claim that is missing, of the wrong type or out of range. Claims that Weft doesn't
/// know are ignored (RFC 7519 §4).
tl::expected<Claims, TicketError> parse_claims(std::string_view json);

}  // namespace weft
