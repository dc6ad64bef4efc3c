// A request's connection becomes ours: the head of the answer goes out, and the request is given back.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "ngx/socket.hpp"

namespace weft {

/// Sends the head that `request` has been given, and once everybody has let go of the request, frees it and has
/// `socket` adopted. For content handlers, whose result this is. The connection must be HTTP/1's.
ngx_int_t hand_over(ngx_http_request_t* request, std::unique_ptr<Socket> socket, HandoverTerms terms,
                    std::string_view subprotocol);

}  // namespace weft
