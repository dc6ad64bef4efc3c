// One cookie of a request (RFC 6265 §4.2).
#pragma once

#include <optional>
#include <string_view>

namespace weft {

/// Whether a cookie may be called so: a token of RFC 9110 §5.6.2.
bool is_cookie_name(std::string_view name) noexcept;

/// The value of the first cookie called `name`, case and all, in a Cookie header's value; without the double quotes
/// that may stand around it. It points into `header`.
std::optional<std::string_view> find_cookie(std::string_view header, std::string_view name) noexcept;

}  // namespace weft
