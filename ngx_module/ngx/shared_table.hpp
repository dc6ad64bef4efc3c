// How a shared zone of ours begins: one table, and all the rest of its memory in one piece.
#pragma once

#include <cstddef>
#include <exception>
#include <new>
#include <random>
#include <span>

#include "limit/siphash.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// A key that nobody can foresee.
inline SipKey random_sip_key() {
    std::random_device device;
    const auto word = [&device] { return std::uint64_t{device()} << 32 | device(); };
    return {word(), word()};
}

/// For ngx_shm_zone_t::init. Keeps what is there over a reload; else makes a Table and calls `fill(table, rest)` with
/// the zone's remaining memory, which returns false when that isn't enough. Nothing is allocated in the zone later: a
/// worker that dies in nginx's allocator would leave it broken for all.
template <class Table, class Fill>
ngx_int_t init_shared_table(ngx_shm_zone_t* zone, void* data, Fill fill) noexcept {
    if (data != nullptr) {  // a reload: the same memory goes on
        zone->data = data;
        return NGX_OK;
    }
    auto* pool = reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
    if (zone->shm.exists) {
        zone->data = pool->data;
        return NGX_OK;
    }
    void* memory = ngx_slab_alloc(pool, sizeof(Table));
    const std::size_t size = pool->pfree * ngx_pagesize;
    void* rest = memory == nullptr ? nullptr : ngx_slab_alloc(pool, size);
    if (rest == nullptr) return NGX_ERROR;
    try {
        auto* table = new (memory) Table();
        if (!fill(*table, std::span<std::byte>(static_cast<std::byte*>(rest), size))) return NGX_ERROR;
        zone->data = table;
        pool->data = table;
        return NGX_OK;
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "weft: can't prepare the zone \"%V\": %s", &zone->shm.name,
                      error.what());
        return NGX_ERROR;
    }
}

}  // namespace weft
