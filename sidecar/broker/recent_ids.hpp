// The message ids that publishers gave lately, so that a publication which is repeated is known for what it is.
//
// An id belongs to a channel and a publisher: the user; without a user name the connection; back ends, which publish
// without either, are one publisher. So nobody can take somebody else's ids, and ids that weftd makes aren't here at
// all: who claims one repeats nothing.
//
// A node learns ids from what is published at it, and from what its peers send it: as publications, or, with a history
// that it reads, as entries.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weft/position.hpp"
#include "weft/time.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

class RecentIds {
public:
    static constexpr std::size_t kMaxPerChannel = 10'000;
    /// What an id is taken to cost beyond the texts: two nodes of tables, two strings, a place in the channel's queue.
    static constexpr std::size_t kIdCost = 208;
    static constexpr std::size_t kMaxExpiredPerCall = 20'000;

    struct Settings {
        std::chrono::milliseconds window{600'000};      // an id is known for so long
        std::size_t max_bytes = std::size_t{64} << 20;  // beyond it the oldest go
    };
    /// Which publication had the id first.
    struct First {
        StreamId stream;
        std::uint64_t number;
    };

    explicit RecentIds(Settings settings) : settings_(settings) {}

    /// Null: not known. `publisher` is null for a back end. Allocates nothing. Valid until the next call.
    [[nodiscard]] const First* find(std::string_view channel, const v1::Publisher* publisher, std::string_view id);
    /// Remembers that this publication has the id, unless another has it: then that one is returned, else null.
    const First* note(std::string_view channel, const v1::Publisher* publisher, std::string_view id, First publication,
                      Instant now);
    void expire(Instant now);

    [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    struct Channel;
    struct Known {
        std::string key;
        First first;
        Instant since;
        Channel* channel;
    };
    using Order = std::list<Known>;  // oldest first
    struct Channel {
        std::string name;
        std::deque<Order::iterator> ids;  // oldest first
    };

    void make_key(std::string_view channel, const v1::Publisher* publisher, std::string_view id);
    void drop_oldest_of(Channel& channel);

    Settings settings_;
    Order order_;
    std::unordered_map<std::string_view, Order::iterator> by_key_;             // keys are Known::key
    std::unordered_map<std::string_view, std::unique_ptr<Channel>> channels_;  // keys are the names
    std::size_t bytes_ = 0;
    std::string key_;  // what make_key made
};

}  // namespace weft
