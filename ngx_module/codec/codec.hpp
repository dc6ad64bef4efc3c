// A client protocol's spelling: bytes of one message to a command, a server frame to bytes of one message.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "codec/message.hpp"

namespace weft {

/// Why a message is not a command. Answered with an error frame; the connection goes on.
struct CommandError {
    Code code;            // mostly invalid_message
    std::string message;  // names what was wrong and what was expected; quotes at most 64 bytes of the input
    std::string id;       // of the faulty command, where it could be read
};

class Codec {
public:
    virtual ~Codec() = default;

    /// What operators call it: "json".
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    /// "weft.v1.json"
    [[nodiscard]] virtual std::string_view subprotocol() const noexcept = 0;
    /// Whether its messages are binary rather than text; the other kind is refused with 1003.
    [[nodiscard]] virtual bool binary() const noexcept = 0;

    /// Whether its messages are JSON texts.
    [[nodiscard]] virtual bool is_json() const noexcept { return false; }
    /// Whether it has anything to say of `frame`; encode() is only for those of which it has.
    [[nodiscard]] virtual bool tells(const ServerFrame& frame) const noexcept;

    /// `message` has websocket::kPadding readable bytes behind it. Views in the result point into `message` or into
    /// this codec, and hold until `message` goes or decode is called again.
    virtual tl::expected<Command, CommandError> decode(std::string_view message) = 0;

    /// Appends the message to `out`.
    virtual void encode(const ServerFrame& frame, std::string& out) const = 0;
};

inline bool Codec::tells(const ServerFrame&) const noexcept {
    return true;
}

}  // namespace weft
