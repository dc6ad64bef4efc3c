#include "ngx/socket.hpp"

#include <sys/socket.h>

#include <algorithm>

#include "websocket/frame_parser.hpp"

namespace weft {

void Socket::adopt(Worker& worker, ngx_connection_t* connection, std::unique_ptr<Socket> owned, HandoverTerms terms,
                   std::string unread) noexcept {
    Socket& socket = *owned.release();  // owned by nginx's connection from here on; see destroy()
    Connection& client = socket.client();
    socket.connection_ = connection;
    socket.watch();
    ngx_reusable_connection(connection, 0);
    if (connection->read->timer_set) ngx_del_timer(connection->read);
    if (connection->write->timer_set) ngx_del_timer(connection->write);
#if (NGX_HTTP_SSL)
    if (over_tls(connection)) {
        // What is queued moves in memory between two attempts to write it, which OpenSSL refuses unless told so; and a
        // write that ends with each record says how much of the queue is sealed.
        SSL_set_mode(connection->ssl->connection, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
#endif
    if (ngx_tcp_nodelay(connection) != NGX_OK || ngx_handle_read_event(connection->read, 0) != NGX_OK) {
        client.on_broken();
        return;
    }
    if (terms.refusal) {
        worker.gateway().refuse(client, *terms.refusal);
    } else if (terms.identity) {
        worker.gateway().open(client, std::move(terms.identity), terms.decided);
    } else {
        worker.gateway().await_auth(client);
    }
    if (ngx_exiting) {
        worker.drain(client);
    }
    if (!unread.empty()) {
        const std::size_t size = unread.size();
        unread.resize(size + websocket::kPadding);
        client.receive({unread.data(), size});
    }
    if (connection->read->ready) {
        ngx_post_event(connection->read, &ngx_posted_events);
    }
}

/// Events of its connection come here.
void Socket::watch() noexcept {
    connection_->data = this;
    connection_->read->handler = handle_read;
    connection_->write->handler = handle_write;
    connection_->log->action = const_cast<char*>("serving a weft connection");
    connection_->destroyed = 0;
    connection_->idle = 1;  // so that nginx tells us when this worker is to quit
    if (connection_->send == ngx_io.send) fd_ = connection_->fd;
}

void Socket::handle_read(ngx_event_t* event) noexcept {
    auto* connection = static_cast<ngx_connection_t*>(event->data);
    auto& socket = *static_cast<Socket*>(connection->data);
    socket.worker_.wake();
    try {
        if (connection->close) {  // nginx wants this worker to quit, or to quit now
            connection->close = 0;
            if (socket.away_) return;  // another worker has it, or is about to
            if (connection->error) {
                socket.leave_now();
            } else {
                socket.worker_.drain(socket.client());
            }
            return;
        }
        if (socket.away_) return;  // what there is to read is the other's
        socket.on_readable();
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, connection->log, 0, "weft: %s", error.what());
        socket.client().on_broken();
    }
}

void Socket::on_readable() {
    Connection& client = this->client();
    char* buffer = worker_.read_buffer();
    for (int i = 0; i < kReadsATurn; ++i) {
        if (client.phase() == Phase::aborted) return;
        if (!client.may_read()) {
            client.pause_reading();
            // A level-triggered event would come again and again.
            if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) client.on_broken();
            return;
        }
        const ssize_t size = connection_->recv(connection_, reinterpret_cast<u_char*>(buffer), Worker::kReadBuffer);
        if (size == NGX_AGAIN) {
            if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) client.on_broken();
            return;
        }
        if (size <= 0) {
            size == 0 ? client.on_end_of_input() : client.on_broken();
            return;
        }
        client.receive({buffer, static_cast<std::size_t>(size)});
        if (!connection_->read->ready) {
            if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) client.on_broken();
            return;
        }
    }
    if (!connection_->read->posted) {
        ngx_post_event(connection_->read, &ngx_posted_next_events);
    }
}

