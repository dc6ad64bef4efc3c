// The channels that a connection is put into when it is opened, without a word of its client.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace weft {

struct Entrance {
    struct Channel {
        std::string name;
        std::optional<std::string> position;  // to resume from
    };
    std::vector<Channel> channels;
    std::size_t unanswered = 0;  // of those that were asked for
    std::string home;            // where publications go that name no channel; empty: nowhere
};

}  // namespace weft
