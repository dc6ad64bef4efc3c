// How directives read their arguments, and say what is wrong with them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ngx/ngx.hpp"

namespace weft {

inline char* const kFailed = static_cast<char*>(NGX_CONF_ERROR);

/// The words of the directive that is being read, its name first.
inline ngx_str_t* args(ngx_conf_t* cf) noexcept {
    return static_cast<ngx_str_t*>(cf->args->elts);
}

/// Logs `why` with nginx's " in file:line", and gives what a directive's handler returns then.
char* fail(ngx_conf_t* cf, const std::string& why) noexcept;

std::string quoted(const ngx_str_t& text);

/// The text behind "name=" when `argument` begins so.
std::optional<ngx_str_t> parameter(const ngx_str_t& argument, std::string_view name) noexcept;

/// A time of at least `least` milliseconds.
std::optional<ngx_msec_t> read_time(ngx_str_t text, ngx_msec_t least) noexcept;

/// A number from `least` to `most`.
std::optional<ngx_uint_t> read_number(const ngx_str_t& text, ngx_uint_t least, ngx_uint_t most) noexcept;

}  // namespace weft
