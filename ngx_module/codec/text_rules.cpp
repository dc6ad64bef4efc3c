#include "codec/text_rules.hpp"

#include <algorithm>

namespace weft {

namespace {

constexpr std::size_t kMaxQuoted = 64;

bool has_control(std::string_view text) noexcept {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

std::string check_text(const TextRule& rule, std::string_view value) {
    if (value.empty() && rule.min > 0) return refusal(rule.name, "empty", rule.form);
    if (value.size() > rule.max) return refusal(rule.name, "too long", rule.form);
    switch (rule.alphabet) {
        case TextRule::Alphabet::any: return {};
        case TextRule::Alphabet::visible:
            return has_control(value) ? refusal(rule.name, "not usable", rule.form) : std::string();
        case TextRule::Alphabet::channel:
            if (is_channel_name(value)) return {};
            return refusal(rule.name, "not a channel name", "1 to 255 bytes of A-Z a-z 0-9 _ - . : / @ =");
    }
    return {};
}

std::string quoted(std::string_view text) {
    if (text.size() <= kMaxQuoted) return '"' + std::string(text) + '"';
    std::size_t size = kMaxQuoted;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    return '"' + std::string(text.substr(0, size)) + "…\"";
}

}  // namespace weft
