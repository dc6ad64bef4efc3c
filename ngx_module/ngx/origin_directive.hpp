// weft_origin: which pages may connect.
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

char* set_origin(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;

}  // namespace weft
