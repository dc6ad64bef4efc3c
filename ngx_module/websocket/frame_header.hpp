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

    [[nodiscard]] bool control() const noexcept { return opcode >= Opcode::close; }
};

/// What the checks of a header must know of the message before it.
struct Unfinished {
    bool message = false;  // a data message lacks its final fragment
    std::size_t size = 0;  // bytes of it so far
};

struct HeaderReading {
    std::size_t size = 0;  // bytes of the header, once all are there; until then 0
    Frame frame;           // when size isn't 0
    std::optional<Violation> violation;
};

/// Reads the header at the front of `bytes`. A violation is found at the first byte that shows it; a length beyond
/// `max_message` together with what is unfinished is one (1009).
HeaderReading read_frame_header(std::string_view bytes, Unfinished unfinished, std::size_t max_message) noexcept;

}  // namespace weft::websocket
