// How a back end knows that a webhook comes from weftd: signatures as in Standard Webhooks 1.0
// (https://www.standardwebhooks.com), for which there are libraries in most languages.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weft {

inline constexpr std::size_t kMinHookKey = 24, kMaxHookKey = 64;  // bytes, as the standard says

/// What a key's file holds: "whsec_" and base 64 (RFC 4648 §4), or the key as text; a line's end behind it is none of
/// it. The error is a phrase that ends with what was expected.
tl::expected<std::string, std::string> parse_hook_key(std::string_view text);

/// The value of the header "webhook-signature". `timestamp`: Unix time in seconds, as text.
std::string webhook_signature(std::string_view key, std::string_view id, std::string_view timestamp,
                              std::string_view body);

}  // namespace weft
