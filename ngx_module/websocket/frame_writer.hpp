// RFC 6455 frames to a client: never masked, never fragmented.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "websocket/deflater.hpp"
#include "websocket/frame_parser.hpp"

namespace weft::websocket {

inline constexpr std::size_t kMaxHeader = 10;  // bytes of a server frame's header

/// Writes the header of a final frame into `out` (kMaxHeader bytes of room); returns its size: 2, 4 or 10.
std::size_t write_header(char* out, Opcode opcode, std::size_t payload_size) noexcept;

/// Appends one final frame to `out`. `compressed`: the payload is, RFC 7692 §7.2; data frames only.
void append_frame(std::string& out, Opcode opcode, std::string_view payload, bool compressed = false);

/// Appends a data message as one frame, compressed if it gets smaller, and says whether it did. `storage` is
/// Deflater::compress's.
bool append_message(std::string& out, Opcode opcode, std::string_view message, Deflater& deflater,
                    std::string& storage);

/// Appends a close frame; `reason` is cut at a character's border to fit 123 bytes.
void append_close(std::string& out, std::uint16_t code, std::string_view reason);

/// A frame that this side wrote.
struct WrittenFrame {
    Opcode opcode;
    std::string_view payload;
};

/// Takes the first frame off `frames`, whole frames as append_frame() writes them, uncompressed.
WrittenFrame take_frame(std::string_view& frames) noexcept;

}  // namespace weft::websocket
