// A worker's ZeroMQ socket to one shard of weftd, inside nginx's event loop.
#pragma once

#include <memory>
#include <string>
#include <zmq.hpp>

#include "gateway/gateway.hpp"
#include "ngx/ngx.hpp"

namespace weft {

class Link;

/// Carries bytes between the gateway's link to a shard and a DEALER socket.
class LinkSocket {
public:
    /// Begins to dial. Throws zmq::error_t or std::runtime_error. All must outlive this; `link` hears when there is
    /// something to read (Link::on_readable).
    LinkSocket(zmq::context_t& context, const std::string& address, unsigned shard, Link& link, Gateway& gateway,
               ngx_cycle_t* cycle);
    ~LinkSocket();
    LinkSocket(const LinkSocket&) = delete;
    LinkSocket& operator=(const LinkSocket&) = delete;

    /// Of the gateway's link that this socket is for.
    [[nodiscard]] std::uint64_t life() const noexcept { return life_; }
    /// Whether an attempt to connect has failed.
    [[nodiscard]] bool absent() const noexcept { return absent_; }
    /// For zmq::poll.
    void add_to(std::vector<zmq::pollitem_t>& items);

    /// A slice of what came. Whether there may be more.
    bool receive();
    void receive_monitor();
    /// One of its descriptors has something.
    void on_readable(const ngx_connection_t* connection);
    /// Sends what is queued, as far as ZeroMQ takes it.
    void flush() noexcept;
    /// Has on_readable come in the next turn: asking a socket may have taken notices of something to read away.
    void read_again() noexcept;

private:
    static constexpr int kReconnect = 100;       // milliseconds, the first time
    static constexpr int kReconnectMax = 2'000;  // milliseconds
    static constexpr int kHighWater = 64;        // batches, each way: what waits beyond is ours to count
    static constexpr int kMessagesATurn = 64;    // so that a flood from weftd leaves time for clients

    [[nodiscard]] LinkDialer& dialer() noexcept { return gateway_.link(shard_); }
    void close() noexcept;
    static void post_read(ngx_connection_t* connection) noexcept;
    static void on_event(ngx_event_t* event) noexcept;

    unsigned shard_;
    std::uint64_t life_;
    Link& link_;
    Gateway& gateway_;
    ngx_cycle_t* cycle_;
    zmq::socket_t dealer_;
    zmq::socket_t monitor_;
    ngx_connection_t* dealer_connection_ = nullptr;
    ngx_connection_t* monitor_connection_ = nullptr;
    bool absent_ = false;
    std::string batch_;    // the last that was taken from the dialer
    bool unsent_ = false;  // and it is still to be sent
};

}  // namespace weft
