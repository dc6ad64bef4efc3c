// Grants as JSON text on their own: what nginx.conf, its variables and files of API keys say of who may do what.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "auth/grants.hpp"

namespace weft {

inline constexpr std::size_t kMaxGrantsText = 8192;  // bytes

/// Reads {"channels":{PATTERN:[ACTION,…],…},"rpc":[PATTERN,…]}, as in a ticket; both may be left out, and other members
/// are an error. The error is a sentence for a log, which holds nothing of the text but for a faulty pattern (at most
/// 64 bytes, made printable).
tl::expected<Grants, std::string> parse_grants(std::string_view json);

}  // namespace weft
