// How directives read rates: 100r/s burst=200.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "limit/traffic_bucket.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// RATE [burst=NUMBER], or off: the words behind `directive`'s name. None after logging what is wrong with them.
std::optional<Rate> read_rate(ngx_conf_t* cf, std::string_view directive, std::span<const ngx_str_t> words) noexcept;

/// What weft_rate says: "off", or a rate with burst=NUMBER, bytes=SIZE/s or bytes=off, and bytes_burst=SIZE. What isn't
/// said of `bytes` stays as it is. False after logging.
bool read_traffic(ngx_conf_t* cf, std::span<const ngx_str_t> words, Rate& messages, ByteRate& bytes) noexcept;

}  // namespace weft
