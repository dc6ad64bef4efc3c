// What the other end of a move sends, cut as the first byte says: the frames are the same as those of a reader that has
// all of it at once.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "move/fd_frame.hpp"
#include "support/require.hpp"

namespace {

/// The bytes of the valid frames that `stream` begins with, read in the plainest way.
std::size_t valid_bytes(std::string_view stream) {
    std::size_t at = 0;
    while (stream.size() - at >= weft::FdFrame::kHead) {
        std::size_t size = 0;
        for (std::size_t i = 0; i < 4; ++i) size = size * 256 + static_cast<std::uint8_t>(stream[at + i]);
        const auto flag = static_cast<std::uint8_t>(stream[at + 4]);
        if (size > weft::kMaxMessage || flag > 1 || stream.size() - at - weft::FdFrame::kHead < size) break;
        at += weft::FdFrame::kHead + size;
    }
    return at;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t cut = std::size_t{bytes[0]} + 1;
    const std::string_view stream(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    weft::FdFrameParser parser;
    std::string found;
    bool broken = false;
    for (std::size_t at = 0; at < stream.size() && !broken; at += cut) {
        const std::string_view piece = stream.substr(at, cut);
        const auto room = parser.room();
        REQUIRE(room.size() >= weft::FdFrameParser::kMinRoom);
        std::memcpy(room.data(), piece.data(), piece.size());
        parser.filled(piece.size());
        for (;;) {
            const auto frame = parser.next();
            broken = !frame;
            if (broken) REQUIRE(!frame.error().empty() && !parser.next());
            if (broken || !*frame) break;
            const auto head = weft::FdFrame::head((*frame)->payload.size(), (*frame)->with_fd);
            found.append(head.data(), head.size()).append((*frame)->payload);
        }
    }
    const std::size_t valid = valid_bytes(stream);
    REQUIRE(found == stream.substr(0, valid));
    // What is left is the beginning of a frame, unless it is none.
    REQUIRE(broken || parser.empty() == (valid == stream.size()));
    return 0;
}
