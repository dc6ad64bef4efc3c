// Where a client stands in each of its channels, as one text: what it hands back to go on from there.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace weft {

/// The text is "channel=position", separated by commas. Of one channel alone the position is enough.
class ChannelPositions {
public:
    ChannelPositions() = default;

    /// Reads a text for these channels; what it says of others is left out. The error is a sentence.
    static tl::expected<ChannelPositions, std::string> parse(std::string_view text,
                                                             const std::vector<std::string>& channels);

    [[nodiscard]] std::optional<std::string_view> find(std::string_view channel) const noexcept;
    void set(std::string_view channel, std::string_view position);

    /// Channels in the order in which they were first set.
    void append(std::string& out) const;
    /// Takes in what append() wrote, the first `most` channels of it, in place of what is known. What is no entry is
    /// left out.
    void restore(std::string_view text, std::size_t most);

private:
    struct Entry {
        std::string channel;
        std::string position;
    };
    std::vector<Entry> entries_;
};

/// "channel=position" of one entry.
struct ChannelPosition {
    std::string_view channel;
    std::string_view position;
};

/// Takes an entry apart: a channel's name may have a "=", a position has none. No value: there is none in it.
std::optional<ChannelPosition> split_channel_position(std::string_view entry) noexcept;

}  // namespace weft
