// The worker's ZeroMQ socket to weftd, inside nginx's event loop.
#pragma once

#include <memory>
#include <string>
#include <zmq.hpp>

#include "gateway/gateway.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// Carries bytes between a Gateway's LinkDialer and a DEALER socket. Made in the worker, after the fork: ZeroMQ's
/// threads don't survive one.
class Link {
public:
    /// Null after logging why not (a bad address, no file descriptors left).
    static std::unique_ptr<Link> open(const std::string& address, Gateway& gateway, ngx_cycle_t* cycle) noexcept;
    ~Link();  // says Bye and waits at most kLinger for it to leave
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Waits until the session with weftd is open, at most kFirstWait, and not at all when weftd isn't there. For a
    /// worker that starts: its first clients would be told that weftd is away otherwise. Call it before any client is
    /// accepted.
    void wait_up() noexcept;

    /// Sends what is queued, as far as ZeroMQ takes it. Call it at the end of each turn.
    void flush() noexcept;

private:
    static constexpr int kLinger = 200;          // milliseconds
    static constexpr int kFirstWait = 1'000;     // milliseconds
    static constexpr int kReconnect = 100;       // milliseconds, the first time
    static constexpr int kReconnectMax = 2'000;  // milliseconds
    static constexpr int kHighWater = 64;        // batches, each way: what waits beyond is ours to count
    static constexpr int kMessagesATurn = 64;    // so that a flood from weftd leaves time for clients

    Link(Gateway& gateway, ngx_cycle_t* cycle) : gateway_(gateway), cycle_(cycle) {}
    void connect(const std::string& address);
    ngx_connection_t* watch(zmq::socket_t& socket);
    void unwatch(ngx_connection_t*& connection) noexcept;
    /// Whether there may be more.
    bool receive();
    static void post_read(ngx_connection_t* connection) noexcept;
    void receive_monitor();
    static void on_readable(ngx_event_t* event) noexcept;

    Gateway& gateway_;
    ngx_cycle_t* cycle_;
    std::unique_ptr<zmq::context_t> context_;
    std::unique_ptr<zmq::socket_t> dealer_;
    std::unique_ptr<zmq::socket_t> monitor_;
    ngx_connection_t* dealer_connection_ = nullptr;
    ngx_connection_t* monitor_connection_ = nullptr;
    bool absent_ = false;  // an attempt to connect has failed
    std::string batch_;    // the last that was taken from the dialer
    bool unsent_ = false;  // and it is still to be sent
};

}  // namespace weft
