#include "ngx/directives.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "ngx/compression.hpp"
#include "ngx/conf_values.hpp"
#include "ngx/connection_log.hpp"
#include "ngx/settings.hpp"
#include "ngx/zone.hpp"
#include "weft/link_session.hpp"

namespace weft {

namespace {

constexpr std::size_t kMinMessageSize = 128;
constexpr std::size_t kMaxMessageSize = kMaxData;                    // what the link to weftd carries
constexpr std::size_t kMaxEchoSize = std::size_t{64} * 1024 * 1024;  // which doesn't come so far
constexpr std::size_t kMinSendQueue = std::size_t{4} * 1024;
constexpr std::size_t kNoMost = SIZE_MAX / 2;
constexpr std::size_t kMinSendMemory = std::size_t{1024} * 1024;
constexpr std::size_t kMaxKeyFile = std::size_t{64} * 1024;

char* not_supported(ngx_conf_t* cf, const std::string& what) noexcept {
    return fail(cf, what + " is not supported yet");
}

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

// --- weft_channel PATTERN { … } ---

/// The rule that a block makes, while it is being read.
struct ChannelOptions {
    ChannelRule rule;
    bool publish_seen = false;
    bool overflow_seen = false;
    bool history_seen = false;
};

/// One line of the block.
char* set_channel_option(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& options = *static_cast<ChannelOptions*>(conf);
    ChannelRule& rule = options.rule;
    const ngx_str_t* words = args(cf);
    const std::string_view name = view(words[0]);
    if (name == "publish") {
        if (options.publish_seen) return fail(cf, "\"publish\" is duplicate in \"weft_channel\"");
        options.publish_seen = true;
        if (cf->args->nelts == 2 && view(words[1]) == "on") {
            rule.publish = true;
        } else if (cf->args->nelts == 2 && view(words[1]) == "off") {
            rule.publish = false;
        } else {
            return fail(
                cf, "invalid value of \"publish\" in \"weft_channel\", expected \"publish on;\" or \"publish off;\"");
        }
        return NGX_CONF_OK;
    }
    if (name == "overflow") {
        if (options.overflow_seen) return fail(cf, "\"overflow\" is duplicate in \"weft_channel\"");
        options.overflow_seen = true;
        const std::string_view value = cf->args->nelts == 2 ? view(words[1]) : std::string_view();
        if (value == "close") {
            rule.overflow = Overflow::close;
        } else if (value == "drop_oldest") {
            rule.overflow = Overflow::drop_oldest;
        } else if (value == "conflate") {
            rule.overflow = Overflow::conflate;
        } else {
            return fail(cf,
                        "invalid value of \"overflow\" in \"weft_channel\", expected \"overflow close;\", "
                        "\"overflow drop_oldest;\" or \"overflow conflate;\"");
        }
        return NGX_CONF_OK;
    }
    if (name == "history") {
        if (options.history_seen) return fail(cf, "\"history\" is duplicate in \"weft_channel\"");
        options.history_seen = true;
        constexpr ngx_uint_t kMaxCount = 1'000'000;
        constexpr ngx_msec_t kMaxAge = ngx_msec_t{365} * 24 * 3600 * 1000;
        const bool complete = cf->args->nelts == 3;
        const ngx_uint_t count = complete ? read_number(words[1], 1, kMaxCount).value_or(0) : 0;
        const ngx_msec_t age = complete ? read_time(words[2], 1).value_or(0) : 0;
        if (count == 0 || age == 0 || age > kMaxAge) {
            return fail(cf,
                        "invalid value of \"history\" in \"weft_channel\", expected a number of publications up to "
                        "1000000 and a time up to 1y, such as \"history 100 10m;\"");
        }
        rule.history_count = static_cast<std::uint32_t>(count);
        rule.history_age = std::chrono::milliseconds(age);
        return NGX_CONF_OK;
    }
    if (name == "conflate") {
        return fail(cf, "unknown option \"conflate\" in \"weft_channel\", expected \"overflow conflate;\"");
    }
    for (const char* later : {"presence", "rate", "ack", "deliver"}) {
        if (name == later) return not_supported(cf, quoted(words[0]) + " in \"weft_channel\"");
    }
    return fail(cf, "unknown option " + quoted(words[0]) +
                        " in \"weft_channel\", expected \"publish\", \"overflow\" or \"history\"");
}

char* set_channel(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    auto pattern = ChannelPattern::parse(view(args(cf)[1]));
    if (!pattern)
        return fail(cf, "invalid pattern " + quoted(args(cf)[1]) + " in \"weft_channel\": " + pattern.error());
    for (const ChannelRule& rule : settings.rules.all()) {
        if (rule.pattern.text() == pattern->text()) {
            return fail(cf, "\"weft_channel " + pattern->text() + "\" is there already, expected one block a pattern");
        }
    }
    ChannelOptions options{{std::move(*pattern)}};
    const ngx_conf_t outer = *cf;
    cf->handler = set_channel_option;
    cf->handler_conf = reinterpret_cast<char*>(&options);
    char* const result = ngx_conf_parse(cf, nullptr);
    *cf = outer;
    if (result == NGX_CONF_OK) settings.rules.add(std::move(options.rule));
    return result;
}

// --- locations ---

/// A key file's bytes, read at start by the master, so it need not be readable by workers.
tl::expected<std::string, std::string> read_file(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return tl::unexpected(std::string(std::strerror(errno)));
    std::string content(kMaxKeyFile + 1, '\0');
    const std::size_t size = std::fread(content.data(), 1, content.size(), file);
    const bool failed = std::ferror(file) != 0;
    std::fclose(file);
    if (failed) return tl::unexpected(std::string("it can't be read"));
    if (size > kMaxKeyFile) return tl::unexpected(std::string("it is longer than 64k"));
    content.resize(size);
    return content;
}

char* set_ticket(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    if (settings.tickets) return const_cast<char*>("is duplicate");
    TicketRules rules;
    std::optional<ngx_str_t> key;
    for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
        const ngx_str_t& argument = args(cf)[i];
        if (const auto path = parameter(argument, "key")) {
            key = path;
        } else if (const auto algorithm = parameter(argument, "alg")) {
            rules.algorithm = view(*algorithm);
            if (rules.algorithm != "HS256") return not_supported(cf, quoted(argument) + " in \"weft_ticket\"");
        } else if (const auto age = parameter(argument, "max_age")) {
            const auto time = read_time(*age, 1000);
            if (!time)
                return fail(cf,
                            "invalid time " + quoted(argument) + " in \"weft_ticket\", expected at least max_age=1s");
            rules.max_age = std::chrono::seconds(*time / 1000);
        } else if (const auto leeway = parameter(argument, "leeway")) {
            const auto time = read_time(*leeway, 0);
            if (!time)
                return fail(cf,
                            "invalid time " + quoted(argument) + " in \"weft_ticket\", expected for example leeway=5s");
            rules.leeway = std::chrono::seconds(*time / 1000);
        } else if (view(argument) == "once" || parameter(argument, "jwks") || parameter(argument, "iss") ||
                   parameter(argument, "aud")) {
            return not_supported(cf, quoted(argument) + " in \"weft_ticket\"");
        } else {
            return fail(cf,
                        "invalid parameter " + quoted(argument) +
                            " in \"weft_ticket\", expected key=FILE, and perhaps alg=HS256, max_age=TIME, leeway=TIME");
        }
    }
    if (!key || key->len == 0) return fail(cf, "no key in \"weft_ticket\", expected key=FILE");
    ngx_str_t path = *key;
    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) return kFailed;
    auto content = read_file(reinterpret_cast<const char*>(path.data));
    if (!content) return fail(cf, "key file " + quoted(path) + " in \"weft_ticket\": " + content.error());
    std::string& bytes = *content;
    const auto secret = read_key(bytes);
    ngx_explicit_memzero(bytes.data(), bytes.size());
    if (!secret) return fail(cf, "key file " + quoted(path) + " in \"weft_ticket\": " + secret.error());
    auto verifier = TicketVerifier::create(rules, *secret);
    if (!verifier) return fail(cf, "key file " + quoted(path) + " in \"weft_ticket\": " + verifier.error());
    settings.tickets = std::make_shared<const TicketVerifier>(std::move(*verifier));
    return NGX_CONF_OK;
}

