#include "gateway/shard_link.hpp"

#include <utility>

#include "weft/shard.hpp"

namespace weft {

namespace {

v1::Hello hello_to(v1::Hello hello, unsigned shard, unsigned shards) {
    hello.set_shard(shard);
    hello.set_shards(shards);
    hello.set_max_shards(kMaxShards);
    return hello;
}

}  // namespace

std::uint64_t LinkRequests::add(LinkRequest request) {
    request.open = true;
    requests_.push_back(std::move(request));
    return first_ + requests_.size() - 1;
}

LinkRequest LinkRequests::take(std::uint64_t number) {
    if (number < first_ || number - first_ >= requests_.size()) return {};
    LinkRequest request = std::move(requests_[number - first_]);
    if (!request.open) return {};
    requests_[number - first_] = LinkRequest();
    while (!requests_.empty() && !requests_.front().open) {
        requests_.pop_front();
        ++first_;
    }
    return request;
}

LinkRequest LinkRequests::take_first() {
    LinkRequest request = std::move(requests_.front());
    requests_.pop_front();
    ++first_;
    return request;
}

ShardLink::ShardLink(unsigned shard, unsigned shards, std::uint64_t life, v1::Hello hello, LinkTimings timings,
                     std::function<std::uint64_t()> random, Events& events)
    : shard_(shard),
      life_(life),
      events_(events),
      dialer_(hello_to(std::move(hello), shard, shards), timings, std::move(random), *this) {}

}  // namespace weft