/// worker_shutdown_timeout is over: what the socket takes at once is all that the client gets to know.
void Socket::leave_now() {
    client().drain_now();
    write_queue(client());
    client().on_broken();
}

void Socket::handle_write(ngx_event_t* event) noexcept {
    auto* connection = static_cast<ngx_connection_t*>(event->data);
    auto& socket = *static_cast<Socket*>(connection->data);
    Worker& worker = socket.worker_;
    worker.wake();
    try {
        socket.flush();
        worker.resume_paused();
    } catch (const std::exception& error) {  // memory is short; whoever isn't served now is at the end of the turn
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "weft: %s", error.what());
    }
}

/// As ngx_send_pt.
inline ssize_t Socket::write(std::string_view bytes) noexcept {
    // Of thousands of sockets, what nginx knows of each is in no cache; so the usual case does without it.
    if (fd_ != -1) [[likely]] {
        const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), 0);
        if (sent == static_cast<ssize_t>(bytes.size())) return sent;
        if (sent > 0) {
            connection_->write->ready = 0;
            return sent;
        }
    }
    // Refused for now, or for ever: nginx knows what to make and say of it.
    return connection_->send(connection_, reinterpret_cast<u_char*>(const_cast<char*>(bytes.data())), bytes.size());
}

/// Whether the queue is empty now.
bool Socket::write_queue(Connection& client) {
    std::size_t sealed =
        client.committed();  // bytes in front of the queue that TLS has sealed in a record and not yet sent
    const bool was_blocked = client.blocked();
    while (!client.queue().empty()) {
        if ((was_blocked || fd_ == -1) && !connection_->write->ready) break;
        const std::string_view bytes = client.next_bytes(worker_.write_buffer(), Worker::kWriteBuffer);
        if (bytes.empty()) {
            client.on_broken();
            return false;
        }
        const ssize_t sent = write(bytes);
        if (sent == NGX_AGAIN) {
            if (over_tls(connection_)) sealed = std::min(bytes.size(), kMaxRecord);
            break;
        }
        if (sent <= 0) {
            client.on_broken();
            return false;
        }
        sealed = 0;
        client.on_written(static_cast<std::size_t>(sent));
        if (fd_ != -1 && static_cast<std::size_t>(sent) < bytes.size()) break;
    }
    if (client.queue().empty()) {
        // Event methods that report a state and not a change would tell for ever that there is room.
        if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) != 0 && connection_->write->active &&
            ngx_handle_write_event(connection_->write, 0) != NGX_OK) {
            client.on_broken();
            return false;
        }
        return true;
    }
    client.on_blocked(sealed);
    if (ngx_handle_write_event(connection_->write, 0) != NGX_OK) client.on_broken();
    return false;
}

void Socket::flush_client(Connection& client) {
    if (away_) return;
    if (client.phase() == Phase::aborted) {
        destroy();
        return;
    }
    const bool written = write_queue(client);
    if (client.phase() == Phase::aborted || (written && client.phase() == Phase::finished)) {
        destroy();
        return;
    }
    if (written && client.phase() == Phase::lingering && !shut_) {
        // Closing with input unread would make TCP throw our goodbye away (RFC 9293 §3.10.7); so only our side closes.
        shut_ = true;
        if (!over_tls(connection_)) ::shutdown(connection_->fd, SHUT_WR);
    }
}

void Socket::read_on() noexcept {
    if (away_) return;
    if (!connection_->read->posted) {
        ngx_post_event(connection_->read, &ngx_posted_events);
    }
}

void Socket::destroy() noexcept {
    log_end();
    ngx_connection_t* connection = connection_;
    Worker& worker = worker_;
    worker.on_socket_gone(*this);
    worker.gateway().remove(client());
    delete this;
    connection->data = nullptr;
    if (connection->read->posted) {
        ngx_delete_posted_event(connection->read);
    }
    if (connection->write->posted) {
        ngx_delete_posted_event(connection->write);
    }
    connection->idle = 0;
    ngx_http_close_connection(connection);
    worker.on_connection_gone();
}

}  // namespace weft
