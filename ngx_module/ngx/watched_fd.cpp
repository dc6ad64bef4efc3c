#include "ngx/watched_fd.hpp"

#include <stdexcept>

namespace weft {

ngx_connection_t* watch_fd(int fd, ngx_event_handler_pt handler, void* data, ngx_cycle_t* cycle) {
    ngx_connection_t* connection = ngx_get_connection(fd, cycle->log);
    if (connection == nullptr) throw std::runtime_error("not enough worker_connections");
    connection->data = data;
    connection->read->handler = handler;
    connection->write->handler = handler;
    connection->read->log = cycle->log;
    connection->write->log = cycle->log;
    if (ngx_add_event(connection->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_free_connection(connection);
        connection->fd = static_cast<ngx_socket_t>(-1);
        throw std::runtime_error("the event loop doesn't take a descriptor");
    }
    return connection;
}

// nginx closes the descriptors of its connections itself; these are only lent to it.
void unwatch_fd(ngx_connection_t*& connection) noexcept {
    if (connection == nullptr) return;
    if (connection->read->active) ngx_del_event(connection->read, NGX_READ_EVENT, 0);
    if (connection->write->active) ngx_del_event(connection->write, NGX_WRITE_EVENT, 0);
    for (ngx_event_t* event : {connection->read, connection->write}) {
        if (event->posted) {
            ngx_delete_posted_event(event);
        }
    }
    ngx_free_connection(connection);
    connection->fd = static_cast<ngx_socket_t>(-1);
    connection = nullptr;
}

}  // namespace weft
