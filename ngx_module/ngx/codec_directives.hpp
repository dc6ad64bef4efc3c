// weft_protocol and weft_rooms_prefix: what is spoken with clients.
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

char* set_protocol(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_rooms_prefix(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;

}  // namespace weft
