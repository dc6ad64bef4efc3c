// The shared memory of all workers: a slot of counters for each of them, how many connections there are of whom, and
// the rates that hold over all workers.
//
// Old and new workers of a reload share it, unless its size was changed: then each configuration has a zone of its own,
// as it is with all zones of nginx.
#pragma once

#include "gateway/counters.hpp"
#include "gateway/refusals.hpp"
#include "limit/connection_counts.hpp"
#include "limit/shared_rates.hpp"
#include "ngx/ngx.hpp"

namespace weft {

inline constexpr std::size_t kMaxWorkers = 256;  // at the same time, those of old configurations included
inline constexpr std::size_t kMinZone = std::size_t{128} * 1024;  // bytes, nginx's slab pages included

/// Registers the zone "weft" with the configuration that is being read; null after logging why not.
ngx_shm_zone_t* add_zone(ngx_conf_t* cf, std::size_t size) noexcept;

/// Gives this worker a slot: a free one, or one whose worker is dead (its totals are kept, its gauges are not). Null
/// when kMaxWorkers are alive.
Counters* claim_counters(ngx_shm_zone_t* zone) noexcept;

/// Gives the slot back.
void release_counters(ngx_shm_zone_t* zone, Counters* counters) noexcept;

/// What all workers count together.
struct ZoneReport {
    Counters sum;  // past workers' totals included
    std::size_t workers = 0;
    std::size_t records = 0;   // of connection_counts
    std::size_t capacity = 0;  // for them
};
void report_zone(ngx_shm_zone_t* zone, ZoneReport& report) noexcept;

/// Of nginx.conf, as MainSettings::generation: that of the workers that started last, or are about to.
void set_latest_generation(ngx_shm_zone_t* zone, std::uint64_t generation) noexcept;
std::uint64_t latest_generation(ngx_shm_zone_t* zone) noexcept;

/// What needs no lock. They live as long as the zone.
SharedRates& rates_of(ngx_shm_zone_t* zone) noexcept;
Refusals& refusals_of(ngx_shm_zone_t* zone) noexcept;

/// The zone's lock, and what it guards, for one worker. Held for microseconds, never while something waits.
class LockedZone {
public:
    explicit LockedZone(ngx_shm_zone_t* zone) noexcept;
    LockedZone(const LockedZone&) = delete;
    LockedZone& operator=(const LockedZone&) = delete;
    ~LockedZone();

    [[nodiscard]] ConnectionCounts& connections() noexcept;
    /// The number of a claimed slot, which is also the seat in connections().
    [[nodiscard]] std::size_t seat_of(const Counters* counters) const noexcept;
    /// Takes back what dead workers left; false when none is dead. Costs about 20 ns a live worker.
    bool retire_dead() noexcept;

private:
    struct Table* table_;
};

}  // namespace weft
