#include "ngx/link.hpp"

#include <csignal>
#include <cstring>

#include "ngx/worker.hpp"

namespace weft {

namespace {

constexpr const char* kMonitor = "inproc://weft-link-monitor";

/// Signals are nginx's business; ZeroMQ's threads inherit the mask that is set while they are made.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_{};
};

bool readable(zmq::socket_t& socket) {
    return (socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0;
}

}  // namespace

std::unique_ptr<Link> Link::open(const std::string& address, Gateway& gateway, ngx_cycle_t* cycle) noexcept {
    try {
        std::unique_ptr<Link> link(new Link(gateway, cycle));
        link->connect(address);
        return link;
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "weft: can't open the link to weftd at %s: %s", address.c_str(),
                      error.what());
        return nullptr;
    }
}

void Link::connect(const std::string& address) {
    const SignalsBlocked blocked;
    context_ = std::make_unique<zmq::context_t>(1);
    dealer_ = std::make_unique<zmq::socket_t>(*context_, zmq::socket_type::dealer);
    dealer_->set(zmq::sockopt::linger, kLinger);
    dealer_->set(zmq::sockopt::immediate, true);  // nothing is queued for a weftd that isn't there
    dealer_->set(zmq::sockopt::reconnect_ivl, kReconnect);
    dealer_->set(zmq::sockopt::reconnect_ivl_max, kReconnectMax);
    dealer_->set(zmq::sockopt::sndhwm, kHighWater);
    dealer_->set(zmq::sockopt::rcvhwm, kHighWater);
    constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED;
    if (zmq_socket_monitor(dealer_->handle(), kMonitor, kEvents) != 0) throw zmq::error_t();
    monitor_ = std::make_unique<zmq::socket_t>(*context_, zmq::socket_type::pair);
    monitor_->set(zmq::sockopt::linger, 0);
    monitor_->connect(kMonitor);
    dealer_->connect(address);
    monitor_connection_ = watch(*monitor_);
    dealer_connection_ = watch(*dealer_);
    // ZeroMQ gives notice of what comes only to those who have found nothing once.
    post_read(monitor_connection_);
    post_read(dealer_connection_);
}

// nginx closes the descriptors of its connections itself; ZeroMQ's are only lent to it, so unwatch() takes them back.
ngx_connection_t* Link::watch(zmq::socket_t& socket) {
    ngx_connection_t* connection = ngx_get_connection(socket.get(zmq::sockopt::fd), cycle_->log);
    if (connection == nullptr) throw std::runtime_error("not enough worker_connections");
    connection->data = this;
    connection->read->handler = on_readable;
    connection->read->log = cycle_->log;
    connection->write->log = cycle_->log;
    // Level-triggered, though ZeroMQ's descriptor says only that something may have changed: reading the socket's
    // events takes that notice away.
    if (ngx_add_event(connection->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_free_connection(connection);
        throw std::runtime_error("the event loop doesn't take ZeroMQ's descriptor");
    }
    return connection;
}

void Link::unwatch(ngx_connection_t*& connection) noexcept {
    if (connection == nullptr) return;
    if (connection->read->active) ngx_del_event(connection->read, NGX_READ_EVENT, 0);
    if (connection->read->posted) {
        ngx_delete_posted_event(connection->read);
    }
    ngx_free_connection(connection);
    connection->fd = static_cast<ngx_socket_t>(-1);
    connection = nullptr;
}

Link::~Link() {
    gateway_.link().close(gateway_.now());
    flush();
    unwatch(dealer_connection_);
    unwatch(monitor_connection_);
    // Before the monitor's other end goes: ZeroMQ's thread would wait for ever for somebody to take its events.
    if (dealer_ != nullptr) zmq_socket_monitor(dealer_->handle(), nullptr, 0);
}

void Link::on_readable(ngx_event_t* event) noexcept {
    auto* connection = static_cast<ngx_connection_t*>(event->data);
    auto& link = *static_cast<Link*>(connection->data);
    try {
        link.gateway_.set_time(monotonic_now(), wall_now());
        // What came before a disconnect counts: its answers are still the session's. (Until then the monitor isn't
        // touched, so its event comes again.)
        const bool more = link.receive();
        if (connection == link.monitor_connection_ && !more) link.receive_monitor();
        link.flush();
        link.gateway_.resume_paused();
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ALERT, link.cycle_->log, 0, "weft: reading the link failed: %s", error.what());
    }
}

