#include "ngx/directives.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "ngx/channel_directive.hpp"
#include "ngx/codec_directives.hpp"
#include "ngx/compression.hpp"
#include "ngx/conf_values.hpp"
#include "ngx/connection_log.hpp"
#include "ngx/door.hpp"
#include "ngx/origin_directive.hpp"
#include "ngx/reload_directive.hpp"
#include "ngx/settings.hpp"
#include "ngx/single_use.hpp"
#include "ngx/ticket_directive.hpp"
#include "ngx/zone.hpp"
#include "weft/link_session.hpp"

namespace weft {

namespace {

constexpr std::size_t kMinMessageSize = 128;
constexpr std::size_t kMaxMessageSize = kMaxData;                    // what the link to weftd carries
constexpr std::size_t kMaxEchoSize = std::size_t{64} * 1024 * 1024;  // which weftd doesn't see
constexpr std::size_t kMinSendQueue = std::size_t{4} * 1024;
constexpr std::size_t kNoMost = SIZE_MAX / 2;
constexpr std::size_t kMinSendMemory = std::size_t{1024} * 1024;

/// Whether a tcp:// address names this host alone.
bool is_loopback(std::string_view address) noexcept {
    constexpr std::string_view kScheme = "tcp://";
    if (!address.starts_with(kScheme)) return false;
    const std::string_view host = address.substr(kScheme.size(), address.rfind(':') - kScheme.size());
    if (host == "localhost" || host == "[::1]") return true;
    return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

char* set_sidecar(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    if (!settings.sidecar.empty()) return const_cast<char*>("is duplicate");
    const std::string_view address = view(args(cf)[1]);
    const bool ipc = address.starts_with("ipc:///") && address.size() > 7;
    const bool loopback = is_loopback(address);
    if (!ipc && !address.starts_with("tcp://")) {
        return fail(cf, "invalid address " + quoted(args(cf)[1]) +
                            " in \"weft_sidecar\", expected ipc:///path/to/socket or tcp://127.0.0.1:port");
    }
    if (ipc && address.size() - 6 > 107) {
        return fail(cf, "the path in \"weft_sidecar\" is too long, expected at most 107 bytes (a unix socket's limit)");
    }
    if (!ipc) {
        const std::size_t colon = address.rfind(':');
        const ngx_int_t port = ngx_atoi(args(cf)[1].data + colon + 1, address.size() - colon - 1);
        if (port == NGX_ERROR || port < 1 || port > 65535) {
            return fail(cf,
                        "no port in " + quoted(args(cf)[1]) + " of \"weft_sidecar\", expected tcp://127.0.0.1:port");
        }
        if (!loopback) {
            return fail(cf, quoted(args(cf)[1]) +
                                " in \"weft_sidecar\" is beyond loopback, and this link is not encrypted; expected "
                                "ipc:///path or a loopback address");
        }
    }
    settings.sidecar = address;
    return NGX_CONF_OK;
}

char* set_zone(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    if (settings.zone_size != 0) return const_cast<char*>("is duplicate");
    const ssize_t size = ngx_parse_size(&args(cf)[1]);
    if (size == NGX_ERROR || size < static_cast<ssize_t>(kMinZone)) {
        return fail(cf, "invalid size " + quoted(args(cf)[1]) + " in \"weft_zone\", expected at least " +
                            std::to_string(kMinZone / 1024) + "k, for example 16m");
    }
    settings.zone_size = static_cast<std::size_t>(size);
    if (cf->args->nelts == 2) return NGX_CONF_OK;
    auto tickets = parameter(args(cf)[2], "tickets");
    const ssize_t tickets_size = tickets ? ngx_parse_size(&*tickets) : NGX_ERROR;
    if (tickets_size == NGX_ERROR || tickets_size < static_cast<ssize_t>(kMinTicketZone)) {
        return fail(cf, "invalid parameter " + quoted(args(cf)[2]) +
                            " in \"weft_zone\", expected tickets=SIZE of at "
                            "least " +
                            std::to_string(kMinTicketZone / 1024) + "k, for example tickets=4m");
    }
    settings.ticket_zone_size = static_cast<std::size_t>(tickets_size);
    return NGX_CONF_OK;
}

char* set_drain(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    if (settings.drain) return const_cast<char*>("is duplicate");
    settings.drain = read_time(args(cf)[1], 0);
    if (!settings.drain) {
        return fail(cf, "invalid time " + quoted(args(cf)[1]) + " in \"weft_drain\", expected a time such as 10s");
    }
    return NGX_CONF_OK;
}

// --- locations ---

char* set_ticket(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return read_ticket_directive(cf, static_cast<LocationSettings*>(conf)->tickets);
}

char* set_heartbeat(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    if (settings.heartbeat) return const_cast<char*>("is duplicate");
    settings.heartbeat = read_time(args(cf)[1], 100);
    if (!settings.heartbeat) {
        return fail(cf, "invalid time " + quoted(args(cf)[1]) +
                            " in \"weft_heartbeat\", expected at least 100ms, for example 30s");
    }
    if (cf->args->nelts > 2) {
        const auto timeout = parameter(args(cf)[2], "timeout");
        if (timeout) settings.heartbeat_timeout = read_time(*timeout, 100);
        if (!settings.heartbeat_timeout) {
            return fail(cf,
                        "invalid parameter " + quoted(args(cf)[2]) +
                            " in \"weft_heartbeat\", expected timeout=TIME of at least 100ms, for example timeout=10s");
        }
    }
    return NGX_CONF_OK;
}

char* set_size(ngx_conf_t* cf, const char* name, std::optional<std::size_t>& value, std::size_t least, std::size_t most,
               const char* example = "64k") noexcept {
    if (value) return const_cast<char*>("is duplicate");
    const ssize_t size = ngx_parse_size(&args(cf)[1]);
    if (size == NGX_ERROR || static_cast<std::size_t>(size) < least || static_cast<std::size_t>(size) > most) {
        const std::string upto = most == kNoMost ? " bytes or more" : " to " + std::to_string(most) + " bytes";
        return fail(cf, "invalid size " + quoted(args(cf)[1]) + " in \"" + name + "\", expected " +
                            std::to_string(least) + upto + ", for example " + example);
    }
    value = static_cast<std::size_t>(size);
    return NGX_CONF_OK;
}

char* set_message_size(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_size(cf, "weft_message_size", static_cast<LocationSettings*>(conf)->message_size, kMinMessageSize,
                    kMaxEchoSize);
}

char* set_send_queue(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_size(cf, "weft_send_queue", static_cast<LocationSettings*>(conf)->send_queue, kMinSendQueue,
                    std::size_t{1024} * 1024 * 1024);
}

char* set_connections(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return read_connections(cf, static_cast<LocationSettings*>(conf)->connections);
}

char* set_send_memory(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_size(cf, "weft_send_memory", static_cast<MainSettings*>(conf)->send_memory, kMinSendMemory, kNoMost,
                    "256m");
}

/// A directive of credentials, which reads itself.
template <char* (*read)(ngx_conf_t*, CredentialSettings&) noexcept>
char* set_credential(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return read(cf, static_cast<LocationSettings*>(conf)->credentials);
}

/// Makes this location's content ours.
char* take_location(ngx_conf_t* cf, ngx_http_handler_pt handler) noexcept {
    auto& core = *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    if (core.handler != nullptr) {
        return fail(cf, "another directive handles the content of this location already, expected " +
                            quoted(args(cf)[0]) + " in a location of its own");
    }
    core.handler = handler;
    static_cast<MainSettings*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_weft_module))->used = true;
    return NGX_CONF_OK;
}

/// Notes where clients connect, for what is found wrong with the location later.
void note_connect(ngx_conf_t* cf, LocationSettings& settings) {
    settings.connect_name = view(args(cf)[0]);
    settings.connect_at = std::string(view(cf->conf_file->file.name)) + ":" + std::to_string(cf->conf_file->line);
}

char* set_websocket(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    note_connect(cf, *static_cast<LocationSettings*>(conf));
    return take_location(cf, handle_upgrade);
}

template <StreamWire::Kind kind, ngx_int_t (*handler)(ngx_http_request_t*) noexcept>
char* set_stream(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    note_connect(cf, settings);
    settings.stream = kind;
    if (cf->args->nelts > 1) {
        const auto hold = parameter(args(cf)[1], "hold");
        if (hold) settings.hold = read_time(*hold, 100);
        if (!settings.hold) {
            return fail(cf, "invalid parameter " + quoted(args(cf)[1]) +
                                " in \"weft_poll\", expected hold=TIME of at least 100ms, for example hold=25s");
        }
    }
    return take_location(cf, handler);
}

char* set_echo(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    static_cast<LocationSettings*>(conf)->endpoint.echo = true;
    return take_location(cf, handle_upgrade);
}

char* set_publish(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    if (cf->args->nelts > 2) {
        if (view(args(cf)[2]) != "ticket") {
            return fail(cf, "invalid parameter " + quoted(args(cf)[2]) + " in \"weft_publish\", expected ticket");
        }
        settings.publish_needs_ticket = true;
    }
    ngx_http_compile_complex_value_t compile;
    ngx_memzero(&compile, sizeof(compile));
    settings.publish_channel =
        static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
    if (settings.publish_channel == nullptr) return kFailed;
    compile.cf = cf;
    compile.value = &args(cf)[1];
    compile.complex_value = settings.publish_channel;
    if (ngx_http_compile_complex_value(&compile) != NGX_OK) return kFailed;
    if (settings.publish_channel->lengths == nullptr && !is_channel_name(view(args(cf)[1]))) {
        return fail(cf, "invalid channel " + quoted(args(cf)[1]) +
                            " in \"weft_publish\", expected 1 to 255 bytes of A-Z a-z 0-9 _ - . : / @ =, or variables");
    }
    return take_location(cf, handle_publish);
}

char* set_api(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    static_cast<LocationSettings*>(conf)->api = true;  // here only: it isn't inherited
    return take_location(cf, handle_api);
}

char* set_status(ngx_conf_t* cf, ngx_command_t*, void*) noexcept {
    return take_location(cf, handle_status);
}

constexpr ngx_uint_t kEverywhere = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

ngx_command_t http_directive(const char* name, ngx_uint_t arguments,
                             char* (*set)(ngx_conf_t*, ngx_command_t*, void*)) noexcept {
    return {{std::strlen(name), reinterpret_cast<u_char*>(const_cast<char*>(name))},
            NGX_HTTP_MAIN_CONF | arguments,
            set,
            NGX_HTTP_MAIN_CONF_OFFSET,
            0,
            nullptr};
}

ngx_command_t location_directive(const char* name, ngx_uint_t where,
                                 char* (*set)(ngx_conf_t*, ngx_command_t*, void*)) noexcept {
    return {{std::strlen(name), reinterpret_cast<u_char*>(const_cast<char*>(name))},
            where,
            set,
            NGX_HTTP_LOC_CONF_OFFSET,
            0,
            nullptr};
}

}  // namespace

