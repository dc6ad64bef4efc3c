// Answers about a node and its channels, of which several are put together: those of a node's shards, and of nodes.
#pragma once

#include <cstdint>
#include <span>

#include "weft/v1/link.pb.h"

namespace weft {

/// One page of what all of `pages` say, which answer the same question, with `limit` channels at most. Subscribers of a
/// channel are added up. Only names that all of them have looked at are in it, and `horizon` is the last of these.
v1::ChannelsPage merge_channels(std::span<const v1::ChannelsPage> pages, std::size_t limit);

/// What shards say of their nodes, one entry a node.
v1::NodesPage merge_nodes(std::span<const v1::NodesPage> pages);

}  // namespace weft
