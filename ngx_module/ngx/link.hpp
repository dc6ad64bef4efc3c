// A worker's links to weftd: a socket for each of its shards.
#pragma once

#include <memory>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "gateway/gateway.hpp"
#include "ngx/link_socket.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// Made in the worker, after the fork: ZeroMQ's threads don't survive one. It has as many sockets as the gateway has
/// links, which may change whenever weftd's first shard has said something.
class Link {
public:
    static constexpr int kLinger = 200;  // milliseconds, of a socket that is closed

    /// Null after logging why not (a bad address, no file descriptors left).
    static std::unique_ptr<Link> open(const std::string& address, Gateway& gateway, ngx_cycle_t* cycle) noexcept;
    ~Link();  // says Bye and waits at most kLinger for it to leave
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Waits until the sessions with weftd are open, at most kFirstWait, and not at all when weftd isn't there. For a
    /// worker that starts: its first clients would be told that weftd is away otherwise. Call it before any client is
    /// accepted.
    void wait_up() noexcept;

    /// Sends what is queued, as far as ZeroMQ takes it. Call it at the end of each turn.
    void flush() noexcept;

    /// For the sockets.
    void on_readable(LinkSocket& socket, const ngx_connection_t* connection) noexcept;

private:
    static constexpr int kFirstWait = 1'000;                   // milliseconds
    static constexpr std::chrono::milliseconds kRetry{5'000};  // for a socket that couldn't be made

    Link(std::string address, Gateway& gateway, ngx_cycle_t* cycle);
    void follow();
    [[nodiscard]] std::unique_ptr<LinkSocket> make_socket(unsigned shard) noexcept;

    std::string address_;
    Gateway& gateway_;
    ngx_cycle_t* cycle_;
    zmq::context_t context_;
    std::vector<std::unique_ptr<LinkSocket>> sockets_;  // by shard; null: it could not be made
    Instant retry_at_{};
};

}  // namespace weft
