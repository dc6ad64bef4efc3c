#include "weft/channel.hpp"

#include <algorithm>
#include <array>

#include "weft/glob.hpp"

namespace weft {
namespace {

constexpr auto kNameBytes = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/@=")) {
        table[static_cast<unsigned char>(c)] = true;
    }
    return table;
}();

}  // namespace

bool is_channel_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= kMaxChannelName &&
           std::ranges::all_of(name, [](char c) { return kNameBytes[static_cast<unsigned char>(c)]; });
}

tl::expected<ChannelPattern, std::string> ChannelPattern::parse(std::string_view text) {
    if (auto error = glob_error(text, "channel", ':', true)) return tl::unexpected(std::move(*error));
    return ChannelPattern(std::string(text));
}

bool ChannelPattern::matches(std::string_view name) const noexcept {
    return glob_matches(text_, name, ':');
}

bool ChannelPattern::matches(std::string_view name, std::string_view user) const noexcept {
    return glob_matches(text_, name, ':', user);
}

bool ChannelPattern::has_owner() const noexcept {
    return text_.find(kOwnerSegment) != std::string::npos;
}

tl::expected<MethodPattern, std::string> MethodPattern::parse(std::string_view text) {
    if (auto error = glob_error(text, "method", '.', false)) return tl::unexpected(std::move(*error));
    return MethodPattern(std::string(text));
}

bool MethodPattern::matches(std::string_view method) const noexcept {
    return glob_matches(text_, method, '.');
}

}  // namespace weft
