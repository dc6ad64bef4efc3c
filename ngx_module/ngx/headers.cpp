#include "ngx/headers.hpp"

namespace weft {

std::string_view header(ngx_http_request_t* request, std::string_view name, std::string& storage) {
    std::string_view value;
    each_header(request, [&](const ngx_table_elt_t& one) {
        if (!is_header(one, name)) return;
        if (value.empty()) {
            value = view(one.value);
        } else {
            std::string joined(value);
            joined.append(", ").append(view(one.value));
            storage = std::move(joined);
            value = storage;
        }
    });
    return value;
}

}  // namespace weft
