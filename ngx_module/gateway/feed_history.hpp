// What a worker knows, beyond the feed, of a channel that keeps history.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weft/standing.hpp"

namespace weft {

class Connection;

/// A subscriber that doesn't share the others' bytes for the moment: it is sent what it missed, or it knows what they
/// don't, or the other way round.
struct Apart {
    Connection* connection;
    std::string id;  // of its command
    Standing standing;
    std::uint64_t request = 0;  // for a page, in flight
    bool echo = true;
    bool answered = false;  // its command was
    bool latest = false;    // it asked for nothing, and is given the newest
    bool replaying = true;  // live publications don't go to it yet: they will be in a page
};

struct FeedHistory {
    /// Subscribers of a channel that know what nobody else does, and stand apart only for that; one more, and it may be
    /// sent again what it has, should a lost node come back.
    static constexpr std::size_t kMaxBeyond = 256;

    Standing standing;          // of the feed; when `ahead`
    bool ahead = false;         // it has what the node lacks
    std::uint64_t request = 0;  // for a page, while the feed catches up after a loss of the link
    std::string node;           // the node's position when it answered last
    std::vector<Apart> apart;
};

}  // namespace weft
