// weft_protocol and weft_rooms_prefix, and what of weft_publish_raw belongs to them: what is spoken with clients.
#pragma once

#include <optional>
#include <string>

#include "ngx/ngx.hpp"

namespace weft {

char* set_protocol(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_rooms_prefix(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;

/// What weft_publish_raw has clients speak that ask for nothing.
inline constexpr const char* kRawProtocol = "weft.v1.raw";

struct LocationSettings;

/// Checks that what is spoken can be spoken the way in which clients connect. The error is a sentence.
std::optional<std::string> check_protocol(const LocationSettings& location);

}  // namespace weft
