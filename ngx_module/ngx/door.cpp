#include "ngx/door.hpp"

#include <algorithm>

#include "ngx/conf_values.hpp"
#include "ngx/headers.hpp"
#include "weft/channel.hpp"

namespace weft {

bool origin_allowed(ngx_http_request_t* request, const LocationSettings& location, Worker& worker) {
    std::string storage;
    const std::string_view origin = header(request, "origin", storage);
    const std::string_view host =
        request->headers_in.host != nullptr ? view(request->headers_in.host->value) : std::string_view();
    if (location.origins->allows(origin, host)) return true;
    // The client chose it: bounded, and nothing that a log could choke on.
    std::string shown(origin.substr(0, 128));
    for (char& c : shown) {
        if (c < 0x20 || c > 0x7e || c == '"') c = '?';
    }
    ngx_log_error(NGX_LOG_INFO, request->connection->log, 0, "weft: origin \"%s\" is not allowed", shown.c_str());
    worker.gateway().refusals().origins.add();
    return false;
}

void prepare(ngx_http_request_t* request, const LocationSettings& location, Worker& worker, Connection& connection) {
    if (!location.endpoint.address_rate.limited()) return;
    connection.set_address_key(rate_key(*request->connection, rates_of(worker.settings().zone)));
}

tl::expected<std::vector<std::string>, event::Error> entrance_channels(ngx_http_request_t* request,
                                                                       const LocationSettings& location) {
    std::vector<std::string> channels;
    for (ngx_http_complex_value_t* value : location.entrance) {
        ngx_str_t name;
        if (ngx_http_complex_value(request, value, &name) != NGX_OK) throw std::bad_alloc();
        if (name.len == 0) continue;
        if (!is_channel_name(view(name))) {
            return tl::unexpected(event::Error{Code::invalid_message,
                                               "the request names no channel that there could be, expected 1 to 255 "
                                               "bytes of A-Z a-z 0-9 _ - . : / @ =",
                                               {}});
        }
        if (std::ranges::find(channels, view(name)) == channels.end()) channels.emplace_back(view(name));
    }
    return channels;
}

std::unique_ptr<Entrance> make_entrance(const std::vector<std::string>& channels, const LocationSettings& location) {
    if (channels.empty()) return nullptr;
    auto entrance = std::make_unique<Entrance>();
    for (const std::string& channel : channels) entrance->channels.push_back({channel, std::nullopt});
    if (location.publish_raw.value_or(false)) entrance->home = channels.front();
    return entrance;
}

char* set_subscribe(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& entrance = static_cast<LocationSettings*>(conf)->entrance;
    for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
        auto* value = static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
        if (value == nullptr) return kFailed;
        ngx_http_compile_complex_value_t compile;
        ngx_memzero(&compile, sizeof(compile));
        compile.cf = cf;
        compile.value = &args(cf)[i];
        compile.complex_value = value;
        if (ngx_http_compile_complex_value(&compile) != NGX_OK) return kFailed;
        if (value->lengths == nullptr && !is_channel_name(view(args(cf)[i]))) {
            return fail(cf, "invalid channel " + quoted(args(cf)[i]) +
                                " in \"weft_subscribe\", expected 1 to 255 bytes of A-Z a-z 0-9 _ - . : / @ =, or "
                                "variables");
        }
        entrance.push_back(value);
    }
    return NGX_CONF_OK;
}

char* set_publish_raw(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& publish_raw = static_cast<LocationSettings*>(conf)->publish_raw;
    if (publish_raw) return const_cast<char*>("is duplicate");
    const std::string_view word = view(args(cf)[1]);
    if (word != "on" && word != "off") {
        return fail(cf, "invalid value " + quoted(args(cf)[1]) + " in \"weft_publish_raw\", expected on or off");
    }
    publish_raw = word == "on";
    return NGX_CONF_OK;
}

}  // namespace weft