ngx_command_t directives[] = {
    http_directive("weft_sidecar", NGX_CONF_TAKE1, set_sidecar),
    http_directive("weft_zone", NGX_CONF_TAKE12, set_zone),
    http_directive("weft_drain", NGX_CONF_TAKE1, set_drain),
    http_directive("weft_reload", NGX_CONF_TAKE1, set_reload),
    http_directive("weft_send_memory", NGX_CONF_TAKE1, set_send_memory),
    http_directive("weft_json_depth", NGX_CONF_TAKE1, set_json_depth),
    http_directive("weft_rooms_prefix", NGX_CONF_TAKE1, set_rooms_prefix),
    http_directive("weft_channel", NGX_CONF_BLOCK | NGX_CONF_TAKE1, set_channel),
    http_directive("weft_log_format", NGX_CONF_2MORE, set_log_format),

    location_directive("weft_ticket", kEverywhere | NGX_CONF_1MORE, set_ticket),
    location_directive("weft_cookie", kEverywhere | NGX_CONF_TAKE1, set_credential<read_cookie>),
    location_directive("weft_user", kEverywhere | NGX_CONF_TAKE1, set_credential<read_user>),
    location_directive("weft_grants", kEverywhere | NGX_CONF_TAKE1, set_credential<read_grants>),
    location_directive("weft_anonymous", kEverywhere | NGX_CONF_TAKE12, set_credential<read_anonymous>),
    location_directive("weft_auth_timeout", kEverywhere | NGX_CONF_TAKE1, set_credential<read_auth_timeout>),
    location_directive("weft_expiry_notice", kEverywhere | NGX_CONF_TAKE1, set_credential<read_expiry_notice>),
    location_directive("weft_reject", kEverywhere | NGX_CONF_TAKE1, set_credential<read_reject>),
    location_directive("weft_api_key", kEverywhere | NGX_CONF_TAKE1, set_credential<read_api_keys>),
    location_directive("weft_origin", kEverywhere | NGX_CONF_1MORE, set_origin),
    location_directive("weft_rate", kEverywhere | NGX_CONF_TAKE1234, set_rate),
    location_directive("weft_user_rate", kEverywhere | NGX_CONF_TAKE12, set_user_rate),
    location_directive("weft_ip_rate", kEverywhere | NGX_CONF_TAKE12, set_ip_rate),
    location_directive("weft_subscriptions", kEverywhere | NGX_CONF_TAKE1, set_subscriptions),
    location_directive("weft_pending_rpcs", kEverywhere | NGX_CONF_TAKE1, set_pending_rpcs),
    location_directive("weft_first_subscribe", kEverywhere | NGX_CONF_TAKE1, set_first_subscribe),
    location_directive("weft_heartbeat", kEverywhere | NGX_CONF_TAKE12, set_heartbeat),
    location_directive("weft_message_size", kEverywhere | NGX_CONF_TAKE1, set_message_size),
    location_directive("weft_send_queue", kEverywhere | NGX_CONF_TAKE1, set_send_queue),
    location_directive("weft_protocol", kEverywhere | NGX_CONF_TAKE1, set_protocol),
    location_directive("weft_subscribe", kEverywhere | NGX_CONF_1MORE, set_subscribe),
    location_directive("weft_publish_raw", kEverywhere | NGX_CONF_TAKE1, set_publish_raw),
    location_directive("weft_compression", kEverywhere | NGX_CONF_1MORE, set_compression),
    location_directive("weft_connections", kEverywhere | NGX_CONF_TAKE123, set_connections),
    location_directive("weft_log", kEverywhere | NGX_CONF_1MORE, set_log),

    location_directive("weft_websocket", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_websocket),
    location_directive("weft_sse", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_stream<StreamWire::Kind::sse, handle_sse>),
    location_directive("weft_stream", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
                       set_stream<StreamWire::Kind::lines, handle_stream>),
    location_directive("weft_poll", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1,
                       set_stream<StreamWire::Kind::poll, handle_poll>),
    location_directive("weft_echo", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_echo),
    location_directive("weft_publish", NGX_HTTP_LOC_CONF | NGX_CONF_TAKE12, set_publish),
    location_directive("weft_api", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_api),
    location_directive("weft_status", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_status),
    ngx_null_command,
};

