// A client over WebSocket: frames in, commands out.
#pragma once

#include <cstdint>
#include <span>

#include "gateway/connection.hpp"
#include "gateway/gateway.hpp"
#include "websocket/frame_parser.hpp"

namespace weft {

class WebSocketConnection : public Connection, private websocket::FrameParser::Sink {
public:
    /// `deflate` is what was agreed of compression, if it was. With server_takeover `wire` must be one without
    /// compression (its frames are then compressed for this connection alone), else one that compresses as agreed.
    WebSocketConnection(Gateway& gateway, const EndpointSettings& endpoint, WebSocketWire& wire,
                        const std::optional<websocket::DeflateParameters>& deflate = std::nullopt);

    void receive(std::span<char> bytes) override;
    bool describe(v1::Leaver& leaver) const override;
    void pack(v1::Moved& rest) override;
    void unpack(const v1::Moved& rest) override;

private:
    void probe() override;
    Phase say_goodbye(std::uint16_t code, std::string_view why) override;

    SharedBytes rewrite(const SharedBytes& frames) override;

    /// A message of the right kind: counts it, decodes it, has it executed.
    void take(std::string_view message);
    void take_early(std::string_view message) override { take(message); }
    void echo(websocket::Opcode opcode, std::string_view message);
    bool fail(const websocket::Violation& violation);
    void count_message() noexcept;

    bool on_message(websocket::Opcode opcode, std::string_view message) override;
    bool on_compressed(websocket::Opcode opcode, std::string_view compressed) override;
    bool on_ping(std::string_view payload) override;
    bool on_pong(std::string_view payload) override;
    bool on_close(std::optional<std::uint16_t> code, std::string_view reason) override;

    // What context takeover costs, for connections that agreed to it.
    struct Contexts {
        std::optional<websocket::Inflater> inflater;
        std::optional<websocket::Deflater> deflater;
    };

    [[nodiscard]] WebSocketWire& wire() noexcept { return static_cast<WebSocketWire&>(Connection::wire()); }

    websocket::FrameParser parser_;
    std::unique_ptr<Contexts> contexts_;
    bool broken_ = false;   // the input violated the protocol: nothing more can be read from it
    bool deflate_ = false;  // permessage-deflate was agreed
    /// With a window of so many bits for what is sent. Kept: a wire may be one that doesn't compress all the same.
    std::uint8_t server_window_ = websocket::kMaxWindow;
};

}  // namespace weft
