// Wires of answers that go on and on: server-sent events, lines of JSON, and what a held poll is answered with.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/wire.hpp"

namespace weft {

class StreamWire : public Wire {
public:
    enum class Kind : std::uint8_t {
        sse,    // text/event-stream (HTML Standard, "Server-sent events"); `id:` is ChannelPositions' text
        lines,  // one message a line, each a JSON text
        poll,   // PollRecord
    };

    /// `codec` must fit the kind, and outlive the wire.
    static std::unique_ptr<StreamWire> make(Kind kind, std::uint8_t index, Codec& codec);

    /// Whether messages of a codec can be carried so.
    static bool fits(Kind kind, const Codec& codec) noexcept;

    /// What says nothing, but that the server is there.
    [[nodiscard]] virtual std::string_view heartbeat() const noexcept = 0;
    /// Appends what the stream ends with.
    virtual void append_end(std::uint16_t code, std::string_view why, std::string& out) const = 0;

    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    [[nodiscard]] std::string_view transport() const noexcept override;
    [[nodiscard]] const Codec& codec() const noexcept override { return codec_; }

protected:
    StreamWire(Kind kind, std::uint8_t index, Codec& codec) : Wire(index), codec_(codec), kind_(kind) {}

    /// The codec's message, valid until the next call.
    std::string_view encode(const ServerFrame& frame) {
        payload_.clear();
        codec_.encode(frame, payload_);
        return payload_;
    }

    Codec& codec_;

private:
    Kind kind_;
    std::string payload_;
};

/// One frame of a poll's answer: a line with a mark and what belongs to that, and a line with the message.
struct PollRecord {
    enum class Kind : char {
        news = '+',     // something to answer the poll for
        entered = '-',  // it is in a channel of which it knows all
        behind = '=',   // it is in a channel of which it doesn't
        member = '@',   // somebody came or went
    };
    Kind kind = Kind::news;
    std::string_view text;  // "channel=position", or nothing where no position moves; of a member: the user's name
    std::string_view message;

    /// Takes the record in front off `bytes`, which begins with a whole one.
    static PollRecord take(std::string_view& bytes) noexcept;
};

}  // namespace weft
