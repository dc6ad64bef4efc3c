// weft_ticket: reading it, and the files that it names.
#pragma once

#include <memory>

#include "auth/ticket.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// Reads "weft_ticket" into `tickets`, unless it was given before.
char* read_ticket_directive(ngx_conf_t* cf, std::shared_ptr<const TicketVerifier>& tickets) noexcept;

}  // namespace weft
