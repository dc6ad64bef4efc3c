// nginx's C headers for C++, and the few things that every file here needs of them.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
}

#include <chrono>
#include <new>
#include <string_view>

#include "weft/time.hpp"

extern "C" {
// The only symbol that nginx looks for in a module's library, besides the lists in modules.c.
extern __attribute__((visibility("default"))) ngx_module_t ngx_http_weft_module;
}

namespace weft {

inline std::string_view view(const ngx_str_t& text) noexcept {
    return {reinterpret_cast<const char*>(text.data), text.len};
}

/// A copy in `pool`; data is null when memory ran out.
inline ngx_str_t copy_to_pool(ngx_pool_t* pool, std::string_view text) noexcept {
    ngx_str_t copy{};
    copy.data = static_cast<u_char*>(ngx_pnalloc(pool, text.size() + 1));
    if (copy.data != nullptr) {
        ngx_memcpy(copy.data, text.data(), text.size());
        copy.data[text.size()] = '\0';
        copy.len = text.size();
    }
    return copy;
}

/// A C++ object that lives as long as `pool`; null when memory ran out.
template <class T>
T* make_in_pool(ngx_pool_t* pool) noexcept {
    ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(pool, sizeof(T));
    if (cleanup == nullptr) return nullptr;
    T* object = new (cleanup->data) T();
    cleanup->handler = [](void* data) { static_cast<T*>(data)->~T(); };
    return object;
}

/// Whether TLS stands between us and the socket. An nginx built without SSL, and not to be compatible with one that has
/// it (--with-compat), knows nothing of the sort.
inline bool over_tls([[maybe_unused]] const ngx_connection_t* connection) noexcept {
#if (NGX_HTTP_SSL)
    return connection->ssl != nullptr;
#else
    return false;
#endif
}

/// nginx's cached monotonic clock.
inline Instant monotonic_now() noexcept {
    return Instant(std::chrono::milliseconds(ngx_current_msec));
}

/// nginx's cached wall clock.
inline WallTime wall_now() noexcept {
    const ngx_time_t* time = ngx_timeofday();
    return WallTime(
        std::chrono::milliseconds(static_cast<std::int64_t>(time->sec) * 1000 + static_cast<std::int64_t>(time->msec)));
}

}  // namespace weft
