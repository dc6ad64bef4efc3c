#include "ngx/conf_values.hpp"

namespace weft {

char* fail(ngx_conf_t* cf, const std::string& why) noexcept {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%*s", why.size(), why.data());
    return kFailed;
}

std::string quoted(const ngx_str_t& text) {
    return "\"" + std::string(view(text)) + "\"";
}

std::optional<ngx_str_t> parameter(const ngx_str_t& argument, std::string_view name) noexcept {
    const std::string_view text = view(argument);
    if (text.size() <= name.size() || !text.starts_with(name) || text[name.size()] != '=') return std::nullopt;
    return ngx_str_t{argument.len - name.size() - 1, argument.data + name.size() + 1};
}

std::optional<ngx_msec_t> read_time(ngx_str_t text, ngx_msec_t least) noexcept {
    const ngx_int_t value = ngx_parse_time(&text, 0);
    if (value == NGX_ERROR || static_cast<ngx_msec_t>(value) < least) return std::nullopt;
    return static_cast<ngx_msec_t>(value);
}

std::optional<ngx_uint_t> read_number(const ngx_str_t& text, ngx_uint_t least, ngx_uint_t most) noexcept {
    const ngx_int_t value = ngx_atoi(text.data, text.len);
    if (value == NGX_ERROR || static_cast<ngx_uint_t>(value) < least || static_cast<ngx_uint_t>(value) > most) {
        return std::nullopt;
    }
    return static_cast<ngx_uint_t>(value);
}

}  // namespace weft
