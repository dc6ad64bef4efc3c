// What a client may send after the handshake. However the bytes are cut, the parser must say the same; and what it
// hands out must be what a plain reading of RFC 6455 makes of the frames; also where the connection moves to another
// worker in between, at any byte. The first two bytes choose the cuts, the size
// limit, and whether compressed messages may come (RFC 7692 §6).
#include <cstdio>
#include <cstdlib>

#include "support/client_frames.hpp"
#include "websocket/utf8.hpp"

namespace {

using weft::websocket::is_utf8;
using weft::websocket::Utf8Checker;
namespace test = weft::websocket::test;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

// A plain reading of frames that are all right, one byte after the other; stops at the first that isn't, or isn't
// whole.
std::vector<std::string> read_plainly(std::string_view bytes, std::size_t max_message, bool deflate) {
    std::vector<std::string> lines;
    std::string message;
    std::uint8_t message_opcode = 0;
    bool compressed = false;
    for (;;) {
        const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
        if (bytes.size() < 6) return lines;
        const std::uint8_t opcode = byte(0) & 0x0F;
        const bool final = byte(0) >= 0x80;
        const bool may_compress = deflate && (opcode == 1 || opcode == 2);
        if ((byte(0) & (may_compress ? 0x30 : 0x70)) != 0 || byte(1) < 0x80) return lines;
        const bool rsv1 = (byte(0) & 0x40) != 0;
        std::uint64_t size = byte(1) & 0x7F;
        std::size_t at = 2;
        if (size >= 126) {
            const std::size_t length_bytes = size == 126 ? 2 : 8;
            if (bytes.size() < 2 + length_bytes + 4) return lines;
            size = 0;
            for (; at < 2 + length_bytes; ++at) size = size * 256 + byte(at);
            if (size < (length_bytes == 2 ? 126 : 65536)) return lines;
        }
        if (bytes.size() - at - 4 < size) return lines;
        std::string payload;
        for (std::size_t i = 0; i < size; ++i) payload += static_cast<char>(byte(at + 4 + i) ^ byte(at + i % 4));
        bytes.remove_prefix(at + 4 + size);

        if (opcode >= 8) {
            if (!final || size > 125 || opcode > 10 || (opcode == 8 && size == 1)) return lines;
            if (opcode == 8 && size > 0) {
                const int code = static_cast<std::uint8_t>(payload[0]) * 256 + static_cast<std::uint8_t>(payload[1]);
                const bool defined = code >= 1000 && code <= 1014 && !(code >= 1004 && code <= 1006);
                if ((!defined && (code < 3000 || code > 4999)) || !is_utf8(payload.substr(2))) return lines;
                payload = ":" + std::to_string(code) + ":" + payload.substr(2);
            }
            lines.push_back((opcode == 8 ? "close" : opcode == 9 ? "ping:" : "pong:") + payload);
            continue;
        }
        if (opcode > 2 || (opcode == 0) != (message_opcode != 0)) return lines;
        if (opcode != 0) message_opcode = opcode;
        if (opcode != 0) compressed = rsv1;
        message += payload;
        if (message.size() > (compressed ? max_message + max_message / 8 + 64 : max_message)) return lines;
        const bool checked = message_opcode == 1 && !compressed;
        Utf8Checker beginning;
        if (checked && !beginning.feed(message)) return lines;
        if (!final) continue;
        if (checked && !is_utf8(message)) return lines;
        lines.push_back((compressed ? "compressed " : "") + ((message_opcode == 1 ? "text:" : "binary:") + message));
        message.clear();
        message_opcode = 0;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::uint32_t seed = data[0];
    const std::size_t max_message = std::size_t{1} << (data[1] & 0x7F) % 20;
    const bool deflate = data[1] >= 0x80;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);

    auto whole = test::read_whole(bytes, max_message, deflate);
    for (const auto& reading : {test::read_bytewise(bytes, max_message, deflate),
                                test::read_in_random_pieces(bytes, seed, max_message, deflate)}) {
        require(reading.lines == whole.lines, "the outcome depends on how the bytes are cut");
        require(reading.mid_message == whole.mid_message, "what is half read depends on how the bytes are cut");
        require(reading.buffered <= 2 * bytes.size() + 512, "more is buffered than came");
    }
    const auto moved =
        test::read_with_a_move(bytes, bytes.empty() ? 0 : (seed << 8 | data[1]) % bytes.size(), max_message, deflate);
    require(moved.lines == whole.lines, "a move changes the outcome");
    require(moved.mid_message == whole.mid_message, "a move changes what is half read");
    require(whole.mid_message == (whole.buffered > 0), "memory is held between messages");

    const bool violated = !whole.lines.empty() && whole.lines.back().starts_with("violation:");
    if (violated) whole.lines.pop_back();
    require(whole.lines == read_plainly(bytes, max_message, deflate), "the frames say something else");
    return 0;
}
