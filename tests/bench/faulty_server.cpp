#include "tests/bench/faulty_server.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace weft::bench {
namespace {

// The answer to the load generator's constant key (RFC 6455 §1.3).
constexpr std::string_view kAnswer =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

// Frames here are shorter than 64 KiB, both ways.
std::string frame_of(std::string_view payload) {
    std::string out = "\x81";
    if (payload.size() < 126) {
        out += static_cast<char>(payload.size());
    } else {
        out += {126, static_cast<char>(payload.size() >> 8), static_cast<char>(payload.size() & 0xFF)};
    }
    return out.append(payload);
}

// Takes a masked frame off the front of `in`; false when it is not all there.
bool take_frame(std::string& in, std::string& payload) {
    if (in.size() < 6) return false;
    const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(in[i]); };
    std::size_t length = at(1) & 0x7F;
    std::size_t header = 6;
    if (length == 126) {
        if (in.size() < 8) return false;
        length = at(2) * 256U + at(3);
        header = 8;
    }
    if (in.size() < header + length) return false;
    payload = in.substr(header, length);
    for (std::size_t i = 0; i < length; ++i) payload[i] = static_cast<char>(payload[i] ^ in[header - 4 + i % 4]);
    in.erase(0, header + length);
    return true;
}

}  // namespace

FaultyServer::FaultyServer(Plan plan)
    : plan_(std::move(plan)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address_), size) != 0 ||
        listen(listener_, 64) != 0 || getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size) != 0) {
        throw std::runtime_error("no port to listen on");
    }
    thread_ = std::thread([this] { run(); });
}

FaultyServer::~FaultyServer() {
    stopping_ = true;
    thread_.join();
    for (const Client& client : clients_) close(client.fd);
    close(listener_);
}

void FaultyServer::run() {
    while (!stopping_) {
        std::vector<pollfd> fds{{listener_, POLLIN, 0}};
        for (const Client& client : clients_) fds.push_back({client.fd, POLLIN, 0});
        poll(fds.data(), fds.size(), 20);
        for (std::size_t i = 1; i < fds.size(); ++i) {
            if (fds[i].revents != 0) take(clients_[i - 1]);
        }
        std::erase_if(clients_, [](const Client& client) { return client.fd < 0; });
        if (fds[0].revents != 0) clients_.emplace_back().fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    }
}

void FaultyServer::take(Client& client) {
    std::array<char, 4096> buffer;
    const ssize_t got = recv(client.fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
        close(client.fd);
        client.fd = -1;
        return;
    }
    client.in.append(buffer.data(), static_cast<std::size_t>(got));
    if (!client.upgraded) {
        const auto end = client.in.find("\r\n\r\n");
        if (end == std::string::npos) return;
        client.in.erase(0, end + 4);
        client.upgraded = true;
        send_all(client, kAnswer);
    }
    for (std::string payload; take_frame(client.in, payload);) take_message(client, payload);
}

void FaultyServer::take_message(Client& client, std::string_view message) {
    const auto end = message.find(' ', 2);
    const std::string channel(message.substr(2, end == std::string_view::npos ? end : end - 2));
    if (message[0] == 's') {
        client.channel = channel;
        client.subscriber = subscribers_++;
        return send_all(client, frame_of("ok"));
    }
    for (Client& other : clients_) {
        if (other.fd >= 0 && other.channel == channel) deliver(other, std::string(message.substr(end + 1)));
    }
}

void FaultyServer::deliver(Client& client, std::string payload) {
    Stamp stamp = read_stamp(payload.data());
    const Fault fault = stamp.publisher == kProbe ? Fault::none : plan_(client.subscriber, stamp.number);
    if (fault == Fault::mislabel) {
        ++stamp.publisher;
        write_stamp(payload.data(), stamp);
    }
    std::string frame = frame_of(payload);
    switch (fault) {
        case Fault::drop: return;
        case Fault::hold: client.held = std::move(frame); return;
        case Fault::repeat: frame += frame; break;
        case Fault::hang_up: shutdown(client.fd, SHUT_RDWR); return;
        default: break;
    }
    send_all(client, frame + client.held);
    client.held.clear();
}

void FaultyServer::send_all(Client& client, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = send(client.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

}  // namespace weft::bench
