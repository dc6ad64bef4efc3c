// What a node says of itself to those who watch it: a copy, so that it can be read in another thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "broker/broker.hpp"
#include "call/back_ends.hpp"
#include "call/hook_lane.hpp"
#include "weft/time.hpp"

namespace weft {

struct NodeStatus {
    struct Peer {              // one that this node dials
        std::string endpoint;  // as in mesh.peers
        std::string node;      // its name, once it has been reached
        bool up = false;
        std::uint64_t queued = 0;  // bytes that wait for it
    };
    struct Follower {                      // a peer that dialed this node, and is sent what begins here
        std::string node;                  // its name
        std::uint64_t unacknowledged = 0;  // frames that it has not confirmed yet
        std::chrono::milliseconds lag{};   // how long the oldest of these has waited, at least
    };
    std::string node;
    bool filled = false;    // its history is what its peers have, as far as they could be reached in time
    bool stopping = false;  // it was told to end
    Instant at{};           // the turn of the event loop that says so; of several, the oldest
    Broker::Counts counts{};
    std::uint64_t workers = 0;            // nginx workers (and tools); each has a link to every shard
    std::uint64_t worker_bytes = 0;       // that wait for workers
    std::uint64_t peer_in_bytes = 0;      // that wait for peers that dialed
    std::uint64_t history_max_bytes = 0;  // history.max_bytes
    std::vector<Peer> peers;
    std::vector<Follower> followers;
    struct Webhook {
        Hook hook;
        HookLane::Counts counts;
    };
    std::vector<Webhook> hooks;                 // those that are configured
    std::optional<BackEnds::Counts> back_ends;  // none without hooks and services
    std::vector<Broker::Counts> shards;         // of a node: of each of its shards
};

/// Of a node, from what its shards say of themselves (at least one).
NodeStatus status_of_all(std::span<const NodeStatus> shards);

}  // namespace weft
