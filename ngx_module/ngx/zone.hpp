// The shared memory of all workers: a slot of counters for each of them.
#pragma once

#include "gateway/counters.hpp"
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

/// The sums over all workers, past ones' totals included, and how many workers are alive.
std::size_t sum_counters(ngx_shm_zone_t* zone, Counters& sum) noexcept;

}  // namespace weft
