#include "ngx/reload_directive.hpp"

#include <unistd.h>

#include <functional>

#include "move/rendezvous.hpp"
#include "ngx/conf_values.hpp"
#include "ngx/zone.hpp"

namespace weft {

namespace {

/// Where a server listens.
std::string addresses_of(ngx_conf_t* cf, const ngx_http_core_srv_conf_t* server) {
    std::string addresses;
    const auto* main =
        static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    if (main->ports == nullptr) return addresses;
    const auto* ports = static_cast<ngx_http_conf_port_t*>(main->ports->elts);
    for (ngx_uint_t p = 0; p < main->ports->nelts; ++p) {
        const auto* at = static_cast<ngx_http_conf_addr_t*>(ports[p].addrs.elts);
        for (ngx_uint_t a = 0; a < ports[p].addrs.nelts; ++a) {
            auto* const* servers = static_cast<ngx_http_core_srv_conf_t**>(at[a].servers.elts);
            for (ngx_uint_t s = 0; s < at[a].servers.nelts; ++s) {
                if (servers[s] == server) addresses.append(view(at[a].opt.addr_text)) += ' ';
            }
        }
    }
    return addresses;
}

}  // namespace

char* set_reload(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    if (settings.move) return const_cast<char*>("is duplicate");
    const std::string_view word = view(args(cf)[1]);
    if (word != "move" && word != "drain") {
        return fail(cf, "invalid value " + quoted(args(cf)[1]) + " in \"weft_reload\", expected move or drain");
    }
    settings.move = word == "move";
    return NGX_CONF_OK;
}

void name_location(ngx_conf_t* cf, LocationSettings& settings) {
    const auto* location =
        static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    const auto* server =
        static_cast<ngx_http_core_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));
    if (location->noname) return;  // an "if" has no name of its own
    settings.name = addresses_of(cf, server);
    settings.name.append(view(server->server_name)).append(location->exact_match ? " = " : " ");
    settings.name.append(view(location->name));
    auto& main = *static_cast<MainSettings*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_weft_module));
    const auto [entry, fresh] = main.locations.emplace(settings.name, &settings);
    if (!fresh) entry->second = nullptr;
}

std::uint64_t LocationSettings::terms() const {
    std::string said = origins_said;
    if (logs) {
        for (const ConnectionLog& log : *logs) {
            said.append(log.format->said()) += '\0';
            if (log.condition) said.append(log.condition->said());
            said += '\0';
        }
    }
    return std::hash<std::string>{}(said);
}

void prepare_rendezvous(ngx_cycle_t* cycle) noexcept {
    MainSettings* const settings = main_settings(cycle);
    if (settings == nullptr || !settings->used || ngx_test_config || !settings->move.value_or(true)) return;
    const auto* core = reinterpret_cast<ngx_core_conf_t*>(ngx_get_conf(cycle->conf_ctx, ngx_core_module));
    const bool root = ::geteuid() == 0;
    try {
        std::string path(view(core->pid));
        path += ".weft";
        const auto prepared =
            Rendezvous::prepare(path, root ? core->user : ::geteuid(), root ? core->group : ::getegid());
        if (!prepared) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "weft: connections will not move at a reload: %s",
                          prepared.error().c_str());
            return;
        }
        settings->rendezvous = std::move(path);
        set_latest_generation(settings->zone, settings->generation);
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "weft: connections will not move at a reload: %s", error.what());
    }
}

}  // namespace weft
