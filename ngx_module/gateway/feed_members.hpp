// What a worker knows, beyond the feed, of a channel with presence.
#pragma once

#include <cstdint>

#include "gateway/channel_rules.hpp"

namespace weft {

struct FeedMembers {
    const ChannelRule* rule;
    std::uint64_t count = 0;        // of the channel's members on all nodes, as weftd said last
    std::uint32_t deaf = 0;         // subscribers who aren't told of members: their grants don't say so
    std::uint32_t unannounced = 0;  // on a new link: so many subscribers, from the first on, weftd hasn't been told of
    bool recount = false;           // weftd is to be told how many there are
    bool announcing = false;        // in the gateway's list of feeds with something to announce
    explicit FeedMembers(const ChannelRule& channel_rule) : rule(&channel_rule) {}
};

}  // namespace weft
