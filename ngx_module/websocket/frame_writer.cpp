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

void append_frame(std::string& out, Opcode opcode, std::string_view payload, bool compressed) {
    constexpr unsigned kRsv1 = 0x40;
    char header[kMaxHeader];
    const std::size_t size = write_header(header, opcode, payload.size());
    if (compressed) header[0] = static_cast<char>(static_cast<unsigned char>(header[0]) | kRsv1);
    out.append(header, size);
    out.append(payload);
}

bool append_message(std::string& out, Opcode opcode, std::string_view message, Deflater& deflater,
                    std::string& storage) {
    const auto compressed = deflater.compress(message, storage);
    append_frame(out, opcode, compressed.value_or(message), compressed.has_value());
    return compressed.has_value();
}

void append_close(std::string& out, std::uint16_t code, std::string_view reason) {
    reason = cut(reason, kMaxCloseReason);
    char header[kMaxHeader];
    out.append(header, write_header(header, Opcode::close, 2 + reason.size()));
    out.push_back(static_cast<char>(code >> 8));
    out.push_back(static_cast<char>(code & 0xFF));
    out.append(reason);
}

WrittenFrame take_frame(std::string_view& frames) noexcept {
    const auto byte = [&frames](std::size_t i) { return std::size_t{static_cast<unsigned char>(frames[i])}; };
    std::size_t size = byte(1);
    const std::size_t length_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (length_bytes > 0) size = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) size = size << 8 | byte(2 + i);
    const WrittenFrame frame{static_cast<Opcode>(byte(0) & 0x0F), frames.substr(2 + length_bytes, size)};
    frames.remove_prefix(2 + length_bytes + size);
    return frame;
}

}  // namespace weft::websocket
