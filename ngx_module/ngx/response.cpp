#include "ngx/response.hpp"

namespace weft {

bool add_header(ngx_http_request_t* request, std::string_view name, std::string_view value) noexcept {
    auto* added = static_cast<ngx_table_elt_t*>(ngx_list_push(&request->headers_out.headers));
    if (added == nullptr) return false;
    ngx_memzero(added, sizeof(*added));
    added->key = copy_to_pool(request->pool, name);
    added->value = copy_to_pool(request->pool, value);
    if (added->key.data == nullptr || added->value.data == nullptr) return false;  // hash 0: it isn't sent
    added->hash = 1;
    return true;
}

ngx_int_t respond(ngx_http_request_t* request, ngx_int_t status, std::string_view content_type,
                  std::string_view body) noexcept {
    ngx_http_complex_value_t value;
    ngx_memzero(&value, sizeof(value));
    value.value = copy_to_pool(request->pool, body);
    ngx_str_t type = copy_to_pool(request->pool, content_type);
    if (value.value.data == nullptr || type.data == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return ngx_http_send_response(request, static_cast<ngx_uint_t>(status), &type, &value);
}

}  // namespace weft
