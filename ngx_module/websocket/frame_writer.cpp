#include "websocket/frame_writer.hpp"

#include <algorithm>

namespace weft::websocket {
namespace {

constexpr std::size_t kMaxCloseReason = 123;  // a control frame's 125 bytes less the code (RFC 6455 §5.5)

// The longest beginning of `text` within `limit` bytes that doesn't end inside a character.
std::string_view cut(std::string_view text, std::size_t limit) noexcept {
    if (text.size() <= limit) return text;
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
    return text.substr(0, limit);
}

}  // namespace

std::size_t write_header(char* out, Opcode opcode, std::size_t payload_size) noexcept {
    out[0] = static_cast<char>(0x80 | static_cast<unsigned>(opcode));
    if (payload_size <= 125) {
        out[1] = static_cast<char>(payload_size);
        return 2;
    }
    const int length_bytes = payload_size <= 0xFFFF ? 2 : 8;
    out[1] = static_cast<char>(length_bytes == 2 ? 126 : 127);
    for (int i = 0; i < length_bytes; ++i) {
        out[2 + i] = static_cast<char>(std::uint64_t{payload_size} >> 8 * (length_bytes - 1 - i));
    }
    return 2 + static_cast<std::size_t>(length_bytes);
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
    char header[kMaxHeader];
    out.append(header, write_header(header, opcode, payload.size()));
    out.append(payload);
}

void append_close(std::string& out, std::uint16_t code, std::string_view reason) {
    reason = cut(reason, kMaxCloseReason);
    char header[kMaxHeader];
    out.append(header, write_header(header, Opcode::close, 2 + reason.size()));
    out.push_back(static_cast<char>(code >> 8));
    out.push_back(static_cast<char>(code & 0xFF));
    out.append(reason);
}

}  // namespace weft::websocket