void* create_main_settings(ngx_conf_t* cf) noexcept {
    MainSettings* const settings = make_in_pool<MainSettings>(cf->pool);
    if (settings != nullptr) {
        const ngx_time_t* const now = ngx_timeofday();
        settings->generation = static_cast<std::uint64_t>(now->sec) * 1000 + now->msec;
    }
    return settings;
}

char* init_main_settings(ngx_conf_t* cf, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    if (settings.sidecar.empty()) settings.sidecar = MainSettings::kDefaultSidecar;
    if (settings.zone_size == 0) settings.zone_size = MainSettings::kDefaultZone;
    settings.zone = add_zone(cf, settings.zone_size);
    if (settings.zone == nullptr) return kFailed;
    if (!settings.tickets_once) return NGX_CONF_OK;
    if (settings.ticket_zone_size == 0) settings.ticket_zone_size = settings.zone_size;
    settings.ticket_zone = add_ticket_zone(cf, settings.ticket_zone_size);
    return settings.ticket_zone == nullptr ? kFailed : NGX_CONF_OK;
}

void* create_location_settings(ngx_conf_t* cf) noexcept {
    return make_in_pool<LocationSettings>(cf->pool);
}

char* merge_location_settings(ngx_conf_t* cf, void* parent, void* child) noexcept {
    auto& from = *static_cast<LocationSettings*>(parent);
    auto& to = *static_cast<LocationSettings*>(child);
    if (!to.tickets) to.tickets = from.tickets;
    to.credentials.inherit(from.credentials);
    if (!to.origins) {
        to.origins = from.origins;
        to.origins_said = from.origins_said;
    }
    to.limits.inherit(from.limits);
    if (!to.heartbeat) {  // one directive sets both
        to.heartbeat = from.heartbeat;
        to.heartbeat_timeout = from.heartbeat_timeout;
    }
    if (!to.message_size) to.message_size = from.message_size;
    if (!to.send_queue) to.send_queue = from.send_queue;
    if (!to.compression) to.compression = from.compression;
    if (to.protocol.empty()) to.protocol = from.protocol;
    if (to.entrance.empty()) to.entrance = from.entrance;
    if (!to.publish_raw) to.publish_raw = from.publish_raw;
    if (!to.connections) to.connections = from.connections;
    if (!to.logs) to.logs = from.logs;

    const bool echo = to.endpoint.echo;
    if (to.publish_needs_ticket && !to.tickets) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"weft_publish … ticket\" has no \"weft_ticket\", expected \"weft_ticket key=FILE;\" here or in "
                      "a block around it: nobody could publish");
        return kFailed;
    }
    if (to.connect_at.empty() && !echo) return NGX_CONF_OK;
    auto wrong = echo ? std::nullopt : check_credentials(to);
    if (!wrong && !echo) wrong = check_protocol(to);
    if (wrong) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"%s\" in %s %s", to.connect_name.c_str(), to.connect_at.c_str(),
                      wrong->c_str());
        return kFailed;
    }
    if (to.publish_raw.value_or(false) && !to.stream) to.protocol = kRawProtocol;
    if (!echo && to.message_size.value_or(0) > kMaxMessageSize) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"weft_message_size\" is %uz bytes for \"%s\" in %s, expected at most %uz: what weftd carries",
                      *to.message_size, to.connect_name.c_str(), to.connect_at.c_str(), kMaxMessageSize);
        return kFailed;
    }
    if (!to.origins) to.origins = std::make_shared<const OriginPolicy>(OriginPolicy::same_host());
    const EndpointSettings defaults;
    to.limits.apply(to.endpoint);
    if (to.heartbeat) to.endpoint.heartbeat = std::chrono::milliseconds(*to.heartbeat);
    if (to.stream == StreamWire::Kind::poll) {
        to.endpoint.heartbeat = std::chrono::milliseconds(to.hold.value_or(LocationSettings::kDefaultHold));
    }
    if (to.heartbeat_timeout) to.endpoint.heartbeat_timeout = std::chrono::milliseconds(*to.heartbeat_timeout);
    const CredentialSettings& credentials = to.credentials;
    to.endpoint.auth_timeout = std::chrono::milliseconds(credentials.auth_timeout.value_or(0));
    if (credentials.expiry_notice) to.endpoint.expiry_notice = std::chrono::milliseconds(*credentials.expiry_notice);
    if (to.tickets) to.endpoint.leeway = to.tickets->rules().leeway;
    to.endpoint.location = &to;
    to.endpoint.max_message = to.message_size.value_or(defaults.max_message);
    to.endpoint.send_queue = to.send_queue.value_or(defaults.send_queue);
    to.endpoint.compression = to.compression.value_or(defaults.compression);
    if (to.connections) {
        auto& main = *static_cast<MainSettings*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_weft_module));
        main.counted.include(*to.connections);
    }
    name_location(cf, to);
    return NGX_CONF_OK;
}

}  // namespace weft
