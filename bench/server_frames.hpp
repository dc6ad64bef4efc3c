// RFC 6455 frames from a server, walked through in the receive buffer: no copies, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weft::bench {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

struct ServerFrame {
    Opcode opcode;
    bool final;
    std::span<const char> payload;
    std::size_t size;  // of the whole frame
};

enum class FrameStatus { complete, incomplete, invalid };

/// Reads the frame at the start of `bytes`. `invalid`: masked or a reserved bit set (RFC 6455 §5.1, §5.2), or above
/// 64 MiB, which no server under test sends.
inline FrameStatus read_frame(std::span<const char> bytes, ServerFrame& frame) noexcept {
    if (bytes.size() < 2) return FrameStatus::incomplete;
    const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
    if ((at(0) & 0x70) != 0 || (at(1) & 0x80) != 0) return FrameStatus::invalid;
    std::size_t header = 2;
    std::uint64_t length = at(1);
    if (length >= 126) {
        const unsigned extra = length == 126 ? 2 : 8;
        header += extra;
        if (bytes.size() < header) return FrameStatus::incomplete;
        length = 0;
        for (unsigned i = 0; i < extra; ++i) length = (length << 8) | at(2 + i);
        if (length > (64U << 20)) return FrameStatus::invalid;
    }
    if (bytes.size() - header < length) return FrameStatus::incomplete;
    frame = {static_cast<Opcode>(at(0) & 0x0F), (at(0) & 0x80) != 0, bytes.subspan(header, length), header + length};
    return FrameStatus::complete;
}

}  // namespace weft::bench
