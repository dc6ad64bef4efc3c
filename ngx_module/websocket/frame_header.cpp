#include "websocket/frame_header.hpp"

#include <algorithm>

namespace weft::websocket {
namespace {

constexpr std::uint64_t kMaxControlPayload = 125;  // §5.5

HeaderReading incomplete() {
    return {};
}

HeaderReading violation(Close code, std::string_view why) {
    HeaderReading reading;
    reading.violation = Violation{code, why};
    return reading;
}

bool is_known(std::uint8_t opcode) noexcept {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

// RSV1 says that a message is compressed, in the first of its frames only (RFC 7692 §6.1).
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kCompressed = 0x40;

bool is_reserved_set(std::uint8_t first, bool deflate) noexcept {
    const std::uint8_t opcode = first & 0x0F;
    const bool begins_message = opcode == 1 || opcode == 2;
    return (first & kReserved & ~(deflate && begins_message ? kCompressed : 0)) != 0;
}

}  // namespace

HeaderReading read_frame_header(std::string_view bytes, Unfinished unfinished, HeaderRules rules) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
    HeaderReading reading;
    Frame& frame = reading.frame;

    if (bytes.empty()) return incomplete();
    if (is_reserved_set(byte(0), rules.deflate)) return violation(Close::protocol_error, "a reserved bit is set");
    if (!is_known(byte(0) & 0x0F)) return violation(Close::protocol_error, "the opcode is reserved");
    frame.opcode = static_cast<Opcode>(byte(0) & 0x0F);
    frame.final = (byte(0) & 0x80) != 0;
    frame.compressed = (byte(0) & kCompressed) != 0;
    if (frame.control()) {
        if (!frame.final) return violation(Close::protocol_error, "a control frame is fragmented");
    } else if (frame.opcode == Opcode::continuation) {
        if (!unfinished.message) return violation(Close::protocol_error, "a continuation continues no message");
    } else if (unfinished.message) {
        return violation(Close::protocol_error, "a message begins inside a fragmented one");
    }

    if (bytes.size() < 2) return incomplete();
    if ((byte(1) & 0x80) == 0) return violation(Close::protocol_error, "a client's frame must be masked");
    frame.left = byte(1) & 0x7F;
    const std::size_t length_bytes = frame.left == 126 ? 2 : frame.left == 127 ? 8 : 0;
    if (frame.control()) {
        if (frame.left > kMaxControlPayload) {
            return violation(Close::protocol_error, "a control frame is longer than 125 bytes");
        }
        if (frame.opcode == Opcode::close && frame.left == 1) {
            return violation(Close::protocol_error, "a close frame holds half a code");
        }
    }

    const std::size_t key_at = 2 + length_bytes;
    if (bytes.size() < key_at) return incomplete();
    if (length_bytes > 0) {
        frame.left = 0;
        for (std::size_t i = 2; i < key_at; ++i) frame.left = frame.left << 8 | byte(i);
        if (frame.left <= (length_bytes == 2 ? kMaxControlPayload : 0xFFFF)) {
            return violation(Close::protocol_error, "a length isn't written in its shortest form");
        }
        if (frame.left >> 63 != 0) return violation(Close::protocol_error, "a length has its highest bit set");
    }
    if (!frame.control()) {
        const bool compressed = frame.compressed || unfinished.compressed;
        const std::size_t most = compressed ? most_compressed(rules.max_message) : rules.max_message;
        if (unfinished.size > most || frame.left > most - unfinished.size) {
            return violation(Close::message_too_big, "the message is too big");
        }
    }

    if (bytes.size() < key_at + frame.key.size()) return incomplete();
    std::copy_n(bytes.data() + key_at, frame.key.size(), frame.key.begin());
    reading.size = key_at + frame.key.size();
    return reading;
}

}  // namespace weft::websocket
