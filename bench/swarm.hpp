// Thousands of WebSocket clients on one thread: connects, handshakes, reads, writes.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialect.hpp"
#include "ledger.hpp"
#include "server_frames.hpp"
#include "stamp.hpp"
#include "stream.hpp"

namespace weft::bench {

struct Connection {
    enum class State : std::uint8_t { connecting, securing, upgrading, talking, ready, closed };

    Stream stream;
    State state = State::connecting;
    Role role = Role::subscriber;
    bool dirty = false;        // in the list of those to flush
    bool wants_write = false;  // epoll watches for room
    bool probed = false;       // has received a probe
    std::uint32_t channel = 0;
    Ledger ledger;
    std::uint64_t opened_at = 0;
    std::string in;   // the beginning of a frame whose rest has not come; empty most of the time
    std::string out;  // not sent yet
};

class Swarm {
public:
    /// Called from within turn().
    class Listener {
    public:
        virtual ~Listener() = default;
        /// A publication came. `now` is when the read that brought it returned.
        virtual void on_delivery(Connection& connection, const Stamp& stamp, std::uint64_t now) = 0;
        virtual void on_upgraded(Connection&) {}
        virtual void on_ready(Connection&) {}
        /// The server closed or broke the connection, or never let it come about. close() is not reported.
        virtual void on_lost(Connection&, std::string_view) {}
    };

    /// `dialect` and `listener` must outlive this. With `tls`, every connection of this swarm goes through TLS.
    Swarm(sockaddr_in server, bool tls, const Dialect& dialect, Listener& listener);
    ~Swarm();
    Swarm(const Swarm&) = delete;
    Swarm& operator=(const Swarm&) = delete;

    /// Starts a connection; on_ready or on_lost follow. The reference is valid until close() and the end of that turn.
    Connection& open(Role role, std::uint32_t channel);

    /// Ends it with a reset, so that the thousands of local ports are free again at once.
    void close(Connection& connection);

    /// Queues a publication; it leaves with the next flush(), together with what else is queued there.
    void publish(Connection& connection, std::uint32_t channel, std::string_view payload);
    void flush();

    /// Waits at most `timeout_ns` for sockets, then serves at most kEventsPerTurn of them and flushes.
    void turn(std::uint64_t timeout_ns);

    [[nodiscard]] std::size_t opening() const noexcept { return opening_; }
    [[nodiscard]] const std::vector<std::unique_ptr<Connection>>& connections() const noexcept { return connections_; }

private:
    static constexpr int kEventsPerTurn = 256;
    static constexpr std::size_t kReadBuffer = 256 * 1024;

    void finish_connect(Connection& connection);
    void secure(Connection& connection);
    void upgrade(Connection& connection);
    void ask(Connection& connection, const Request& request);
    void become_ready(Connection& connection);
    void read(Connection& connection);
    std::size_t parse_upgrade(Connection& connection, std::span<const char> bytes);
    std::size_t parse_answers(Connection& connection, std::span<const char> bytes, std::uint64_t now);
    std::size_t parse_frames(Connection& connection, std::span<const char> bytes, std::uint64_t now);
    void on_frame(Connection& connection, const ServerFrame& frame, std::uint64_t now);
    void take_step(Connection& connection, Dialect::Step step, std::string_view message);
    void lose(Connection& connection, std::string_view why);
    void shut(Connection& connection);
    void mark_dirty(Connection& connection);
    void write(Connection& connection);

    sockaddr_in server_;
    std::unique_ptr<TlsContext> tls_;  // nullptr: in the clear
    const Dialect& dialect_;
    Listener& listener_;
    int epoll_ = -1;
    std::size_t opening_ = 0;  // neither ready nor closed
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<Connection*> dirty_;
    std::vector<std::unique_ptr<Connection>> closed_;  // freed at the end of the turn
    std::vector<char> buffer_;
    StampFinder finder_;
};

}  // namespace weft::bench
