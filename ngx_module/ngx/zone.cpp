#include "ngx/zone.hpp"

#include <signal.h>

namespace weft {

namespace {

struct Slot {
    ngx_pid_t pid = 0;  // under the zone's mutex
    Counters counters;
};

struct Table {
    Counters past;  // totals of workers that are gone
    Slot slots[kMaxWorkers];
};

ngx_slab_pool_t* pool_of(ngx_shm_zone_t* zone) noexcept {
    return reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
}

bool alive(ngx_pid_t pid) noexcept {
    return pid != 0 && (kill(pid, 0) == 0 || errno != ESRCH);
}

/// Under the zone's mutex.
void retire(Table& table, Slot& slot) noexcept {
    for (const auto total : kTotals) (table.past.*total).add((slot.counters.*total).value());
    for (const auto total : kTotals) (slot.counters.*total).set(0);
    for (const auto gauge : kGauges) (slot.counters.*gauge).set(0);
    slot.pid = 0;
}

ngx_int_t init_zone(ngx_shm_zone_t* zone, void* data) noexcept {
    if (data != nullptr) {  // a reload: the same memory goes on
        zone->data = data;
        return NGX_OK;
    }
    ngx_slab_pool_t* pool = pool_of(zone);
    if (zone->shm.exists) {
        zone->data = pool->data;
        return NGX_OK;
    }
    void* memory = ngx_slab_alloc(pool, sizeof(Table));
    if (memory == nullptr) return NGX_ERROR;
    zone->data = new (memory) Table();
    pool->data = zone->data;
    return NGX_OK;
}

}  // namespace

ngx_shm_zone_t* add_zone(ngx_conf_t* cf, std::size_t size) noexcept {
    static_assert(sizeof(Table) < kMinZone / 2);
    ngx_str_t name = ngx_string("weft");
    ngx_shm_zone_t* zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_weft_module);
    if (zone != nullptr) zone->init = init_zone;
    return zone;
}

Counters* claim_counters(ngx_shm_zone_t* zone) noexcept {
    Table& table = *static_cast<Table*>(zone->data);
    Counters* claimed = nullptr;
    ngx_shmtx_lock(&pool_of(zone)->mutex);
    for (Slot& slot : table.slots) {
        if (alive(slot.pid) && slot.pid != ngx_pid) continue;
        retire(table, slot);
        slot.pid = ngx_pid;
        claimed = &slot.counters;
        break;
    }
    ngx_shmtx_unlock(&pool_of(zone)->mutex);
    return claimed;
}

void release_counters(ngx_shm_zone_t* zone, Counters* counters) noexcept {
    Table& table = *static_cast<Table*>(zone->data);
    ngx_shmtx_lock(&pool_of(zone)->mutex);
    for (Slot& slot : table.slots) {
        if (&slot.counters == counters) retire(table, slot);
    }
    ngx_shmtx_unlock(&pool_of(zone)->mutex);
}

std::size_t sum_counters(ngx_shm_zone_t* zone, Counters& sum) noexcept {
    Table& table = *static_cast<Table*>(zone->data);
    std::size_t workers = 0;
    ngx_shmtx_lock(&pool_of(zone)->mutex);
    for (const auto total : kTotals) (sum.*total).add((table.past.*total).value());
    for (Slot& slot : table.slots) {
        if (slot.pid == 0) continue;
        for (const auto total : kTotals) (sum.*total).add((slot.counters.*total).value());
        if (!alive(slot.pid)) continue;
        ++workers;
        for (const auto gauge : kGauges) (sum.*gauge).add((slot.counters.*gauge).value());
    }
    ngx_shmtx_unlock(&pool_of(zone)->mutex);
    return workers;
}

}  // namespace weft
