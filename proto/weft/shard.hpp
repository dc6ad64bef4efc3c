// Which shard of a weftd has a channel, and where it listens. Workers and nodes have to agree on both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

inline constexpr unsigned kMaxShards = 16;  // of one node

/// The shard, from 0, that has `channel` where there are `shards` (1 to kMaxShards). It depends on the bytes of the
/// name alone: the same in every process, on every host, in every version. Some 1 ns a byte; none with one shard.
[[nodiscard]] unsigned shard_of(std::string_view channel, unsigned shards) noexcept;

/// Where shard number `shard` listens, or is dialed, when the node is at `address`, which is also where its first is:
/// the path with ".1" behind it for ipc://PATH, the port above for tcp://HOST:PORT and dns+tcp://. Nothing when there
/// is none, the port being over 65535, say, or the address of another kind.
[[nodiscard]] std::optional<std::string> shard_address(std::string_view address, unsigned shard);

}  // namespace weft
