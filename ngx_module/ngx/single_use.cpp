#include "ngx/single_use.hpp"

#include <ctime>

#include "limit/used_tickets.hpp"
#include "ngx/robust_mutex.hpp"
#include "ngx/shared_table.hpp"

namespace weft {

namespace {

struct TicketTable {
    RobustMutex mutex;  // an owner that died leaves nothing to repair
    UsedTickets* tickets = nullptr;
};

ngx_int_t init_zone(ngx_shm_zone_t* zone, void* data) noexcept {
    return init_shared_table<TicketTable>(zone, data, [](TicketTable& table, std::span<std::byte> rest) {
        table.tickets = UsedTickets::make(rest, {random_sip_key(), random_sip_key()});
        return table.tickets != nullptr;
    });
}

UsedTickets::Verdict use(ngx_shm_zone_t* zone, const Ticket& ticket, WallTime until, WallTime now) noexcept {
    auto& table = *static_cast<TicketTable*>(zone->data);
    table.mutex.lock();
    const auto verdict = table.tickets->use(ticket.key, ticket.id, until, now);
    table.mutex.unlock();
    return verdict;
}

void complain(const ngx_shm_zone_t& zone, ngx_log_t* log) noexcept {
    static std::time_t complained = 0;  // when the log last heard, in this worker
    constexpr std::time_t kInterval = 60;
    const std::time_t now = ngx_time();
    if (complained != 0 && now >= complained && now - complained < kInterval) return;
    complained = now;
    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "weft: no room to remember used tickets, so that tickets are refused: \"tickets=\" of \"weft_zone\" "
                  "is %uz bytes, expected more, or tickets that expire sooner",
                  zone.shm.size);
}

}  // namespace

ngx_shm_zone_t* add_ticket_zone(ngx_conf_t* cf, std::size_t size) noexcept {
    ngx_str_t name = ngx_string("weft_tickets");
    ngx_shm_zone_t* zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_weft_module);
    if (zone != nullptr) zone->init = init_zone;
    return zone;
}

UsedTicketsReport report_used_tickets(ngx_shm_zone_t* zone, WallTime now) noexcept {
    if (zone == nullptr) return {};
    const UsedTickets& tickets = *static_cast<TicketTable*>(zone->data)->tickets;
    return {tickets.used(now), tickets.capacity()};
}

std::optional<event::Error> use_once(ngx_shm_zone_t* zone, const TicketVerifier& verifier, const Ticket& ticket,
                                     WallTime now, ngx_log_t* log) noexcept {
    if (!verifier.rules().once) return std::nullopt;
    constexpr std::chrono::seconds kRetry(5);
    switch (use(zone, ticket, verifier.refused_from(ticket), now)) {
        case UsedTickets::Verdict::fresh: return std::nullopt;
        case UsedTickets::Verdict::used:
            ngx_log_error(NGX_LOG_INFO, log, 0, "weft: ticket refused: it was used before");
            return event::Error{Code::authentication_failed, "the ticket was not accepted", {}};
        case UsedTickets::Verdict::full:
            complain(*zone, log);
            return event::Error{Code::unavailable, "this server can't take any more tickets now", kRetry};
    }
    return std::nullopt;
}

}  // namespace weft
