#include "stamp.hpp"

#include <bit>

namespace weft::bench {
namespace {

static_assert(std::endian::native == std::endian::little, "read_word takes the first character as the lowest digit");

void write_digits(char* out, std::uint64_t value, unsigned digits) noexcept {
    for (unsigned i = 0; i < digits; ++i, value >>= 4) out[i] = static_cast<char>('a' + (value & 15));
}

// Eight digits at once: subtract 'a' from each byte, then fold neighbours together three times.
std::uint32_t read_word(const char* text) noexcept {
    std::uint64_t x;
    std::memcpy(&x, text, 8);
    x -= 0x6161616161616161U;
    x = (x | (x >> 4)) & 0x00FF00FF00FF00FFU;
    x = (x | (x >> 8)) & 0x0000FFFF0000FFFFU;
    x = x | (x >> 16);
    return static_cast<std::uint32_t>(x);
}

}  // namespace

void write_stamp(char* out, const Stamp& stamp) noexcept {
    std::memcpy(out, kStampMarker.data(), 2);
    write_digits(out + 2, stamp.publisher, 8);
    write_digits(out + 10, stamp.number, 8);
    write_digits(out + 18, stamp.sent_at, 16);
}

Stamp read_stamp(const char* text) noexcept {
    return {read_word(text + 2), read_word(text + 10),
            read_word(text + 18) | (std::uint64_t{read_word(text + 26)} << 32)};
}

const char* StampFinder::search(std::span<const char> message) noexcept {
    const std::string_view text(message.data(), message.size());
    const auto at = text.find(kStampMarker);
    if (at == std::string_view::npos || at + kStampText > text.size()) return nullptr;
    last_ = at;
    return message.data() + at;
}

}  // namespace weft::bench
