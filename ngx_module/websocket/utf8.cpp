#include "websocket/utf8.hpp"

#include <cstring>

namespace weft::websocket {
namespace {

// The state between calls is what the next byte must be: bits 0-7 how many bytes the character still lacks, bits 8-15
// and 16-23 the lowest and the highest value that the next of them may have. Only the second byte of a character has
// bounds other than 80..BF; they are what keeps out overlong forms, surrogates and what lies beyond U+10FFFF.
constexpr std::uint32_t expect(std::uint32_t missing, std::uint32_t low, std::uint32_t high) {
    return missing | low << 8 | high << 16;
}

constexpr std::uint32_t kAnyTail = expect(0, 0x80, 0xBF);
constexpr std::uint32_t kFailed = expect(0xFF, 0xFF, 0x00);  // no byte lies between these bounds
constexpr std::uint64_t kHighBits = 0x8080808080808080;

// What must follow a first byte above 7F (RFC 3629 §4).
std::uint32_t after(std::uint8_t first) noexcept {
    if (first < 0xC2) return kFailed;  // a tail byte, or the overlong C0 and C1
    if (first < 0xE0) return expect(1, 0x80, 0xBF);
    if (first == 0xE0) return expect(2, 0xA0, 0xBF);
    if (first == 0xED) return expect(2, 0x80, 0x9F);
    if (first < 0xF0) return expect(2, 0x80, 0xBF);
    if (first == 0xF0) return expect(3, 0x90, 0xBF);
    if (first < 0xF4) return expect(3, 0x80, 0xBF);
    if (first == 0xF4) return expect(3, 0x80, 0x8F);
    return kFailed;
}

std::uint64_t load(const std::uint8_t* at) noexcept {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
}

const std::uint8_t* skip_ascii(const std::uint8_t* at, const std::uint8_t* end) noexcept {
    while (end - at >= 32) {
        if (((load(at) | load(at + 8) | load(at + 16) | load(at + 24)) & kHighBits) != 0) break;
        at += 32;
    }
    while (end - at >= 8 && (load(at) & kHighBits) == 0) at += 8;
    while (at != end && *at < 0x80) ++at;
    return at;
}

}  // namespace

bool Utf8Checker::feed(std::string_view bytes) noexcept {
    if (state_ == kFailed) return false;
    const auto* at = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const auto* const end = at + bytes.size();
    std::uint32_t state = state_;
    for (;;) {
        for (; state != 0; ++at) {
            if (at == end) {
                state_ = state;
                return true;
            }
            if (*at < (state >> 8 & 0xFF) || *at > state >> 16) {
                state_ = kFailed;
                return false;
            }
            const std::uint32_t missing = (state & 0xFF) - 1;
            state = missing == 0 ? 0 : missing | kAnyTail;
        }
        // Text that isn't Latin has few ASCII runs longer than a blank: don't start the wide loop for one.
        if (at != end && *at < 0x80) at = skip_ascii(at, end);
        if (at == end) {
            state_ = 0;
            return true;
        }
        state = after(*at++);
        if (state == kFailed) {
            state_ = kFailed;
            return false;
        }
    }
}

bool is_utf8(std::string_view text) noexcept {
    Utf8Checker checker;
    return checker.feed(text) && checker.complete();
}

}  // namespace weft::websocket
