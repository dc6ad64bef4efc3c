#include "ngx/masking.hpp"

#include <algorithm>

#include "auth/ticket_mask.hpp"
#include "ngx/settings.hpp"

namespace weft {

namespace {

/// Stands in a request's pool where the request came by a location that takes credentials; for nothing else.
void came_by(void* data) noexcept {
    (void)data;
}

/// The location's settings when that was so; error_page may have taken the request elsewhere since.
const LocationSettings* taken_by(ngx_http_request_t* request) noexcept {
    const LocationSettings& here = location_settings(request);
    if (here.takes_credentials()) return &here;
    for (const ngx_pool_cleanup_t* one = request->pool->cleanup; one != nullptr; one = one->next) {
        if (one->handler == came_by) return static_cast<const LocationSettings*>(one->data);
    }
    return nullptr;
}

ngx_int_t on_location_found(ngx_http_request_t* request) noexcept {
    LocationSettings& location = location_settings(request);
    if (request != request->main || !location.takes_credentials()) return NGX_DECLINED;
    ngx_pool_cleanup_t* mark = ngx_pool_cleanup_add(request->pool, 0);
    if (mark == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    mark->handler = came_by;
    mark->data = &location;
    const ngx_str_t line = copy_to_pool(request->pool, view(request->request_line));
    if (line.data == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    mask_ticket_argument({reinterpret_cast<char*>(line.data), line.len});
    request->request_line = line;
    return NGX_DECLINED;
}

ngx_int_t on_log(ngx_http_request_t* request) noexcept {
    if (const LocationSettings* location = taken_by(request)) mask_credentials(request, *location);
    return NGX_OK;
}

bool add_handler(ngx_http_core_main_conf_t& core, ngx_http_phases phase, ngx_http_handler_pt handler) noexcept {
    auto* added = static_cast<ngx_http_handler_pt*>(ngx_array_push(&core.phases[phase].handlers));
    if (added == nullptr) return false;
    *added = handler;
    return true;
}

}  // namespace

ngx_int_t add_masking(ngx_conf_t* cf) noexcept {
    auto& core = *static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    if (!add_handler(core, NGX_HTTP_REWRITE_PHASE, on_location_found) ||
        !add_handler(core, NGX_HTTP_LOG_PHASE, on_log)) {
        return NGX_ERROR;
    }
    // nginx runs a phase's handlers in their order from the last to the first, but the log's from the first to the
    // last; and the access log's is there already.
    ngx_array_t& log = core.phases[NGX_HTTP_LOG_PHASE].handlers;
    auto* first = static_cast<ngx_http_handler_pt*>(log.elts);
    std::rotate(first, first + log.nelts - 1, first + log.nelts);
    return NGX_OK;
}

}  // namespace weft
