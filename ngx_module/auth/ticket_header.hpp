// The header of a compact JWS (RFC 7515 §4), read strictly: nobody is authenticated yet.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "auth/ticket.hpp"

namespace weft {

struct TicketHeader {
    std::string algorithm;           // `alg`
    std::optional<std::string> key;  // `kid`
};

/// Errors: `malformed` for what is not a JSON object, a member given twice, more than 32 members, `crit` (RFC 7515
/// §4.1.11: what isn't understood must be refused, and we understand no extension), an `alg` or `kid` that is no
/// string; `algorithm` for no `alg`. Other members are ignored, those that bring keys (`jwk`, `jku`, `x5u`, `x5c`)
/// among them.
tl::expected<TicketHeader, TicketError> parse_ticket_header(std::string_view json);

}  // namespace weft
