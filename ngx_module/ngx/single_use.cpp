#include "ngx/single_use.hpp"

#include <ctime>
#include <exception>
#include <random>

#include "limit/used_tickets.hpp"
#include "ngx/robust_mutex.hpp"

namespace weft {

namespace {

struct TicketTable {
    RobustMutex mutex;  // an owner that died leaves nothing to repair
    UsedTickets* tickets = nullptr;
};

ngx_int_t init_zone(ngx_shm_zone_t* zone, void* data) noexcept {
    if (data != nullptr) {  // a reload: the same memory goes on
        zone->data = data;
        return NGX_OK;
    }
    auto* pool = reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
    if (zone->shm.exists) {
        zone->data = pool->data;
        return NGX_OK;
    }
    void* memory = ngx_slab_alloc(pool, sizeof(TicketTable));
    const std::size_t rest = pool->pfree * ngx_pagesize;
    void* places = memory == nullptr ? nullptr : ngx_slab_alloc(pool, rest);
    if (places == nullptr) return NGX_ERROR;
    try {
        auto* table = new (memory) TicketTable();
        std::random_device device;
        const auto word = [&device] { return std::uint64_t{device()} << 32 | device(); };
        table->tickets = UsedTickets::make({static_cast<std::byte*>(places), rest},
                                           {SipKey{word(), word()}, SipKey{word(), word()}});
        if (table->tickets == nullptr) return NGX_ERROR;
        zone->data = table;
        pool->data = table;
        return NGX_OK;
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "weft: can't prepare the zone \"weft_tickets\": %s",
                      error.what());
        return NGX_ERROR;
    }
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
