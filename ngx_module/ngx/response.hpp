// Answers to HTTP requests that are short texts.
#pragma once

#include <string_view>

#include "ngx/ngx.hpp"

namespace weft {

/// Adds a response header; name and value are copied. False when memory ran out.
bool add_header(ngx_http_request_t* request, std::string_view name, std::string_view value) noexcept;

/// Sends `body`, which is copied, with this status; the result is what a handler returns or a request is finalized
/// with.
ngx_int_t respond(ngx_http_request_t* request, ngx_int_t status, std::string_view content_type,
                  std::string_view body) noexcept;

}  // namespace weft
