// The module as nginx sees it.
#include "ngx/directives.hpp"
#include "ngx/masking.hpp"
#include "ngx/reload_directive.hpp"
#include "ngx/settings.hpp"
#include "ngx/variables.hpp"
#include "ngx/worker.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace weft {

namespace {

ngx_int_t init_process(ngx_cycle_t* cycle) noexcept {
#if defined(__SANITIZE_ADDRESS__)
    // nginx frees the cycle when the process ends, but not these. A suppression could not name them: they are allocated
    // by a static function, and Debian's nginx is stripped.
    for (void* kept : {static_cast<void*>(cycle->connections), static_cast<void*>(cycle->read_events),
                       static_cast<void*>(cycle->write_events)}) {
        if (kept != nullptr) __lsan_ignore_object(kept);
    }
#endif
    // Cache managers and the like come by here too, and serve nobody.
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return NGX_OK;
    return Worker::start(cycle) ? NGX_OK : NGX_ERROR;
}

ngx_int_t init_module(ngx_cycle_t* cycle) noexcept {
    prepare_rendezvous(cycle);
    return NGX_OK;
}

void exit_process(ngx_cycle_t*) noexcept {
    if (Worker::current() != nullptr) Worker::current()->log_open();
    Worker::stop();
}

ngx_http_module_t context = {
    add_variables,  // preconfiguration
    add_masking,    // postconfiguration
    create_main_settings,
    init_main_settings,
    nullptr,  // create server configuration
    nullptr,  // merge server configuration
    create_location_settings,
    merge_location_settings,
};

}  // namespace

MainSettings* main_settings(ngx_cycle_t* cycle) noexcept {
    if (cycle->conf_ctx[ngx_http_module.index] == nullptr) return nullptr;
    return static_cast<MainSettings*>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_weft_module));
}

LocationSettings& location_settings(ngx_http_request_t* request) noexcept {
    return *static_cast<LocationSettings*>(ngx_http_get_module_loc_conf(request, ngx_http_weft_module));
}

}  // namespace weft

ngx_module_t ngx_http_weft_module = {
    NGX_MODULE_V1,
    &weft::context,
    weft::directives,
    NGX_HTTP_MODULE,
    nullptr,  // init master
    weft::init_module,
    weft::init_process,
    nullptr,  // init thread
    nullptr,  // exit thread
    weft::exit_process,
    nullptr,  // exit master
    NGX_MODULE_V1_PADDING,
};
