#include "gateway/channel_positions.hpp"

#include <algorithm>

#include "weft/position.hpp"

namespace weft {

std::optional<ChannelPosition> split_channel_position(std::string_view entry) noexcept {
    const std::size_t equals = entry.rfind('=');
    if (equals == std::string_view::npos) return std::nullopt;
    return ChannelPosition{entry.substr(0, equals), entry.substr(equals + 1)};
}

tl::expected<ChannelPositions, std::string> ChannelPositions::parse(std::string_view text,
                                                                    const std::vector<std::string>& channels) {
    const auto check = [](std::string_view position) -> std::optional<std::string> {
        if (auto parsed = Position::parse(position); !parsed) {
            return "the position is none that a server gave: " + parsed.error();
        }
        return std::nullopt;
    };
    ChannelPositions positions;
    if (channels.size() == 1 && text.find_first_of("=,") == std::string_view::npos) {
        if (auto wrong = check(text)) return tl::unexpected(std::move(*wrong));
        positions.set(channels.front(), text);
        return positions;
    }
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const auto entry = split_channel_position(text.substr(0, comma));
        if (!entry) {
            return tl::unexpected(
                std::string("the position is none that a server gave: expected CHANNEL=POSITION, separated by commas"));
        }
        if (auto wrong = check(entry->position)) return tl::unexpected(std::move(*wrong));
        if (std::ranges::find(channels, entry->channel) != channels.end()) {
            positions.set(entry->channel, entry->position);
        }
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return positions;
}

std::optional<std::string_view> ChannelPositions::find(std::string_view channel) const noexcept {
    const auto found = std::ranges::find(entries_, channel, &Entry::channel);
    if (found == entries_.end()) return std::nullopt;
    return found->position;
}

void ChannelPositions::set(std::string_view channel, std::string_view position) {
    const auto found = std::ranges::find(entries_, channel, &Entry::channel);
    if (found == entries_.end()) {
        entries_.push_back({std::string(channel), std::string(position)});
    } else {
        found->position = position;
    }
}

void ChannelPositions::append(std::string& out) const {
    for (const Entry& entry : entries_) {
        if (&entry != &entries_.front()) out += ',';
        out.append(entry.channel).append("=").append(entry.position);
    }
}

void ChannelPositions::restore(std::string_view text, std::size_t most) {
    entries_.clear();
    while (!text.empty() && entries_.size() < most) {
        const std::string_view one = text.substr(0, text.find(','));
        text.remove_prefix(std::min(one.size() + 1, text.size()));
        const auto entry = split_channel_position(one);
        if (entry) entries_.push_back({std::string(entry->channel), std::string(entry->position)});
    }
}

}  // namespace weft
