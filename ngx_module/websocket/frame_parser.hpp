// RFC 6455 frames from a client, read incrementally.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "websocket/utf8.hpp"

namespace weft::websocket {

/// Bytes that must be readable (not meaningful) behind every message that is handed out: decoders read in wide words.
inline constexpr std::size_t kPadding = 64;

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// Close codes of RFC 6455 §7.4.1 that this side sends.
enum class Close : std::uint16_t {
    normal = 1000,
    going_away = 1001,
    protocol_error = 1002,
    unsupported_data = 1003,
    invalid_payload = 1007,
    policy_violation = 1008,
    message_too_big = 1009,
    internal_error = 1011,
    service_restart = 1012,
    try_again_later = 1013,
};

/// Why the connection must fail; `why` is a static sentence fit for a close frame's reason (at most 123 bytes).
struct Violation {
    Close code;
    std::string_view why;
};

struct Frame;
struct HeaderReading;
struct HeaderRules;

/// Parses the bytes of one connection. Idle (between messages) it owns no heap memory; it stays within 64 bytes.
class FrameParser {
public:
    class Sink {
    public:
        virtual ~Sink() = default;
        // Each returns false to stop parsing (the connection is going away); feed() then returns at once, without
        // another look at the parser: the sink may have destroyed it.

        /// A whole data message, unmasked, text already checked to be UTF-8. Valid during the call, with kPadding
        /// readable bytes behind it, as behind the payloads below. Points into the fed bytes when the message came in
        /// one piece.
        virtual bool on_message(Opcode opcode, std::string_view message) = 0;
        /// The same for a message that came compressed (RFC 7692), as it came: nothing of it is checked.
        virtual bool on_compressed(Opcode opcode, std::string_view compressed) = 0;
        virtual bool on_ping(std::string_view payload) = 0;
        virtual bool on_pong(std::string_view payload) = 0;
        /// A valid close frame; no value when it carried no code.
        virtual bool on_close(std::optional<std::uint16_t> code, std::string_view reason) = 0;
    };

    FrameParser() = default;

    /// Parses all of `bytes` (changed in place by unmasking), which must have kPadding readable and writable bytes
    /// behind it. Frames of clients must be masked (§5.1), reserved bits clear, control frames final and at most 125
    /// bytes (§5.5), lengths minimally encoded and below 2^63 (§5.2), text and close reasons UTF-8 (found as early as
    /// the bytes allow, §8.1), close codes sendable (§7.4). A message longer than `max_message` bytes (all fragments
    /// together) is a violation with 1009, raised when its length is known, before it is buffered.
    /// With `deflate`, which was agreed in the handshake, RSV1 may be set on a data message's first frame (RFC 7692
    /// §6); such a message may be somewhat longer than `max_message` before it is inflated (most_compressed()).
    /// After a violation, which frees what was half read, or a stop the parser must not be fed again. Throws
    /// std::bad_alloc.
    std::optional<Violation> feed(std::span<char> bytes, std::size_t max_message, Sink& sink, bool deflate = false);

    /// Whether a frame or message is half read.
    [[nodiscard]] bool mid_message() const noexcept;
    /// Frames that bring a fresh parser to where this one is: what has come of the message that is half read, masked so
    /// that the bytes which are still to come fit behind it. Empty when nothing is half read.
    [[nodiscard]] std::string half_read() const;
    /// Heap bytes held for a half-read message.
    [[nodiscard]] std::size_t buffered() const noexcept;

private:
    struct Message;  // all that is remembered between two calls, on the heap and only while something is half read
    struct MessageDeleter {
        void operator()(Message*) const noexcept;
    };
    struct Outcome;

    Message& message();
    HeaderReading read_header(std::string_view& bytes, HeaderRules rules);
    Outcome take_control(const Frame& frame, std::string_view piece, Sink& sink);
    Outcome take_data(const Frame& frame, std::string_view piece, bool ascii, Sink& sink);

    Violation fail(const Violation& violation) noexcept;

    std::unique_ptr<Message, MessageDeleter> message_;
};

}  // namespace weft::websocket
