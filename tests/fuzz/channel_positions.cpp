// Last-Event-ID, and "position" in the query of weft_sse, weft_stream and weft_poll: the first line; the others are the
// channels that the client asks for. What is taken must be what append() writes, also after a move to another worker.
#include "gateway/channel_positions.hpp"

#include <algorithm>
#include <cstdint>

#include "support/require.hpp"
#include "weft/channel.hpp"
#include "weft/position.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(bytes), size);
    const auto line = [&rest] {
        const std::string_view one = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(one.size() + 1, rest.size()));
        return one;
    };
    const std::string_view text = line();
    std::vector<std::string> channels;
    while (!rest.empty()) {
        const std::string name(line());
        if (weft::is_channel_name(name) && std::ranges::find(channels, name) == channels.end())
            channels.push_back(name);
    }

    weft::ChannelPositions moved;
    moved.restore(text, 4);
    std::string written;
    moved.append(written);
    REQUIRE(written.size() <= text.size() && std::ranges::count(written, ',') <= 3);

    const auto positions = weft::ChannelPositions::parse(text, channels);
    if (!positions) {
        REQUIRE(!positions.error().empty());
        return 0;
    }
    written.clear();
    positions->append(written);
    if (written.empty()) return 0;  // of no channel that is asked for
    const auto again = weft::ChannelPositions::parse(written, channels);
    moved.restore(written, channels.size());
    REQUIRE(again);
    for (const std::string& channel : channels) {
        const auto position = positions->find(channel);
        REQUIRE(again->find(channel) == position && moved.find(channel) == position);
        REQUIRE(!position || weft::Position::parse(*position));
    }
    return 0;
}
