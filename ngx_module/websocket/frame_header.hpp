// The header of a client's frame, RFC 6455 §5.2, checked as far as its bytes have come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "websocket/frame_parser.hpp"
#include "websocket/unmask.hpp"

namespace weft::websocket {

inline constexpr std::size_t kMaxClientHeader = 14;  // bytes: two, a length of eight, the masking key

/// A frame of which the header is known.
struct Frame {
    std::uint64_t left = 0;  // bytes of payload still to come; at first all of it
    MaskingKey key{};        // turned to the next of them
    Opcode opcode = Opcode::continuation;
    bool final = false;
    bool compressed = false;  // RSV1: the message that begins here, RFC 7692 §7.2

    [[nodiscard]] bool control() const noexcept { return opcode >= Opcode::close; }
};

/// What the checks of a header must know of the message before it.
struct Unfinished {
    bool message = false;     // a data message lacks its final fragment
    bool compressed = false;  // which is a compressed one
    std::size_t size = 0;     // bytes of it so far
};

/// What holds on the connection.
struct HeaderRules {
    std::size_t max_message;
    bool deflate;  // permessage-deflate was agreed: messages may be compressed
};

/// The most that a message of `max_message` bytes takes compressed. Deflate's stored blocks add 5 bytes for 64 KiB, and
/// its fixed code at worst an eighth; what takes more is somebody's joke.
constexpr std::size_t most_compressed(std::size_t max_message) noexcept {
    return max_message + max_message / 8 + 64;
}

struct HeaderReading {
    std::size_t size = 0;  // bytes of the header, once all are there; until then 0
    Frame frame;           // when size isn't 0
    std::optional<Violation> violation;
};

/// Reads the header at the front of `bytes`. A violation is found at the first byte that shows it; a length beyond
/// `max_message` (compressed: most_compressed() of it) together with what is unfinished is one (1009).
HeaderReading read_frame_header(std::string_view bytes, Unfinished unfinished, HeaderRules rules) noexcept;

}  // namespace weft::websocket
