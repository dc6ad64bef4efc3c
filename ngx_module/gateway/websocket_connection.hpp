// A client over WebSocket: frames in, commands out.
#pragma once

#include <span>

#include "gateway/connection.hpp"
#include "gateway/gateway.hpp"
#include "websocket/frame_parser.hpp"

namespace weft {

class WebSocketConnection : public Connection, private websocket::FrameParser::Sink {
public:
    WebSocketConnection(Gateway& gateway, const EndpointSettings& endpoint, WebSocketWire& wire) noexcept
        : Connection(gateway, endpoint, wire), wire_(wire) {}

    /// Bytes from the socket; they are changed in place, and websocket::kPadding bytes behind them must be readable
    /// and writable. What follows from them (replies, the end) is queued.
    void receive(std::span<char> bytes);

    /// Whether it was the peer who said goodbye first.
    [[nodiscard]] bool closed_by_peer() const noexcept { return answering_; }

private:
    void probe() override;
    Phase say_goodbye(std::uint16_t code, std::string_view why) override;

    void echo(websocket::Opcode opcode, std::string_view message);
    void count_message() noexcept;

    bool on_message(websocket::Opcode opcode, std::string_view message) override;
    bool on_ping(std::string_view payload) override;
    bool on_pong(std::string_view payload) override;
    bool on_close(std::optional<std::uint16_t> code, std::string_view reason) override;

    WebSocketWire& wire_;
    websocket::FrameParser parser_;
    bool broken_ = false;     // the input violated the protocol: nothing more can be read from it
    bool answering_ = false;  // the peer said goodbye first
};

}  // namespace weft
