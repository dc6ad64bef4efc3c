#include "client_frames.hpp"

namespace weft::bench {

void append_client_frame(std::string& out, Opcode opcode, std::string_view payload) {
    static constexpr char kKey[4] = {0x37, static_cast<char>(0xfa), 0x21, 0x3d};
    out += static_cast<char>(0x80 | static_cast<unsigned>(opcode));
    const std::size_t size = payload.size();
    if (size < 126) {
        out += static_cast<char>(0x80 | size);
    } else if (size < 65536) {
        out += static_cast<char>(0xFE);
        out += static_cast<char>(size >> 8);
        out += static_cast<char>(size & 0xFF);
    } else {
        out += static_cast<char>(0xFF);
        for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>((size >> shift) & 0xFF);
    }
    out.append(kKey, 4);
    const std::size_t start = out.size();
    out.append(payload);
    for (std::size_t i = 0; i < size; ++i) out[start + i] = static_cast<char>(out[start + i] ^ kKey[i & 3]);
}

}  // namespace weft::bench
