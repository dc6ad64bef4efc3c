#include "node_status.hpp"

#include <algorithm>

namespace weft {
namespace {

void add(Broker::Counts& sum, const Broker::Counts& counts) {
    constexpr std::uint64_t Broker::Counts::*kAll[] = {
        &Broker::Counts::channels,        &Broker::Counts::workers,
        &Broker::Counts::peers_in,        &Broker::Counts::peers_out,
        &Broker::Counts::published,       &Broker::Counts::delivered,
        &Broker::Counts::signals,         &Broker::Counts::rpcs,
        &Broker::Counts::revocations,     &Broker::Counts::gaps,
        &Broker::Counts::ignored,         &Broker::Counts::histories,
        &Broker::Counts::history_bytes,   &Broker::Counts::evicted,
        &Broker::Counts::members,         &Broker::Counts::members_refused,
        &Broker::Counts::repeated,        &Broker::Counts::unacknowledged,
        &Broker::Counts::awaiting,        &Broker::Counts::ids,
        &Broker::Counts::recovered,       &Broker::Counts::unrecovered,
        &Broker::Counts::signals_dropped,
    };
    static_assert(sizeof(Broker::Counts) == std::size(kAll) * sizeof(std::uint64_t), "each of them is added");
    for (const auto count : kAll) sum.*count += counts.*count;
}

/// A peer has a link to each shard, and is one all the same.
void add(std::vector<NodeStatus::Follower>& all, const NodeStatus::Follower& follower) {
    const auto known = std::ranges::find(all, follower.node, &NodeStatus::Follower::node);
    if (known == all.end()) return all.push_back(follower);
    known->unacknowledged += follower.unacknowledged;
    known->lag = std::max(known->lag, follower.lag);
}

}  // namespace

NodeStatus status_of_all(std::span<const NodeStatus> shards) {
    NodeStatus all = shards.front();
    all.shards.assign(1, all.counts);
    for (const NodeStatus& shard : shards.subspan(1)) {
        all.filled = all.filled && shard.filled;
        all.stopping = all.stopping || shard.stopping;
        all.at = std::min(all.at, shard.at);
        add(all.counts, shard.counts);
        all.workers = std::min(all.workers, shard.workers);
        all.worker_bytes += shard.worker_bytes;
        all.peer_in_bytes += shard.peer_in_bytes;
        all.history_max_bytes += shard.history_max_bytes;
        all.peers.insert(all.peers.end(), shard.peers.begin(), shard.peers.end());
        for (const NodeStatus::Follower& follower : shard.followers) add(all.followers, follower);
        all.shards.push_back(shard.counts);
        if (all.back_ends && shard.back_ends) {  // calls of rpc and services are all the first one's
            all.back_ends->held += shard.back_ends->held;
            all.back_ends->held_bytes += shard.back_ends->held_bytes;
        }
    }
    return all;
}

}  // namespace weft
