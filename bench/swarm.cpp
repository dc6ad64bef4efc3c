#include "swarm.hpp"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "client_frames.hpp"
#include "clock.hpp"
#include "server_events.hpp"

namespace weft::bench {
namespace {

// The example of RFC 6455 §1.3: with a constant key the right answer is known.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

void watch(int epoll, int operation, Connection& connection, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &connection;
    if (epoll_ctl(epoll, operation, connection.stream.fd(), &event) != 0) fail("epoll_ctl");
}

}  // namespace

Swarm::Swarm(sockaddr_in server, bool tls, const Dialect& dialect, Listener& listener)
    : server_(server),
      tls_(tls ? std::make_unique<TlsContext>() : nullptr),
      dialect_(dialect),
      listener_(listener),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      buffer_(kReadBuffer) {
    if (epoll_ < 0) fail("epoll_create1");
}

Swarm::~Swarm() {
    for (auto& connection : connections_) shut(*connection);
    ::close(epoll_);
}

Connection& Swarm::open(Role role, std::uint32_t channel) {
    auto owned = std::make_unique<Connection>();
    Connection& connection = *owned;
    connection.role = role;
    connection.channel = channel;
    connection.opened_at = now_ns();
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    connection.stream = Stream(fd);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_.push_back(std::move(owned));
    ++opening_;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&server_), sizeof server_) != 0 && errno != EINPROGRESS) {
        fail("connect");
    }
    watch(epoll_, EPOLL_CTL_ADD, connection, EPOLLOUT);
    return connection;
}

