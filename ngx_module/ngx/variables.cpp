#include "ngx/variables.hpp"

#include <cstring>

#include "auth/ticket_mask.hpp"
#include "codec/text_rules.hpp"

namespace weft {

namespace {

ngx_int_t set_value(ngx_http_request_t* request, ngx_http_variable_value_t* value, std::string_view text) noexcept {
    const ngx_str_t copy = copy_to_pool(request->pool, text);
    if (copy.data == nullptr) return NGX_ERROR;
    value->data = copy.data;
    value->len = static_cast<unsigned>(copy.len);
    value->valid = 1;
    value->no_cacheable = 0;
    value->not_found = 0;
    return NGX_OK;
}

ngx_int_t set_absent(ngx_http_variable_value_t* value) noexcept {
    value->not_found = 1;
    return NGX_OK;
}

ngx_int_t get_user(ngx_http_request_t* request, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    const UpgradedRequest* upgraded = upgraded_request(request);
    if (upgraded == nullptr || upgraded->identity == nullptr || upgraded->identity->user.empty()) {
        return set_absent(value);
    }
    return set_value(request, value, upgraded->identity->user);
}

ngx_int_t get_client_id(ngx_http_request_t* request, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    const UpgradedRequest* upgraded = upgraded_request(request);
    if (upgraded == nullptr || upgraded->client_id == 0) return set_absent(value);
    std::string text;
    append_client_id(text, upgraded->client_id);
    return set_value(request, value, text);
}

ngx_int_t get_subprotocol(ngx_http_request_t* request, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    const UpgradedRequest* upgraded = upgraded_request(request);
    if (upgraded == nullptr || upgraded->subprotocol.empty()) return set_absent(value);
    return set_value(request, value, upgraded->subprotocol);
}

ngx_int_t get_request_uri(ngx_http_request_t* request, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    try {
        return set_value(request, value, without_ticket(view(request->unparsed_uri)));
    } catch (const std::exception&) {  // no memory
        return NGX_ERROR;
    }
}

/// Of a variable that only weft_log knows, at the end of the connection.
ngx_int_t get_nothing(ngx_http_request_t*, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    return set_absent(value);
}

struct Variable {
    const char* name;
    ngx_http_get_variable_pt get;
};

constexpr Variable kVariables[] = {
    {"weft_user", get_user},
    {"weft_client_id", get_client_id},
    {"weft_subprotocol", get_subprotocol},
    {"weft_request_uri", get_request_uri},
    {"weft_close_code", get_nothing},
    {"weft_closed_by", get_nothing},
    {"weft_duration", get_nothing},
    {"weft_messages_in", get_nothing},
    {"weft_messages_out", get_nothing},
    {"weft_bytes_in", get_nothing},
    {"weft_bytes_out", get_nothing},
};

}  // namespace

ngx_int_t add_variables(ngx_conf_t* cf) noexcept {
    for (const Variable& variable : kVariables) {
        ngx_str_t name{std::strlen(variable.name), reinterpret_cast<u_char*>(const_cast<char*>(variable.name))};
        // Not cached: what is asked for before the upgrade is known behind it.
        ngx_http_variable_t* added = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
        if (added == nullptr) return NGX_ERROR;
        added->get_handler = variable.get;
    }
    return NGX_OK;
}

void append_client_id(std::string& text, std::uint64_t id) {
    text += HexId(id).view();
}

}  // namespace weft
