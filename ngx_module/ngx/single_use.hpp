// Tickets that may be used once (weft_ticket once): the memory that remembers them for all workers.
#pragma once

#include <optional>

#include "auth/ticket.hpp"
#include "codec/message.hpp"
#include "ngx/ngx.hpp"

namespace weft {

inline constexpr std::size_t kMinTicketZone = std::size_t{64} * 1024;  // bytes, nginx's slab pages included

/// Registers the zone "weft_tickets" with the configuration that is being read; null after logging why not. It is kept
/// over reloads that don't change its size.
ngx_shm_zone_t* add_ticket_zone(ngx_conf_t* cf, std::size_t size) noexcept;

/// How many used tickets are remembered, and how many can be; none where there is no zone. Looks at every place,
/// without a lock.
struct UsedTicketsReport {
    std::size_t used = 0;
    std::size_t capacity = 0;
};
UsedTicketsReport report_used_tickets(ngx_shm_zone_t* zone, WallTime now) noexcept;

/// Uses up a ticket that `verifier` took, if its rules say `once`; otherwise does nothing. The error is what the client
/// is told: 4002 for a ticket that was used before, 4017 when there is no room to remember this one. `log` hears more.
std::optional<event::Error> use_once(ngx_shm_zone_t* zone, const TicketVerifier& verifier, const Ticket& ticket,
                                     WallTime now, ngx_log_t* log) noexcept;

}  // namespace weft
