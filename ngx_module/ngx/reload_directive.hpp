// weft_reload, and by what names connections find their location in the next nginx.conf.
#pragma once

#include "ngx/settings.hpp"

namespace weft {

/// Puts a location where clients connect among MainSettings::locations. For merging, when it is complete.
void name_location(ngx_conf_t* cf, LocationSettings& settings);

/// Makes the directory in which workers find each other, where connections are to move. In the process that starts
/// them.
void prepare_rendezvous(ngx_cycle_t* cycle) noexcept;

// Of directives.cpp's table.
char* set_reload(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;

}  // namespace weft
