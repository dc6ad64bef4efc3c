// Keeps tickets out of logs: hides them in the parts of a request that nginx logs.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weft {

/// Overwrites the value of each argument `ticket` with asterisks, in a request line, a URI or its arguments alone. The
/// name counts in any case, as nginx looks it up so.
void mask_ticket_argument(std::span<char> text) noexcept;

/// Overwrites what an Authorization header says behind "Bearer ". Other schemes stay.
void mask_bearer(std::span<char> authorization) noexcept;

/// Overwrites the token of each "bearer.TOKEN" in a list of offered subprotocols.
void mask_bearer_protocol(std::span<char> protocols) noexcept;

/// The URI without its arguments `ticket`: "/ws?room=1&ticket=abc" gives "/ws?room=1", "/ws?ticket=abc" gives "/ws".
std::string without_ticket(std::string_view uri);

}  // namespace weft
