#include "ngx/link_socket.hpp"

#include <cstring>

#include "ngx/link.hpp"
#include "ngx/watched_fd.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

bool readable(zmq::socket_t& socket) {
    return (socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0;
}

}  // namespace

LinkSocket::LinkSocket(zmq::context_t& context, const std::string& address, unsigned shard, Link& link,
                       Gateway& gateway, ngx_cycle_t* cycle)
    : shard_(shard),
      life_(gateway.link_life(shard)),
      link_(link),
      gateway_(gateway),
      cycle_(cycle),
      dealer_(context, zmq::socket_type::dealer),
      monitor_(context, zmq::socket_type::pair) {
    dealer_.set(zmq::sockopt::linger, Link::kLinger);
    dealer_.set(zmq::sockopt::immediate, true);  // nothing is queued for a weftd that isn't there
    dealer_.set(zmq::sockopt::reconnect_ivl, kReconnect);
    dealer_.set(zmq::sockopt::reconnect_ivl_max, kReconnectMax);
    dealer_.set(zmq::sockopt::sndhwm, kHighWater);
    dealer_.set(zmq::sockopt::rcvhwm, kHighWater);
    monitor_.set(zmq::sockopt::linger, 0);
    constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED;
    const std::string monitored = "inproc://weft-link-monitor-" + std::to_string(life_);
    if (zmq_socket_monitor(dealer_.handle(), monitored.c_str(), kEvents) != 0) throw zmq::error_t();
    try {
        monitor_.connect(monitored);
        dealer_.connect(address);
        // Level-triggered, though ZeroMQ's descriptor says only that something may have changed: reading the socket's
        // events takes that notice away.
        monitor_connection_ = watch_fd(monitor_.get(zmq::sockopt::fd), on_event, this, cycle_);
        dealer_connection_ = watch_fd(dealer_.get(zmq::sockopt::fd), on_event, this, cycle_);
    } catch (...) {
        close();
        throw;
    }
    // ZeroMQ gives notice of what comes only to those who have found nothing once.
    read_again();
}

LinkSocket::~LinkSocket() {
    close();
}

void LinkSocket::close() noexcept {
    unwatch_fd(dealer_connection_);
    unwatch_fd(monitor_connection_);
    // Before the monitor's other end goes: ZeroMQ's thread would wait for ever for somebody to take its events.
    zmq_socket_monitor(dealer_.handle(), nullptr, 0);
}

void LinkSocket::on_event(ngx_event_t* event) noexcept {
    auto* connection = static_cast<ngx_connection_t*>(event->data);
    auto& socket = *static_cast<LinkSocket*>(connection->data);
    socket.link_.on_readable(socket, connection);
}

void LinkSocket::on_readable(const ngx_connection_t* connection) {
    // What came before a disconnect counts: its answers are still the session's. (Until then the monitor isn't
    // touched, so its event comes again.)
    const bool more = receive();
    if (connection == monitor_connection_ && !more) receive_monitor();
}

void LinkSocket::add_to(std::vector<zmq::pollitem_t>& items) {
    items.push_back({dealer_.handle(), 0, ZMQ_POLLIN, 0});
    items.push_back({monitor_.handle(), 0, ZMQ_POLLIN, 0});
}

void LinkSocket::receive_monitor() {
    while (readable(monitor_)) {
        zmq::message_t event;
        zmq::message_t address;
        if (!monitor_.recv(event, zmq::recv_flags::dontwait)) break;
        if (event.more() && !monitor_.recv(address, zmq::recv_flags::dontwait)) break;
        std::uint16_t kind = 0;
        if (event.size() >= sizeof(kind)) std::memcpy(&kind, event.data(), sizeof(kind));
        if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            unsent_ = false;  // it was for the session before
            dialer().on_connected(gateway_.now());
        } else if (kind == ZMQ_EVENT_DISCONNECTED) {
            unsent_ = false;
            while (receive()) {  // what came with the event, after the socket was read
            }
            dialer().on_disconnected("the connection was lost", gateway_.now());
        } else if (kind == ZMQ_EVENT_CONNECT_RETRIED) {
            absent_ = true;
        }
    }
}

bool LinkSocket::receive() {
    zmq::message_t message;
    for (int i = 0; i < kMessagesATurn; ++i) {
        if (!dealer_.recv(message, zmq::recv_flags::dontwait)) return false;
        dialer().on_message({message.data<char>(), message.size()}, gateway_.now());
    }
    post_read(dealer_connection_);
    return true;
}

void LinkSocket::post_read(ngx_connection_t* connection) noexcept {
    if (connection != nullptr && !connection->read->posted) {
        ngx_post_event(connection->read, &ngx_posted_next_events);
    }
}

void LinkSocket::read_again() noexcept {
    post_read(dealer_connection_);
    post_read(monitor_connection_);
}

void LinkSocket::flush() noexcept {
    // Each question to ZeroMQ about a socket's state is a system call or two, so none is asked without need: this runs
    // at the end of every turn, mostly with nothing to do.
    try {
        bool touched = false;
        while (unsent_ || dialer().next_batch(batch_, gateway_.now())) {
            touched = true;
            unsent_ = !dealer_.send(zmq::buffer(batch_), zmq::send_flags::dontwait);
            if (unsent_) break;  // full, or not connected; ZeroMQ's descriptor will tell of a change
        }
        // Sending may have taken the notice of something to read away with it.
        if (touched && readable(dealer_)) post_read(dealer_connection_);
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ALERT, cycle_->log, 0, "weft: writing the link failed: %s", error.what());
    }
}

}  // namespace weft
