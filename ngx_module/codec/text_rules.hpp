// What the texts in a command must keep to, in whatever spelling they come.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "codec/message.hpp"
#include "weft/channel.hpp"

namespace weft {

struct TextRule {
    enum class Alphabet : std::uint8_t {
        any,      // what the spelling carries, which is UTF-8
        visible,  // nothing that a log or a terminal could take for a command
        channel,
    };
    std::string_view name;  // of the field, as clients know it
    std::size_t min, max;   // bytes
    Alphabet alphabet;
    const char* form;  // what is expected, in words
};

namespace text {
inline constexpr TextRule kId{"id", 0, kMaxId, TextRule::Alphabet::any, "a string of at most 64 bytes"};
inline constexpr TextRule kChannel{"channel", 1, kMaxChannelName, TextRule::Alphabet::channel,
                                   "a string of 1 to 255 bytes"};
inline constexpr TextRule kMessageId{"message_id", 1, kMaxId, TextRule::Alphabet::visible,
                                     "a string of 1 to 64 bytes without control characters"};
inline constexpr TextRule kSignalName{"name", 1, kMaxSignalName, TextRule::Alphabet::any, "a string of 1 to 64 bytes"};
inline constexpr TextRule kMethod{"method", 1, kMaxMethod, TextRule::Alphabet::any, "a string of 1 to 128 bytes"};
inline constexpr TextRule kUser{"user", 1, 255, TextRule::Alphabet::any, "a string of 1 to 255 bytes"};
inline constexpr TextRule kNode{"node", 1, 255, TextRule::Alphabet::any, "a string of 1 to 255 bytes"};
inline constexpr TextRule kToken{"token", 1, kMaxToken, TextRule::Alphabet::any, "a string of 1 to 8192 bytes"};
inline constexpr TextRule kAfterMember{"after", 0, kMaxId, TextRule::Alphabet::any, "a string of at most 64 bytes"};
// Positions are looked at by those who can read them.
inline constexpr TextRule kPosition{"position", 0, SIZE_MAX, TextRule::Alphabet::any, "a string"};
inline constexpr TextRule kAfter{"after", 0, SIZE_MAX, TextRule::Alphabet::any, "a string"};
static_assert(kMaxChannelName == 255 && kMaxId == 64 && kMaxSignalName == 64 && kMaxMethod == 128 && kMaxToken == 8192,
              "in the texts above");
}  // namespace text

/// A sentence for the client: "channel" is empty: expected a string of 1 to 255 bytes.
inline std::string refusal(std::string_view field, const char* problem, const char* expected) {
    return '"' + std::string(field) + "\" is " + problem + ": expected " + expected;
}

/// What is wrong with `value`, as a sentence; empty: nothing.
std::string check_text(const TextRule& rule, std::string_view value);

/// At most 64 bytes of `text`, cut between characters, in quotes: as much of the input as an error message repeats.
std::string quoted(std::string_view text);

/// 16 hex digits, as client and member ids are written.
class HexId {
public:
    static constexpr std::size_t kSize = 16;  // digits

    explicit HexId(std::uint64_t id) noexcept { write(id, digits_); }

    /// Writes kSize digits to `out`.
    static void write(std::uint64_t id, char* out) noexcept {
        for (int i = kSize - 2; i >= 0; i -= 2, id >>= 8) std::memcpy(out + i, kPairs.data() + 2 * (id & 0xff), 2);
    }
    [[nodiscard]] std::string_view view() const noexcept { return {digits_, sizeof digits_}; }

    /// No value when `text` isn't 16 hex digits.
    [[nodiscard]] static std::optional<std::uint64_t> parse(std::string_view text) noexcept {
        std::uint64_t id = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, fault] = std::from_chars(text.data(), end, id, 16);
        if (text.size() != sizeof digits_ || fault != std::errc() || stop != end) return std::nullopt;
        return id;
    }

private:
    /// The digits of each byte: an id is written a byte at a time, in every publication.
    static constexpr auto kPairs = [] {
        std::array<char, 512> pairs{};
        for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = "0123456789abcdef"[i % 2 == 0 ? i / 32 : i / 2 % 16];
        return pairs;
    }();

    char digits_[kSize];
};

}  // namespace weft
