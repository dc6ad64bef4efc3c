#include "weft/glob.hpp"

#include <array>
#include <cstdio>

#include "weft/channel.hpp"

namespace weft {
namespace {

std::string printable(char c) {
    if (c > ' ' && c < 0x7F) return std::string("\"") + c + '"';
    std::array<char, 16> text;
    std::snprintf(text.data(), text.size(), "byte 0x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    return text.data();
}

}  // namespace

// Only the last star is ever tried again. That suffices: a star earlier in the same segment that took more would only
// leave less to the later one; and since no star takes a separator, those of name and pattern pair off one by one, so
// what stands before the last of them is settled.
bool glob_matches(std::string_view pattern, std::string_view name, char separator) noexcept {
    const bool rest = pattern.ends_with("**");
    if (rest) pattern.remove_suffix(2);
    std::size_t p = 0;
    std::size_t n = 0;
    std::size_t after_star = pattern.npos;  // where the pattern goes on behind the last star
    std::size_t taken_to = 0;               // how far in the name that star reaches
    for (;;) {
        if (p == pattern.size() && (rest || n == name.size())) return true;
        if (p < pattern.size() && pattern[p] == '*') {
            after_star = ++p;
            taken_to = n;
        } else if (p < pattern.size() && n < name.size() && pattern[p] == name[n]) {
            ++p;
            ++n;
        } else {
            if (after_star == pattern.npos || taken_to == name.size() || name[taken_to] == separator) return false;
            p = after_star;
            n = ++taken_to;
        }
    }
}

std::optional<std::string> glob_error(std::string_view pattern, std::string_view kind) {
    const std::string what = std::string(kind) + " pattern";
    if (pattern.empty()) return "empty " + what + ", expected 1 to " + std::to_string(kMaxChannelName) + " bytes";
    if (pattern.size() > kMaxChannelName) {
        return what + " of " + std::to_string(pattern.size()) + " bytes, expected at most " +
               std::to_string(kMaxChannelName);
    }
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c != '*' && !is_channel_name({&c, 1})) {
            return what + " has " + printable(c) + " at position " + std::to_string(i + 1) +
                   ", expected only A-Z a-z 0-9 _ - . : / @ = and *";
        }
    }
    const auto pair = pattern.find("**");
    if (pair != pattern.npos && pair + 2 != pattern.size()) {
        return what + " \"" + std::string(pattern) +
               "\" has \"**\" before its end, expected \"**\" only as the last two characters";
    }
    return std::nullopt;
}

}  // namespace weft