void Link::wait_up() noexcept {
    try {
        ngx_time_update();
        const Instant until = monotonic_now() + std::chrono::milliseconds(kFirstWait);
        zmq::pollitem_t items[] = {{dealer_->handle(), 0, ZMQ_POLLIN, 0}, {monitor_->handle(), 0, ZMQ_POLLIN, 0}};
        while (!absent_ && ngx_terminate == 0 && ngx_quit == 0) {
            ngx_time_update();  // the event loop does it otherwise
            gateway_.set_time(monotonic_now(), wall_now());
            receive();
            receive_monitor();
            flush();
            const auto state = gateway_.link().state();
            if (state == LinkDialer::State::up || state == LinkDialer::State::refused || gateway_.now() >= until) break;
            zmq::poll(items, std::size(items), until - gateway_.now());
        }
    } catch (const std::exception&) {
        // A signal, say. Going on without weftd is what a worker must be able to do anyway.
    }
    // Asking may have taken notices of something to read away.
    post_read(dealer_connection_);
    post_read(monitor_connection_);
}

void Link::receive_monitor() {
    while (readable(*monitor_)) {
        zmq::message_t event;
        zmq::message_t address;
        if (!monitor_->recv(event, zmq::recv_flags::dontwait)) break;
        if (event.more() && !monitor_->recv(address, zmq::recv_flags::dontwait)) break;
        std::uint16_t kind = 0;
        if (event.size() >= sizeof(kind)) std::memcpy(&kind, event.data(), sizeof(kind));
        if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            unsent_ = false;  // it was for the session before
            gateway_.link().on_connected(gateway_.now());
        } else if (kind == ZMQ_EVENT_DISCONNECTED) {
            unsent_ = false;
            while (receive()) {  // what came with the event, after the socket was read
            }
            gateway_.link().on_disconnected("the connection was lost", gateway_.now());
        } else if (kind == ZMQ_EVENT_CONNECT_RETRIED) {
            absent_ = true;
        }
    }
}

bool Link::receive() {
    zmq::message_t message;
    for (int i = 0; i < kMessagesATurn; ++i) {
        if (!dealer_->recv(message, zmq::recv_flags::dontwait)) return false;
        gateway_.link().on_message({message.data<char>(), message.size()}, gateway_.now());
    }
    post_read(dealer_connection_);
    return true;
}

void Link::post_read(ngx_connection_t* connection) noexcept {
    if (connection != nullptr && !connection->read->posted) {
        ngx_post_event(connection->read, &ngx_posted_next_events);
    }
}

void Link::flush() noexcept {
    // Each question to ZeroMQ about a socket's state is a system call or two, so none is asked without need: this runs
    // at the end of every turn, mostly with nothing to do.
    try {
        bool touched = false;
        while (unsent_ || gateway_.link().next_batch(batch_, gateway_.now())) {
            touched = true;
            unsent_ = !dealer_->send(zmq::buffer(batch_), zmq::send_flags::dontwait);
            if (unsent_) break;  // full, or not connected; ZeroMQ's descriptor will tell of a change
        }
        // Sending may have taken the notice of something to read away with it.
        if (touched && readable(*dealer_)) post_read(dealer_connection_);
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ALERT, cycle_->log, 0, "weft: writing the link failed: %s", error.what());
    }
}

}  // namespace weft
