#include "weft/glob.hpp"

#include <algorithm>
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

/// Whether `{sub}` stands at `at`, as a segment of its own.
bool is_owner_segment(std::string_view pattern, std::size_t at, char separator) noexcept {
    const std::size_t end = at + kOwnerSegment.size();
    return pattern.substr(at).starts_with(kOwnerSegment) && (at == 0 || pattern[at - 1] == separator) &&
           (end == pattern.size() || pattern[end] == separator);
}

}  // namespace

// Only the last star is ever tried again. That suffices: a star earlier in the same segment that took more would only
// leave less to the later one; and since no star takes a separator, those of name and pattern pair off one by one, so
// what stands before the last of them is settled. An owner is a whole segment and never tried again.
bool glob_matches(std::string_view pattern, std::string_view name, char separator,
                  std::optional<std::string_view> owner) noexcept {
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
        } else if (p < pattern.size() && pattern[p] == kOwnerSegment.front()) {
            const std::string_view segment = name.substr(n, std::min(name.find(separator, n), name.size()) - n);
            if (segment.empty() || (owner && segment != *owner)) return false;
            p += kOwnerSegment.size();
            n += segment.size();
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

std::optional<std::string> glob_error(std::string_view pattern, std::string_view kind, char separator, bool owners) {
    const std::string what = std::string(kind) + " pattern";
    if (pattern.empty()) return "empty " + what + ", expected 1 to " + std::to_string(kMaxChannelName) + " bytes";
    if (pattern.size() > kMaxChannelName) {
        return what + " of " + std::to_string(pattern.size()) + " bytes, expected at most " +
               std::to_string(kMaxChannelName);
    }
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (owners && c == kOwnerSegment.front()) {
            if (!is_owner_segment(pattern, i, separator)) {
                return what + " has \"{\" at position " + std::to_string(i + 1) +
                       ", expected \"{sub}\" as a segment of its own, for example user:{sub}";
            }
            i += kOwnerSegment.size() - 1;
            continue;
        }
        if (c != '*' && !is_channel_name({&c, 1})) {
            return what + " has " + printable(c) + " at position " + std::to_string(i + 1) +
                   ", expected only A-Z a-z 0-9 _ - . : / @ = and *" + (owners ? ", or {sub}" : "");
        }
    }
    const auto pair = pattern.find("**");
    if (pair != pattern.npos && pair + 2 != pattern.size()) {
        return what + " \"" + std::string(pattern) +
               "\" has \"**\" before its end, expected \"**\" only as the last two characters";
    }
    // "chat**" would reach into the namespace "chatter".
    if (pair != pattern.npos && pair > 0 && pattern.find(separator) == pattern.npos) {
        return what + " \"" + std::string(pattern) + "\" has \"**\" in its first segment, expected \"" +
               std::string(pattern.substr(0, pair)) + separator + "**\" for what is below it, or \"**\" alone";
    }
    return std::nullopt;
}

}  // namespace weft
