// A client's socket in nginx: it owns nginx's connection after the HTTP request has gone, and carries a Connection.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ngx/carrier.hpp"
#include "ngx/worker.hpp"

namespace weft {

/// How a connection begins.
struct HandoverTerms {
    std::shared_ptr<const Identity> identity;  // null: refused, or its first message says who it is
    std::optional<event::Error> refusal;
    std::uint64_t decided = 0;  // what the worker knew of decisions about clients when `identity` was: Gateway::open()
};

/// Destroys itself when the connection is over. What the bytes mean is for the class that derives from it.
class Socket : public Carrier {
public:
    virtual ~Socket() = default;

    /// Takes nginx's connection over from its HTTP request, once the head of the answer is out and the request freed.
    /// From here on events of `connection` come here. `unread` is what the client sent behind its request.
    static void adopt(Worker& worker, ngx_connection_t* connection, std::unique_ptr<Socket> socket, HandoverTerms terms,
                      std::string unread) noexcept;

    /// Calls `visit` with each socket of this process. It destroys none.
    template <class Visit>
    static void for_each(ngx_cycle_t* cycle, Visit visit) {
        for (ngx_uint_t i = 0; i < cycle->connection_n; ++i) {
            const ngx_connection_t& connection = cycle->connections[i];
            if (connection.fd == static_cast<ngx_socket_t>(-1) || connection.read == nullptr ||
                connection.read->handler != handle_read) {
                continue;
            }
            visit(*static_cast<Socket*>(connection.data));
        }
    }

    void read_on() noexcept override;
    [[nodiscard]] Socket* socket() noexcept override { return this; }

    // --- to and from other workers (docs/reload.md), in socket_move.cpp ---

    [[nodiscard]] std::string_view address() const noexcept {
        return {reinterpret_cast<const char*>(connection_->sockaddr), connection_->socklen};
    }
    /// Whether its bytes go through no state of this process's but ours: another worker can go on with it.
    [[nodiscard]] bool away() const noexcept { return away_; }
    [[nodiscard]] bool can_move() const noexcept { return fd_ != -1 && !shut_ && !away_; }
    /// Nothing is read or written here any more. Returns its descriptor, which stays ours to close.
    int lend() noexcept;
    /// Another worker has it, or the client is to be told that nobody has: it is served here again.
    void take_back() noexcept;
    /// Another worker has it: closes this one's descriptor, and destroys this. TCP's connection stays.
    void leave_to_other() noexcept;
    /// Its socket comes later, by attach().
    void await_socket() noexcept { away_ = true; }
    /// Takes the socket of a connection that came from another worker, and has nginx tell of it. `connection` was made
    /// of it by connect_moved(). What has been queued goes out with this turn.
    void attach(ngx_connection_t* connection, const v1::Moved& rest) noexcept;

protected:
    using Carrier::Carrier;

    /// flush(), of the client that this carries.
    void flush_client(Connection& client);

private:
    using Phase = Connection::Phase;

    static constexpr std::size_t kMaxRecord = 16'384;  // bytes of plaintext in one TLS record, RFC 8446 §5.1
    static constexpr int kReadsATurn = 4;  // of Worker::kReadBuffer each, so that one flooder leaves time for others

    void on_readable();
    bool write_queue(Connection& client);
    ssize_t write(std::string_view bytes) noexcept;
    void leave_now();
    void destroy() noexcept;
    static void handle_read(ngx_event_t* event) noexcept;
    static void handle_write(ngx_event_t* event) noexcept;

    void watch() noexcept;

    std::int32_t fd_ : 30 = -1;  // when bytes go to the socket as they are, without TLS
    bool shut_ : 1 = false;      // our side of TCP is closed
    bool away_ : 1 = false;      // it has no socket, or has lent it to another worker
};

/// What nginx knows of a connection, made of the socket and the address of a client that came from another worker. Owns
/// `fd` from here on, in any case. Null after logging why.
ngx_connection_t* connect_moved(int fd, std::string_view address, ngx_cycle_t* cycle) noexcept;

/// A socket whose bytes are those of a `Client`, a Connection of some transport, made of what `arguments` are behind
/// the gateway.
template <class Client>
class SocketOf final : public Client, public Socket {
public:
    template <class... Arguments>
    explicit SocketOf(Worker& worker, Arguments&&... arguments)
        : Client(worker.gateway(), std::forward<Arguments>(arguments)...), Socket(worker) {}
    ~SocketOf() override = default;

    [[nodiscard]] Connection& client() noexcept override { return *this; }
    [[nodiscard]] Carrier* carrier() noexcept override { return this; }
    void flush() override { flush_client(*this); }
};

}  // namespace weft
