// A socket that goes to another worker, or comes from one.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

#include "ngx/socket.hpp"

namespace weft {

namespace {

constexpr std::size_t kPool = 256;  // bytes: nginx's usual connection_pool_size

u_char* write_log_context(ngx_log_t* log, u_char* buffer, std::size_t size) noexcept {
    u_char* at = buffer;
    if (log->action != nullptr) at = ngx_snprintf(at, size, " while %s", log->action);
    const auto* connection = static_cast<ngx_connection_t*>(log->data);
    const auto left = size - static_cast<std::size_t>(at - buffer);
    return ngx_snprintf(at, left, ", client: %V", &connection->addr_text);
}

/// Whether these bytes are all of an address that nginx can have a client at.
bool is_address(std::string_view bytes) noexcept {
    sa_family_t family = AF_UNSPEC;
    constexpr std::size_t kEnd = offsetof(sockaddr, sa_family) + sizeof family;
    if (bytes.size() < kEnd || bytes.size() > sizeof(sockaddr_storage)) return false;
    ngx_memcpy(&family, bytes.data() + offsetof(sockaddr, sa_family), sizeof family);
    switch (family) {
        case AF_INET: return bytes.size() == sizeof(sockaddr_in);
        case AF_INET6: return bytes.size() == sizeof(sockaddr_in6);
        default: return family == AF_UNIX;
    }
}

}  // namespace

int Socket::lend() noexcept {
    away_ = true;
    // The other's descriptor keeps the socket alive when ours is closed, so that epoll would go on telling us of it.
    if (ngx_del_conn != nullptr) {
        ngx_del_conn(connection_, 0);
    } else {
        if (connection_->read->active) ngx_del_event(connection_->read, NGX_READ_EVENT, 0);
        if (connection_->write->active) ngx_del_event(connection_->write, NGX_WRITE_EVENT, 0);
    }
    for (ngx_event_t* event : {connection_->read, connection_->write}) {
        if (event->posted) {
            ngx_delete_posted_event(event);
        }
    }
    connection_->idle = 0;
    return connection_->fd;
}

void Socket::take_back() noexcept {
    away_ = false;
    connection_->idle = 1;
    connection_->read->ready = 0;
    connection_->write->ready = 1;
    if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) client().on_broken();
    worker_.gateway().mark_dirty(client());  // it may have ended meanwhile, and wasn't closed
}

void Socket::leave_to_other() noexcept {
    ngx_connection_t* connection = connection_;
    Worker& worker = worker_;
    client().keep_tally(nullptr);  // the other one logs it
    worker.gateway().forget_moved(client());
    delete this;
    connection->data = nullptr;
    ngx_http_close_connection(connection);
    worker.on_connection_gone();
}

void Socket::attach(ngx_connection_t* connection, const v1::Moved& rest) noexcept {
    connection_ = connection;
    away_ = false;
    watch();
    Connection& client = this->client();
    worker_.gateway().resume_moved(client, rest);
    if (ngx_tcp_nodelay(connection) != NGX_OK || ngx_handle_read_event(connection->read, 0) != NGX_OK ||
        ngx_handle_write_event(connection->write, 0) != NGX_OK) {
        client.on_broken();
    }
}

ngx_connection_t* connect_moved(int fd, std::string_view address, ngx_cycle_t* cycle) noexcept {
    ngx_connection_t* const connection = is_address(address) ? ngx_get_connection(fd, cycle->log) : nullptr;
    if (connection == nullptr) {
        ngx_close_socket(fd);
        return nullptr;
    }
#if (NGX_STAT_STUB)
    (void)ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif
    connection->type = SOCK_STREAM;
    connection->pool = ngx_create_pool(kPool, cycle->log);
    ngx_log_t* log = nullptr;
    if (connection->pool != nullptr) {
        log = static_cast<ngx_log_t*>(ngx_palloc(connection->pool, sizeof(ngx_log_t)));
        connection->sockaddr = static_cast<sockaddr*>(ngx_palloc(connection->pool, address.size()));
        connection->addr_text.data = static_cast<u_char*>(ngx_pnalloc(connection->pool, NGX_SOCKADDR_STRLEN));
    }
    if (connection->pool == nullptr || log == nullptr || connection->sockaddr == nullptr ||
        connection->addr_text.data == nullptr) {
        if (connection->pool != nullptr) ngx_destroy_pool(connection->pool);
        ngx_close_connection(connection);
#if (NGX_STAT_STUB)
        (void)ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif
        return nullptr;
    }
    *log = *cycle->log;
    log->handler = write_log_context;
    log->data = connection;
    log->action = nullptr;
    connection->log = log;
    connection->pool->log = log;
    connection->read->log = log;
    connection->write->log = log;
    ngx_memcpy(connection->sockaddr, address.data(), address.size());
    connection->socklen = static_cast<socklen_t>(address.size());
    connection->addr_text.len =
        ngx_sock_ntop(connection->sockaddr, connection->socklen, connection->addr_text.data, NGX_SOCKADDR_STRLEN, 0);
    if (connection->sockaddr->sa_family == AF_UNIX) connection->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    connection->recv = ngx_recv;
    connection->send = ngx_send;
    connection->recv_chain = ngx_recv_chain;
    connection->send_chain = ngx_send_chain;
    connection->write->ready = 1;
    connection->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    log->connection = connection->number;
#if (nginx_version >= 1019009)
    connection->start_time = ngx_current_msec;
#endif
    return connection;
}

}  // namespace weft