char* set_origin(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    if (settings.origins) return const_cast<char*>("is duplicate");
    std::vector<std::string_view> entries;
    for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) entries.push_back(view(args(cf)[i]));
    auto policy = OriginPolicy::parse(entries);
    if (!policy) return fail(cf, "invalid value in \"weft_origin\": " + policy.error());
    settings.origins = std::make_shared<const OriginPolicy>(std::move(*policy));
    return NGX_CONF_OK;
}

char* set_rate(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    if (settings.rate) return const_cast<char*>("is duplicate");
    const std::string_view text = view(args(cf)[1]);
    if (text == "off") {
        if (cf->args->nelts > 2) return fail(cf, "\"weft_rate off\" takes no further parameter");
        settings.rate = Rate{};
        return NGX_CONF_OK;
    }
    Rate rate;
    const bool per_minute = text.ends_with("r/m");
    ngx_int_t count = NGX_ERROR;
    if (text.size() > 3 && (per_minute || text.ends_with("r/s"))) count = ngx_atoi(args(cf)[1].data, text.size() - 3);
    if (count == NGX_ERROR || count < 1 || count > 1'000'000) {
        return fail(cf, "invalid rate " + quoted(args(cf)[1]) +
                            " in \"weft_rate\", expected a rate such as 100r/s or 30r/m, or off");
    }
    rate.per_second = per_minute ? static_cast<double>(count) / 60 : static_cast<double>(count);
    if (cf->args->nelts > 2) {
        const auto burst = parameter(args(cf)[2], "burst");
        const ngx_int_t value = burst ? ngx_atoi(burst->data, burst->len) : NGX_ERROR;
        if (value == NGX_ERROR || value > 1'000'000) {
            return fail(cf, "invalid parameter " + quoted(args(cf)[2]) + " in \"weft_rate\", expected burst=NUMBER");
        }
        rate.burst = static_cast<std::uint32_t>(value);
    }
    settings.rate = rate;
    return NGX_CONF_OK;
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

char* set_websocket(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    settings.websocket_at = std::string(view(cf->conf_file->file.name)) + ":" + std::to_string(cf->conf_file->line);
    return take_location(cf, handle_upgrade);
}

char* set_echo(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    static_cast<LocationSettings*>(conf)->endpoint.echo = true;
    return take_location(cf, handle_upgrade);
}

char* set_publish(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
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
    http_directive("weft_zone", NGX_CONF_TAKE1, set_zone),
    http_directive("weft_drain", NGX_CONF_TAKE1, set_drain),
    http_directive("weft_send_memory", NGX_CONF_TAKE1, set_send_memory),
    http_directive("weft_channel", NGX_CONF_BLOCK | NGX_CONF_TAKE1, set_channel),
    http_directive("weft_log_format", NGX_CONF_2MORE, set_log_format),

    location_directive("weft_ticket", kEverywhere | NGX_CONF_1MORE, set_ticket),
    location_directive("weft_origin", kEverywhere | NGX_CONF_1MORE, set_origin),
    location_directive("weft_rate", kEverywhere | NGX_CONF_TAKE12, set_rate),
    location_directive("weft_heartbeat", kEverywhere | NGX_CONF_TAKE12, set_heartbeat),
    location_directive("weft_message_size", kEverywhere | NGX_CONF_TAKE1, set_message_size),
    location_directive("weft_send_queue", kEverywhere | NGX_CONF_TAKE1, set_send_queue),
    location_directive("weft_compression", kEverywhere | NGX_CONF_1MORE, set_compression),
    location_directive("weft_connections", kEverywhere | NGX_CONF_TAKE123, set_connections),
    location_directive("weft_log", kEverywhere | NGX_CONF_1MORE, set_log),

    location_directive("weft_websocket", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_websocket),
    location_directive("weft_echo", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_echo),
    location_directive("weft_publish", NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_publish),
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
    return settings.zone == nullptr ? kFailed : NGX_CONF_OK;
}

void* create_location_settings(ngx_conf_t* cf) noexcept {
    return make_in_pool<LocationSettings>(cf->pool);
}

char* merge_location_settings(ngx_conf_t* cf, void* parent, void* child) noexcept {
    auto& from = *static_cast<LocationSettings*>(parent);
    auto& to = *static_cast<LocationSettings*>(child);
    if (!to.tickets) to.tickets = from.tickets;
    if (!to.origins) to.origins = from.origins;
    if (!to.rate) to.rate = from.rate;
    if (!to.heartbeat) {  // one directive sets both
        to.heartbeat = from.heartbeat;
        to.heartbeat_timeout = from.heartbeat_timeout;
    }
    if (!to.message_size) to.message_size = from.message_size;
    if (!to.send_queue) to.send_queue = from.send_queue;
    if (!to.compression) to.compression = from.compression;
    if (!to.connections) to.connections = from.connections;
    if (!to.logs) to.logs = from.logs;

    const bool echo = to.endpoint.echo;
    if (to.websocket_at.empty() && !echo) return NGX_CONF_OK;
    if (!echo && !to.tickets) {
        ngx_log_error(
            NGX_LOG_EMERG, cf->log, 0,
            "\"weft_websocket\" in %s has no \"weft_ticket\", expected \"weft_ticket key=FILE;\" here or in a "
            "block around it: nobody could connect",
            to.websocket_at.c_str());
        return kFailed;
    }
    if (!echo && to.message_size.value_or(0) > kMaxMessageSize) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"weft_message_size\" is %uz bytes for \"weft_websocket\" in %s, expected at most %uz: what "
                      "weftd carries",
                      *to.message_size, to.websocket_at.c_str(), kMaxMessageSize);
        return kFailed;
    }
    if (!to.origins) to.origins = std::make_shared<const OriginPolicy>(OriginPolicy::same_host());
    const EndpointSettings defaults;
    to.endpoint.rate = to.rate.value_or(defaults.rate);
    if (to.heartbeat) to.endpoint.heartbeat = std::chrono::milliseconds(*to.heartbeat);
    if (to.heartbeat_timeout) to.endpoint.heartbeat_timeout = std::chrono::milliseconds(*to.heartbeat_timeout);
    to.endpoint.max_message = to.message_size.value_or(defaults.max_message);
    to.endpoint.send_queue = to.send_queue.value_or(defaults.send_queue);
    to.endpoint.compression = to.compression.value_or(defaults.compression);
    if (to.connections) {
        auto& main = *static_cast<MainSettings*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_weft_module));
        main.counted.include(*to.connections);
    }
    return NGX_CONF_OK;
}

}  // namespace weft
