#include "gateway/shard_link.hpp"

#include <utility>

#include "weft/shard.hpp"

namespace weft {

namespace {

v1::Hello hello_to(v1::Hello hello, unsigned shard, unsigned shards) {
    hello.set_shard(shard);
    hello.set_shards(shards);
    hello.set_max_shards(kMaxShards);
    hello.set_clients(true);
    return hello;
}

}  // namespace

ShardLink::ShardLink(unsigned shard, unsigned shards, std::uint64_t life, v1::Hello hello, LinkTimings timings,
                     std::function<std::uint64_t()> random, Events& events)
    : shard_(shard),
      life_(life),
      events_(events),
      dialer_(hello_to(std::move(hello), shard, shards), timings, std::move(random), *this) {}

}  // namespace weft
