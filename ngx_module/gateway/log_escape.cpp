#include "gateway/log_escape.hpp"

#include <algorithm>

namespace weft {

namespace {

constexpr char kHex[] = "0123456789ABCDEF";
constexpr std::size_t kLongest = 6;  // bytes of one escape: \u001F

constexpr bool continues(char c) noexcept {  // the second byte and later ones of a character in UTF-8
    return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

/// Writes one byte of the text; returns how many bytes it became.
std::size_t escape_standard(unsigned char c, char* to) noexcept {
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
        *to = static_cast<char>(c);
        return 1;
    }
    to[0] = '\\';
    to[1] = 'x';
    to[2] = kHex[c >> 4];
    to[3] = kHex[c & 15];
    return 4;
}

std::size_t escape_json(unsigned char c, char* to) noexcept {
    if (c >= 0x20 && c != '"' && c != '\\') {
        *to = static_cast<char>(c);
        return 1;
    }
    to[0] = '\\';
    switch (c) {
        case '"':
        case '\\': to[1] = static_cast<char>(c); return 2;
        case '\n': to[1] = 'n'; return 2;
        case '\r': to[1] = 'r'; return 2;
        case '\t': to[1] = 't'; return 2;
        case '\b': to[1] = 'b'; return 2;
        case '\f': to[1] = 'f'; return 2;
        default: break;
    }
    to[1] = 'u';
    to[2] = '0';
    to[3] = '0';
    to[4] = kHex[c >> 4];
    to[5] = kHex[c & 15];
    return 6;
}

}  // namespace

void append_escaped(std::string& line, std::string_view text, LogEscape escape, std::size_t room) {
    const std::size_t begin = line.size();
    std::size_t taken = 0;
    if (escape == LogEscape::none) {
        taken = std::min(text.size(), room);
        line.append(text.substr(0, taken));
    } else {
        for (char c : text) {
            char bytes[kLongest];
            const auto byte = static_cast<unsigned char>(c);
            const std::size_t size =
                escape == LogEscape::json ? escape_json(byte, bytes) : escape_standard(byte, bytes);
            if (line.size() - begin + size > room) break;
            line.append(bytes, size);
            ++taken;
        }
    }
    if (taken == text.size() || escape == LogEscape::standard || !continues(text[taken])) return;
    // Cut within a character: its first bytes go too. (Bytes that are no UTF-8 lose no more than a character can have.)
    for (int i = 0; i < 3 && line.size() > begin && static_cast<unsigned char>(line.back()) >= 0x80; ++i) {
        const bool more = continues(line.back());
        line.pop_back();
        if (!more) return;
    }
}

}  // namespace weft
