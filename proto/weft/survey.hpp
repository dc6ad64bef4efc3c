// Answers about a node, its channels and its clients, of which several are put together: those of a node's shards and
// workers, and of nodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/v1/link.pb.h"

namespace weft {

/// One page of what all of `pages` say, which answer the same question, with `limit` channels at most. Subscribers of a
/// channel are added up. Only names that all of them have looked at are in it, and `horizon` is the last of these.
v1::ChannelsPage merge_channels(std::span<const v1::ChannelsPage> pages, std::size_t limit);

/// The same of connections, `limit` at most, 1 at least. One that several pages have is in it once.
v1::ClientsPage merge_clients(std::span<const v1::ClientsPage> pages, std::size_t limit);

/// What shards say of their nodes, one entry a node.
v1::NodesPage merge_nodes(std::span<const v1::NodesPage> pages);

// Of frames of these kinds, and of the questions that they answer.

/// The number that question and answer go by; 0 for a frame of another kind.
[[nodiscard]] std::uint64_t survey_request(const v1::Frame& frame);
void set_survey_request(v1::Frame& frame, std::uint64_t request);
/// Puts `page` into `all`, which may be empty. One of another kind is ignored.
void merge_page(v1::Frame& all, const v1::Frame& page, std::size_t limit);

}  // namespace weft
