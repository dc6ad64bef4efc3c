// The module's directives: their table, and how their values are read.
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

extern ngx_command_t directives[];

void* create_main_settings(ngx_conf_t* cf) noexcept;
char* init_main_settings(ngx_conf_t* cf, void* conf) noexcept;
void* create_location_settings(ngx_conf_t* cf) noexcept;
char* merge_location_settings(ngx_conf_t* cf, void* parent, void* child) noexcept;

}  // namespace weft
