#include "ngx/cors.hpp"

#include <exception>
#include <string>

#include "ngx/headers.hpp"
#include "ngx/response.hpp"

namespace weft {

bool add_cors_headers(ngx_http_request_t* request) noexcept {
    try {
        std::string storage;
        const std::string_view origin = header(request, "origin", storage);
        // A cache must not give one page what was meant for another.
        if (!add_header(request, "Vary", "Origin")) return false;
        if (origin.empty()) return true;
        return add_header(request, "Access-Control-Allow-Origin", origin) &&
               add_header(request, "Access-Control-Allow-Credentials", "true") &&
               add_header(request, "Access-Control-Expose-Headers", "Weft-Position, Retry-After");
    } catch (const std::exception&) {
        return false;
    }
}

ngx_int_t answer_preflight(ngx_http_request_t* request, std::string_view methods) noexcept {
    if (ngx_http_discard_request_body(request) != NGX_OK ||
        !add_header(request, "Access-Control-Allow-Methods", methods) ||
        !add_header(request, "Access-Control-Allow-Headers",
                    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key") ||
        !add_header(request, "Access-Control-Max-Age", "7200")) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    request->headers_out.status = NGX_HTTP_NO_CONTENT;
    request->headers_out.content_length_n = 0;
    request->header_only = 1;
    return ngx_http_send_header(request);
}

}  // namespace weft
