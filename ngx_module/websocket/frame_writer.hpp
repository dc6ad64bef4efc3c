// RFC 6455 frames to a client: never masked, never fragmented.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "websocket/frame_parser.hpp"

namespace weft::websocket {

inline constexpr std::size_t kMaxHeader = 10;  // bytes of a server frame's header

/// Writes the header of a final frame into `out` (kMaxHeader bytes of room); returns its size: 2, 4 or 10.
std::size_t write_header(char* out, Opcode opcode, std::size_t payload_size) noexcept;

/// Appends one final frame to `out`.
void append_frame(std::string& out, Opcode opcode, std::string_view payload);

/// Appends a close frame; `reason` is cut at a character's border to fit 123 bytes.
void append_close(std::string& out, std::uint16_t code, std::string_view reason);

}  // namespace weft::websocket
