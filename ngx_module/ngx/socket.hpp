// A WebSocket client's socket in nginx: the Connection that owns it after the HTTP request has gone.
#pragma once

#include "gateway/websocket_connection.hpp"
#include "ngx/connection_log.hpp"
#include "ngx/worker.hpp"

namespace weft {

/// Destroys itself when the connection is over.
class Socket final : public WebSocketConnection {
public:
    /// Takes nginx's connection over from its HTTP request, once the 101 is out and the request freed. From here on
    /// events of `connection` come here. `unread` is what the client sent behind its handshake. `decided`: as
    /// Gateway::open().
    static void adopt(Worker& worker, ngx_connection_t* connection, std::unique_ptr<Socket> socket,
                      std::shared_ptr<const Identity> identity, std::optional<event::Error> refusal,
                      std::uint64_t decided, std::string unread) noexcept;

    /// `wire` and `deflate`: see WebSocketConnection.
    Socket(Worker& worker, const EndpointSettings& endpoint, WebSocketWire& wire,
           const std::optional<websocket::DeflateParameters>& deflate)
        : WebSocketConnection(worker.gateway(), endpoint, wire, deflate), worker_(worker) {}

    ~Socket() override { worker_.admission().release(hold_); }

    /// Where Admission::admit() counts this connection, until it is destroyed.
    [[nodiscard]] ConnectionCounts::Hold& hold() noexcept { return hold_; }

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

    /// Writes the log lines of all that are still open, for a process that ends without ending them.
    static void log_open(ngx_cycle_t* cycle) noexcept;

    /// Has this connection logged when it ends. Null: it isn't.
    void keep_record(std::unique_ptr<ConnectionRecord> record) noexcept { keep_tally(std::move(record)); }

    /// See Gateway::Host::identify().
    tl::expected<std::shared_ptr<const Identity>, event::Error> identify(std::string_view token);

    /// Writes what is queued, and acts on the phase. May destroy this.
    void flush();

    /// Reads on after a pause.
    void read_on() noexcept;

private:
    static constexpr std::size_t kMaxRecord = 16'384;  // bytes of plaintext in one TLS record, RFC 8446 §5.1
    static constexpr int kReadsATurn = 4;  // of Worker::kReadBuffer each, so that one flooder leaves time for others

    void on_readable();
    bool write_queue();
    ssize_t write(std::string_view bytes) noexcept;
    void leave_now();
    void destroy() noexcept;
    void log_end() noexcept;
    static void handle_read(ngx_event_t* event) noexcept;
    static void handle_write(ngx_event_t* event) noexcept;

    Worker& worker_;
    ngx_connection_t* connection_ = nullptr;
    ConnectionCounts::Hold hold_;
    int fd_ = -1;        // when bytes go to the socket as they are, without TLS
    bool shut_ = false;  // our side of TCP is closed
};

}  // namespace weft
