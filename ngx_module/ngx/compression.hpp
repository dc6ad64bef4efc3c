// weft_compression.
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

/// Reads the directive into LocationSettings.
char* set_compression(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;

}  // namespace weft
