// weft_channel PATTERN { … }: what may be done in the channels that match.
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

/// Reads the block and adds its rule to MainSettings.
char* set_channel(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;

}  // namespace weft
