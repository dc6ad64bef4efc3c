// One node, several shards: what each of them gets of the node's configuration, and who may talk to which.
#pragma once

#include <string>

#include "config.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

/// Bytes that may wait for one link, however many links share limits.queue: what a link is told when it comes up has
/// room in it (Revocations::kMax decisions about clients, 5.3 MiB at most).
inline constexpr std::uint64_t kMinLinkQueue = 8ULL << 20;

/// The configuration of one of `node.shards` shards: its own addresses (weft/shard.hpp), and its part of what the
/// node may use. Only when wrong_shards() finds nothing.
Config shard_config(const Config& node, unsigned shard);

/// What is wrong with the addresses when there are as many shards as `node` says: one has no address of its own. Empty
/// when all is well.
std::string wrong_shards(const Config& node);

/// Why who says `hello` is at the wrong shard, or goes by another number of shards than the node that says `welcome`;
/// empty when all is well. Both ends of a link may ask. Who says nothing of shards has one.
std::string wrong_shard(const v1::Hello& hello, const v1::Welcome& welcome);

}  // namespace weft
