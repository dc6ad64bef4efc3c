// A wire format: a codec inside a transport's framing. Connections with the same wire share encoded bytes.
#pragma once

#include <cstdint>
#include <string>

#include "codec/codec.hpp"
#include "websocket/frame_writer.hpp"

namespace weft {

/// A set of wires, by index.
using WireSet = std::uint16_t;

class Wire {
public:
    static constexpr std::size_t kMax = 16;  // different wires in one worker: bits of a WireSet

    explicit Wire(std::uint8_t index) : index_(index) {}
    virtual ~Wire() = default;
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    /// Appends `frame` as it goes to the socket. Must not allocate once its buffers have grown to a frame's size.
    virtual void append(const ServerFrame& frame, std::string& out) = 0;

    [[nodiscard]] std::uint8_t index() const noexcept { return index_; }

private:
    std::uint8_t index_;  // below kMax, unique in the worker
};

/// One WebSocket message a frame.
class WebSocketWire final : public Wire {
public:
    WebSocketWire(std::uint8_t index, Codec& codec) : Wire(index), codec_(codec) {}

    void append(const ServerFrame& frame, std::string& out) override {
        payload_.clear();
        codec_.encode(frame, payload_);
        websocket::append_frame(out, codec_.binary() ? websocket::Opcode::binary : websocket::Opcode::text, payload_);
    }

    [[nodiscard]] Codec& codec() noexcept { return codec_; }

private:
    Codec& codec_;
    std::string payload_;
};

}  // namespace weft
