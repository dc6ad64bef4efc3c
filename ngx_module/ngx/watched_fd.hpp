// Descriptors that aren't nginx's, in its event loop.
#pragma once

#include "ngx/ngx.hpp"

namespace weft {

/// Has `handler` called when `fd` is readable, with the connection as the event's data and `data` as the connection's;
/// level-triggered. Whoever owns `fd` must unwatch it before it is closed. Throws std::runtime_error.
ngx_connection_t* watch_fd(int fd, ngx_event_handler_pt handler, void* data, ngx_cycle_t* cycle);

/// Ends that, and leaves `fd` open. No effect on null, which it leaves.
void unwatch_fd(ngx_connection_t*& connection) noexcept;

}  // namespace weft
