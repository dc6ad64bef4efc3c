// The module's variables, as a request has them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/connection.hpp"
#include "ngx/ngx.hpp"

namespace weft {

class RequestCarrier;

/// What is known of a request that has become a connection, or has shown credentials to publish. It is the request's
/// context, and lives in its pool.
struct UpgradedRequest {
    std::shared_ptr<const Identity> identity;  // null when the credentials were refused
    std::uint64_t client_id = 0;               // 0 likewise
    bool back_end = false;                     // an API key was shown
    std::string_view subprotocol;              // that was agreed on; of static storage
    RequestCarrier* carrier = nullptr;         // of a request that stays as long as its connection
};

/// Null before the upgrade, and in other requests.
inline UpgradedRequest* upgraded_request(ngx_http_request_t* request) noexcept {
    return static_cast<UpgradedRequest*>(ngx_http_get_module_ctx(request->main, ngx_http_weft_module));
}

/// Makes them known to nginx, before it reads the http block.
ngx_int_t add_variables(ngx_conf_t* cf) noexcept;

/// A client id as clients see it: 16 hexadecimal digits.
void append_client_id(std::string& text, std::uint64_t id);

}  // namespace weft
