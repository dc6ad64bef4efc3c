// A wire format: a codec inside a transport's framing. Connections with the same wire share encoded bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "codec/codec.hpp"
#include "gateway/counters.hpp"
#include "websocket/deflater.hpp"
#include "websocket/frame_writer.hpp"

namespace weft {

/// A set of wires, by index.
using WireSet = std::uint32_t;

class Wire {
public:
    static constexpr std::size_t kMax = 24;  // different wires in one worker: bits of a WireSet

    explicit Wire(std::uint8_t index) : index_(index) {}
    virtual ~Wire() = default;
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    /// Appends `frame` as it goes to the socket; nothing, when there is nothing to say of it here. Must not allocate
    /// once its buffers have grown to a frame's size.
    virtual void append(const ServerFrame& frame, std::string& out) = 0;

    /// The door, as operators call it: "websocket", "sse", "stream" or "poll".
    [[nodiscard]] virtual std::string_view transport() const noexcept = 0;
    [[nodiscard]] virtual const Codec& codec() const noexcept = 0;

    [[nodiscard]] std::uint8_t index() const noexcept { return index_; }

private:
    std::uint8_t index_;  // below kMax, unique in the worker
};

/// One WebSocket message a frame, perhaps compressed (RFC 7692): then without context takeover, so that whoever agreed
/// to the same parameters can share it.
class WebSocketWire final : public Wire {
public:
    WebSocketWire(std::uint8_t index, Codec& codec) : Wire(index), codec_(codec) {}
    /// `counters` must outlive the wire.
    WebSocketWire(std::uint8_t index, Codec& codec, const websocket::DeflateSettings& deflate, Counters& counters)
        : Wire(index), codec_(codec), deflater_(std::in_place, deflate, false), counters_(&counters) {}

    void append(const ServerFrame& frame, std::string& out) override {
        if (!codec_.tells(frame)) return;
        payload_.clear();
        codec_.encode(frame, payload_);
        append_message(codec_.binary() ? websocket::Opcode::binary : websocket::Opcode::text, payload_, out);
    }

    /// Appends a message that isn't the codec's.
    void append_message(websocket::Opcode opcode, std::string_view message, std::string& out) {
        if (!deflater_) {
            websocket::append_frame(out, opcode, message);
            return;
        }
        const std::size_t before = out.size();
        if (websocket::append_message(out, opcode, message, *deflater_, compressed_)) {
            counters_->count_compressed(message.size(), out.size() - before);
        }
        if (compressed_.size() > kMaxKept) std::string().swap(compressed_);
    }

    [[nodiscard]] std::string_view transport() const noexcept override { return "websocket"; }
    [[nodiscard]] const Codec& codec() const noexcept override { return codec_; }
    [[nodiscard]] Codec& codec() noexcept { return codec_; }
    /// What it compresses with; null when it doesn't.
    [[nodiscard]] const websocket::DeflateSettings* deflate() const noexcept {
        return deflater_ ? &deflater_->settings() : nullptr;
    }

private:
    static constexpr std::size_t kMaxKept = std::size_t{64} * 1024;  // bytes of room to compress in

    Codec& codec_;
    std::string payload_;
    std::optional<websocket::Deflater> deflater_;
    std::string compressed_;
    Counters* counters_ = nullptr;
};

}  // namespace weft