void Swarm::shut(Connection& connection) {
    if (connection.state == Connection::State::closed) return;
    const linger reset{1, 0};
    setsockopt(connection.stream.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    connection.stream = Stream();
    if (connection.state != Connection::State::ready) --opening_;
    connection.state = Connection::State::closed;
}

void Swarm::close(Connection& connection) {
    shut(connection);
    const auto it =
        std::find_if(connections_.rbegin(), connections_.rend(), [&](const auto& c) { return c.get() == &connection; });
    if (it == connections_.rend()) return;
    std::swap(*it, connections_.back());
    closed_.push_back(std::move(connections_.back()));
    connections_.pop_back();
}

void Swarm::lose(Connection& connection, std::string_view why) {
    if (connection.state == Connection::State::closed) return;
    const std::string kept(why);  // may point into the buffer
    shut(connection);
    listener_.on_lost(connection, kept);
}

void Swarm::mark_dirty(Connection& connection) {
    if (connection.dirty) return;
    connection.dirty = true;
    dirty_.push_back(&connection);
}

void Swarm::publish(Connection& connection, std::uint32_t channel, std::string_view payload) {
    dialect_.append_publication(connection.out, channel, payload);
    mark_dirty(connection);
}

void Swarm::flush() {
    for (Connection* connection : dirty_) {
        connection->dirty = false;
        write(*connection);
    }
    dirty_.clear();
}

void Swarm::write(Connection& connection) {
    if (connection.state == Connection::State::closed || connection.out.empty()) return;
    const Stream::Result sent = connection.stream.write(connection.out);
    if (sent.status == Stream::Status::failed) return lose(connection, connection.stream.error());
    connection.out.erase(0, sent.bytes);
    const bool wants = !connection.out.empty();
    if (wants != connection.wants_write) {
        connection.wants_write = wants;
        watch(epoll_, EPOLL_CTL_MOD, connection, EPOLLIN | (wants ? EPOLLOUT : 0U));
    }
}

void Swarm::turn(std::uint64_t timeout_ns) {
    std::array<epoll_event, kEventsPerTurn> events;
    const timespec timeout{static_cast<time_t>(timeout_ns / kSecond), static_cast<long>(timeout_ns % kSecond)};
    const int count = epoll_pwait2(epoll_, events.data(), kEventsPerTurn, &timeout, nullptr);
    if (count < 0 && errno != EINTR) fail("epoll_pwait2");
    for (int i = 0; i < count; ++i) {
        auto& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (connection.state == Connection::State::closed) continue;
        if (connection.state == Connection::State::connecting) {
            finish_connect(connection);
            continue;
        }
        if (connection.state == Connection::State::securing) {
            secure(connection);
            continue;
        }
        const std::uint32_t what = events[static_cast<std::size_t>(i)].events;
        if ((what & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) read(connection);
        if ((what & EPOLLOUT) != 0) write(connection);
    }
    flush();
    closed_.clear();
}

void Swarm::finish_connect(Connection& connection) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection.stream.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lose(connection, std::strerror(error));
    if (tls_ == nullptr) {
        upgrade(connection);
    } else {
        connection.state = Connection::State::securing;
        connection.stream.start_tls(*tls_);
        watch(epoll_, EPOLL_CTL_MOD, connection, EPOLLIN);
        secure(connection);
    }
}

// A client's part of a TLS 1.3 handshake is two small writes, for which a new socket has room: it waits for input only.
void Swarm::secure(Connection& connection) {
    const Stream::Status status = connection.stream.shake_hands();
    if (status == Stream::Status::failed) return lose(connection, connection.stream.error());
    if (status == Stream::Status::ended) return lose(connection, "closed during the TLS handshake");
    if (status == Stream::Status::moved) upgrade(connection);
}

void Swarm::upgrade(Connection& connection) {
    connection.state = Connection::State::upgrading;
    ask(connection, dialect_.request(connection.role, connection.channel));
    if (tls_ == nullptr) watch(epoll_, EPOLL_CTL_MOD, connection, EPOLLIN);
    write(connection);
    if (connection.state == Connection::State::closed || dialect_.framing(connection.role) != Framing::poll) return;
    connection.state = Connection::State::talking;
    listener_.on_upgraded(connection);
    if (dialect_.ready_when_asked()) become_ready(connection);
}

void Swarm::ask(Connection& connection, const Request& request) {
    connection.out += "GET " + request.target + " HTTP/1.1\r\nHost: localhost\r\n";
    switch (dialect_.framing(connection.role)) {
        case Framing::poll: break;
        case Framing::events: connection.out += "Accept: text/event-stream\r\n"; break;
        case Framing::websocket:
            connection.out += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
            connection.out += "Sec-WebSocket-Key: " + std::string(kKey) + "\r\n";
            break;
    }
    connection.out += request.headers + "\r\n";
}

// Reads once: what one read doesn't take, the level-triggered epoll reports again, and the others get their turn.
void Swarm::read(Connection& connection) {
    const std::size_t kept = connection.in.size();
    if (kept > kReadBuffer / 2) return lose(connection, "a frame too large for the load generator");
    if (kept > 0) std::memcpy(buffer_.data(), connection.in.data(), kept);
    const Stream::Result got = connection.stream.read(std::span(buffer_).subspan(kept));
    if (got.status == Stream::Status::ended) return lose(connection, "closed without a close frame");
    if (got.status == Stream::Status::failed) return lose(connection, connection.stream.error());
    if (got.bytes == 0) return;
    const std::uint64_t now = now_ns();
    const std::span<const char> bytes(buffer_.data(), kept + got.bytes);
    std::size_t used = 0;
    if (connection.state == Connection::State::upgrading) used = parse_upgrade(connection, bytes);
    if (connection.state > Connection::State::upgrading) used += parse_frames(connection, bytes.subspan(used), now);
    if (connection.state == Connection::State::closed) return;
    connection.in.assign(bytes.data() + used, bytes.size() - used);
}

std::size_t Swarm::parse_upgrade(Connection& connection, std::span<const char> bytes) {
    const std::string_view text(bytes.data(), bytes.size());
    const auto end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return 0;
    const std::string_view head = text.substr(0, end);
    const bool expected = dialect_.framing(connection.role) == Framing::events
                              ? head.starts_with("HTTP/1.1 200")
                              : head.starts_with("HTTP/1.1 101") && head.find(kAccept) != std::string_view::npos;
    if (!expected) {
        lose(connection, head.substr(0, head.find("\r\n")));
        return 0;
    }
    connection.state = Connection::State::talking;
    listener_.on_upgraded(connection);
    if (connection.state != Connection::State::closed) {
        take_step(connection, dialect_.on_open(connection.role, connection.channel, connection.out), {});
    }
    return end + 4;
}

// An answer's body is so long as Content-Length says; 204 and 304 have none.
std::size_t Swarm::parse_answers(Connection& connection, std::span<const char> bytes, std::uint64_t now) {
    std::size_t used = 0;
    while (connection.state != Connection::State::closed) {
        const std::string_view text(bytes.data() + used, bytes.size() - used);
        const auto end = text.find("\r\n\r\n");
        if (end == std::string_view::npos) break;
        const std::string_view head = text.substr(0, end + 2);
        if (!head.starts_with("HTTP/1.1 2") && !head.starts_with("HTTP/1.1 304")) {
            lose(connection, head.substr(0, head.find("\r\n")));
            break;
        }
        std::size_t size = 0;
        const std::string_view said = header_value(head, "Content-Length");
        std::from_chars(said.data(), said.data() + said.size(), size);
        if (text.size() - end - 4 < size) break;
        std::span<const char> body = bytes.subspan(used + end + 4, size);
        used += end + 4 + size;
        ask(connection, dialect_.again(connection.channel, head));
        mark_dirty(connection);
        if (connection.state != Connection::State::ready) become_ready(connection);
        for (const char* stamp; (stamp = finder_.find(body)) != nullptr;) {
            listener_.on_delivery(connection, read_stamp(stamp), now);
            body = body.subspan(static_cast<std::size_t>(stamp - body.data()) + kStampText);
        }
    }
    return used;
}

std::size_t Swarm::parse_frames(Connection& connection, std::span<const char> bytes, std::uint64_t now) {
    if (dialect_.framing(connection.role) == Framing::poll) return parse_answers(connection, bytes, now);
    const auto going_on = [&] { return connection.state != Connection::State::closed; };
    if (dialect_.framing(connection.role) == Framing::events) {
        return read_events(
            bytes,
            [&](std::span<const char> data) {
                on_frame(connection, {Opcode::text, true, data, data.size()}, now);
            },
            going_on);
    }
    std::size_t used = 0;
    ServerFrame frame;
    while (going_on()) {
        const FrameStatus status = read_frame(bytes.subspan(used), frame);
        if (status == FrameStatus::incomplete) break;
        if (status == FrameStatus::invalid || !frame.final) {
            lose(connection, "the server sent an invalid or fragmented frame");
            break;
        }
        used += frame.size;
        on_frame(connection, frame, now);
    }
    return used;
}

void Swarm::on_frame(Connection& connection, const ServerFrame& frame, std::uint64_t now) {
    const std::string_view message(frame.payload.data(), frame.payload.size());
    switch (frame.opcode) {
        case Opcode::text:
        case Opcode::binary: {
            const char* stamp = finder_.find(frame.payload);
            if (stamp != nullptr) return listener_.on_delivery(connection, read_stamp(stamp), now);
            if (connection.state == Connection::State::talking) {
                take_step(connection, dialect_.on_message(connection.role, connection.channel, message, connection.out),
                          message);
            } else if (!dialect_.on_aside(message, connection.out)) {
                return lose(connection, message);
            }
            if (!connection.out.empty()) mark_dirty(connection);
            return;
        }
        case Opcode::ping: append_client_frame(connection.out, Opcode::pong, message); return mark_dirty(connection);
        case Opcode::close: {
            std::string why = "close frame";
            if (message.size() >= 2) {
                why += " " + std::to_string(static_cast<std::uint8_t>(message[0]) * 256 +
                                            static_cast<std::uint8_t>(message[1]));
                why.append(" ").append(message.substr(2));
            }
            return lose(connection, why);
        }
        default: return;
    }
}

void Swarm::take_step(Connection& connection, Dialect::Step step, std::string_view message) {
    if (step == Dialect::Step::failed) return lose(connection, message);
    if (!connection.out.empty()) mark_dirty(connection);
    if (step == Dialect::Step::ready) become_ready(connection);
}

void Swarm::become_ready(Connection& connection) {
    connection.state = Connection::State::ready;
    --opening_;
    listener_.on_ready(connection);
}

}  // namespace weft::bench
