#include "ngx/compression.hpp"

#include <string>

#include "ngx/conf_values.hpp"
#include "ngx/settings.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxMinSize = std::size_t{8} * 1024 * 1024;

char* invalid(ngx_conf_t* cf, const ngx_str_t& argument, const char* expected) noexcept {
    return fail(cf, "invalid parameter " + quoted(argument) + " in \"weft_compression\", expected " + expected);
}

bool read_takeover(std::string_view text, websocket::DeflatePolicy& policy) noexcept {
    policy.server_takeover = text == "server" || text == "both";
    policy.client_takeover = text == "client" || text == "both";
    return policy.server_takeover || policy.client_takeover || text == "none";
}

char* read_parameter(ngx_conf_t* cf, const ngx_str_t& argument, CompressionSettings& compression) noexcept {
    const auto window = [](const ngx_str_t& text, std::uint8_t& value) {
        const auto bits = read_number(text, websocket::kMinWindow, websocket::kMaxWindow);
        if (bits) value = static_cast<std::uint8_t>(*bits);
        return bits.has_value();
    };
    if (const auto level = parameter(argument, "level")) {
        const auto number = read_number(*level, 1, 9);
        if (!number) return invalid(cf, argument, "level=1 to level=9");
        compression.deflate.level = static_cast<std::uint8_t>(*number);
    } else if (auto size = parameter(argument, "min_size")) {
        const ssize_t bytes = ngx_parse_size(&*size);
        if (bytes == NGX_ERROR || static_cast<std::size_t>(bytes) > kMaxMinSize) {
            return invalid(cf, argument, "a size of at most 8m, for example min_size=256");
        }
        compression.deflate.min_size = static_cast<std::size_t>(bytes);
    } else if (const auto bits = parameter(argument, "window")) {
        if (!window(*bits, compression.policy.server_window)) return invalid(cf, argument, "window=9 to window=15");
    } else if (const auto client_bits = parameter(argument, "client_window")) {
        if (!window(*client_bits, compression.policy.client_window)) {
            return invalid(cf, argument, "client_window=9 to client_window=15");
        }
    } else if (const auto takeover = parameter(argument, "takeover")) {
        if (!read_takeover(view(*takeover), compression.policy)) {
            return invalid(cf, argument, "takeover=none, takeover=server, takeover=client or takeover=both");
        }
    } else {
        return invalid(
            cf, argument,
            "level=NUMBER, min_size=SIZE, window=BITS, client_window=BITS or takeover=none|server|client|both");
    }
    return NGX_CONF_OK;
}

}  // namespace

char* set_compression(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    if (settings.compression) return const_cast<char*>("is duplicate");
    CompressionSettings compression;
    const std::string_view state = view(args(cf)[1]);
    if (state != "on" && state != "off") {
        return fail(cf, "invalid value " + quoted(args(cf)[1]) + " in \"weft_compression\", expected on or off");
    }
    compression.on = state == "on";
    if (!compression.on && cf->args->nelts > 2) return fail(cf, "\"weft_compression off\" takes no further parameter");
    for (ngx_uint_t i = 2; i < cf->args->nelts; ++i) {
        if (char* const failed = read_parameter(cf, args(cf)[i], compression); failed != NGX_CONF_OK) return failed;
    }
    settings.compression = compression;
    return NGX_CONF_OK;
}

}  // namespace weft
