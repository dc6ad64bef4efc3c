#include "auth/base64.hpp"

#include <array>
#include <cstdint>

namespace weft {

namespace {

constexpr std::string_view alphabet_of(Base64 alphabet) noexcept {
    return alphabet == Base64::url ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                                   : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

using Values = std::array<std::uint8_t, 256>;
constexpr std::uint8_t kNone = 64;

constexpr Values values_of(Base64 alphabet) noexcept {
    Values values{};
    values.fill(kNone);
    std::uint8_t value = 0;
    for (char c : alphabet_of(alphabet)) values[static_cast<unsigned char>(c)] = value++;
    return values;
}

constexpr Values kUrlValues = values_of(Base64::url);
constexpr Values kStandardValues = values_of(Base64::standard);

}  // namespace

std::optional<std::string> decode_base64(std::string_view text, Base64 alphabet) {
    const Values& values = alphabet == Base64::url ? kUrlValues : kStandardValues;
    if (alphabet == Base64::standard) {
        if (text.size() % 4 != 0) return std::nullopt;
        for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    }
    if (text.size() % 4 == 1) return std::nullopt;
    std::string bytes(text.size() * 3 / 4, '\0');
    char* to = bytes.data();
    std::uint32_t bits = 0;
    int held = 0;  // bits in `bits` that are not in `bytes` yet
    for (char c : text) {
        const std::uint8_t value = values[static_cast<unsigned char>(c)];
        if (value == kNone) return std::nullopt;
        bits = (bits << 6 | value) & 0xffffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *to++ = static_cast<char>(bits >> held & 0xff);
        }
    }
    if ((bits & ((1U << held) - 1)) != 0) return std::nullopt;
    return bytes;
}

std::string encode_base64(std::string_view bytes, Base64 alphabet) {
    const std::string_view letters = alphabet_of(alphabet);
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    std::uint32_t bits = 0;
    int held = 0;
    for (char c : bytes) {
        bits = (bits << 8 | static_cast<unsigned char>(c)) & 0xffffff;
        held += 8;
        while (held >= 6) {
            held -= 6;
            text += letters[bits >> held & 63];
        }
    }
    if (held > 0) text += letters[bits << (6 - held) & 63];
    if (alphabet == Base64::standard) {
        while (text.size() % 4 != 0) text += '=';
    }
    return text;
}

}  // namespace weft
