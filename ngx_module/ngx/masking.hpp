// Keeps credentials out of what nginx itself logs of a request.
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

/// Puts handlers into two of nginx's phases, for requests to locations that take credentials:
///  - as soon as the location is known, `$request` and the error log's "request:" get a copy without tickets, whatever
///    becomes of the request then. All else stays as it is, as auth_request and the like may need it.
///  - before the access log is written, credentials are masked wherever a variable could still show them.
/// Called once, behind all directives.
ngx_int_t add_masking(ngx_conf_t* cf) noexcept;

}  // namespace weft
