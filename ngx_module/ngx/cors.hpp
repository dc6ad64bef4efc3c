// Pages of other origins that use fetch() or EventSource (Fetch Standard, "CORS protocol").
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

/// Says to the browser that a page of the request's origin may read the answer. For an origin that weft_origin allows.
/// False when memory ran out.
bool add_cors_headers(ngx_http_request_t* request) noexcept;

/// Answers OPTIONS, with which a browser asks whether it may send `methods`; what a content handler returns.
ngx_int_t answer_preflight(ngx_http_request_t* request, std::string_view methods) noexcept;

}  // namespace weft
