#include "ngx/zone.hpp"

#include <atomic>
#include <memory>

#include "ngx/robust_mutex.hpp"
#include "ngx/shared_table.hpp"

namespace weft {

namespace {

struct Slot {
    RobustMutex life;      // owned by the worker as long as it lives
    bool claimed = false;  // this and all below: under the table's mutex
    Counters counters;     // but these are written by the worker without it
};

}  // namespace

struct Table {
    RobustMutex mutex;
    Counters past;  // totals of workers that are gone
    ConnectionCounts* connections = nullptr;
    SharedRates* rates = nullptr;  // without the mutex, as what follows
    Refusals refusals;
    std::atomic<std::uint64_t> latest_generation{0};
    std::size_t claimed = 0;  // no slot from here on was ever claimed
    Slot slots[kMaxWorkers];
};

namespace {

constexpr std::size_t kRatesShare = 8;  // one part in so many of what is left is for rates, the rest for counts
constexpr std::size_t kMinCounts = std::size_t{32} * 1024;  // bytes, what kMinZone must leave for the counts

Table& table_of(ngx_shm_zone_t* zone) noexcept {
    return *static_cast<Table*>(zone->data);
}

/// Of a slot whose worker has gone, with its `life` in our hands. Begun anew when whoever does it dies meanwhile.
void retire(Table& table, Slot& slot) noexcept {
    for (const auto total : kTotals) (table.past.*total).add((slot.counters.*total).value());
    for (const auto total : kTotals) (slot.counters.*total).set(0);
    for (const auto gauge : kGauges) (slot.counters.*gauge).set(0);
    table.connections->give_up(static_cast<std::size_t>(&slot - table.slots));
    slot.claimed = false;
}

ngx_int_t init_zone(ngx_shm_zone_t* zone, void* data) noexcept {
    return init_shared_table<Table>(zone, data, [](Table& table, std::span<std::byte> rest) {
        const std::size_t rates = rest.size() / kRatesShare;
        table.rates = SharedRates::make(rest.first(rates), random_sip_key());
        table.connections = ConnectionCounts::make(rest.subspan(rates), kMaxWorkers, random_sip_key());
        return table.rates != nullptr && table.connections != nullptr;
    });
}

}  // namespace

LockedZone::LockedZone(ngx_shm_zone_t* zone) noexcept : table_(&table_of(zone)) {
    if (table_->mutex.lock() == RobustMutex::Lock::inherited) table_->connections->rebuild();
}

LockedZone::~LockedZone() {
    table_->mutex.unlock();
}

ConnectionCounts& LockedZone::connections() noexcept {
    return *table_->connections;
}

std::size_t LockedZone::seat_of(const Counters* counters) const noexcept {
    for (std::size_t i = 0; i < table_->claimed; ++i) {
        if (&table_->slots[i].counters == counters) return i;
    }
    return kMaxWorkers;
}

bool LockedZone::retire_dead() noexcept {
    bool any = false;
    for (std::size_t i = 0; i < table_->claimed; ++i) {
        Slot& slot = table_->slots[i];
        if (!slot.claimed || slot.life.try_lock() == RobustMutex::Lock::busy) continue;
        retire(*table_, slot);
        slot.life.unlock();
        any = true;
    }
    return any;
}

void set_latest_generation(ngx_shm_zone_t* zone, std::uint64_t generation) noexcept {
    table_of(zone).latest_generation = generation;
}

std::uint64_t latest_generation(ngx_shm_zone_t* zone) noexcept {
    return table_of(zone).latest_generation;
}

SharedRates& rates_of(ngx_shm_zone_t* zone) noexcept {
    return *table_of(zone).rates;
}

Refusals& refusals_of(ngx_shm_zone_t* zone) noexcept {
    return table_of(zone).refusals;
}

ngx_shm_zone_t* add_zone(ngx_conf_t* cf, std::size_t size) noexcept {
    constexpr std::size_t kOverhead = std::size_t{16} * 1024;  // nginx's own, for a zone of this size
    static_assert(sizeof(Table) + kMinCounts + kOverhead < kMinZone);
    ngx_str_t name = ngx_string("weft");
    ngx_shm_zone_t* zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_weft_module);
    if (zone != nullptr) zone->init = init_zone;
    return zone;
}

Counters* claim_counters(ngx_shm_zone_t* zone) noexcept {
    LockedZone locked(zone);
    locked.retire_dead();
    Table& table = table_of(zone);
    for (std::size_t i = 0; i < kMaxWorkers; ++i) {
        Slot& slot = table.slots[i];
        if (slot.claimed || slot.life.try_lock() == RobustMutex::Lock::busy) continue;
        if (i == table.claimed) ++table.claimed;
        slot.claimed = true;
        return &slot.counters;
    }
    return nullptr;
}

void release_counters(ngx_shm_zone_t* zone, Counters* counters) noexcept {
    LockedZone locked(zone);
    const std::size_t seat = locked.seat_of(counters);
    if (seat == kMaxWorkers) return;
    Slot& slot = table_of(zone).slots[seat];
    retire(table_of(zone), slot);
    slot.life.unlock();
}

void report_zone(ngx_shm_zone_t* zone, ZoneReport& report) noexcept {
    LockedZone locked(zone);
    locked.retire_dead();
    Table& table = table_of(zone);
    for (const auto total : kTotals) (report.sum.*total).add((table.past.*total).value());
    for (std::size_t i = 0; i < table.claimed; ++i) {
        const Slot& slot = table.slots[i];
        if (!slot.claimed) continue;
        ++report.workers;
        for (const auto total : kTotals) (report.sum.*total).add((slot.counters.*total).value());
        for (const auto gauge : kGauges) (report.sum.*gauge).add((slot.counters.*gauge).value());
    }
    report.records = table.connections->used();
    report.capacity = table.connections->capacity();
}

}  // namespace weft
