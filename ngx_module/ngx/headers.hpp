// A request's headers by name.
#pragma once

#include <string>
#include <string_view>

#include "ngx/ngx.hpp"

namespace weft {

/// Whether the header is called so; `name` in lower case.
inline bool is_header(const ngx_table_elt_t& header, std::string_view name) noexcept {
    return header.key.len == name.size() &&
           ngx_strncasecmp(header.key.data, reinterpret_cast<u_char*>(const_cast<char*>(name.data())), name.size()) ==
               0;
}

/// Calls `see(header)` for each header that the request has, in their order.
template <class F>
void each_header(ngx_http_request_t* request, F&& see) {
    for (ngx_list_part_t* part = &request->headers_in.headers.part; part != nullptr; part = part->next) {
        auto* headers = static_cast<ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) see(headers[i]);
    }
}

/// The value of a header; several of a name are joined as RFC 9110 §5.3 allows. `storage` holds joined values.
std::string_view header(ngx_http_request_t* request, std::string_view name, std::string& storage);

}  // namespace weft
