// What every way in has to look at before a request becomes a connection.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/entrance.hpp"
#include "ngx/carrier.hpp"
#include "ngx/settings.hpp"
#include "ngx/worker.hpp"

namespace weft {

/// Whether the page that sends the request may connect (weft_origin). If not, it is counted and logged.
bool origin_allowed(ngx_http_request_t* request, const LocationSettings& location, Worker& worker);

/// What a connection has to know of its request.
void prepare(ngx_http_request_t* request, const LocationSettings& location, Worker& worker, Connection& connection);

/// The channels that weft_subscribe names for this request; the error says which isn't a channel's name.
tl::expected<std::vector<std::string>, event::Error> entrance_channels(ngx_http_request_t* request,
                                                                       const LocationSettings& location);

/// Makes of these channels what Connection::enter_by() takes; null when there are none.
std::unique_ptr<Entrance> make_entrance(const std::vector<std::string>& channels, const LocationSettings& location);

// Of directives.cpp's table.
char* set_subscribe(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_publish_raw(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;

}  // namespace weft
