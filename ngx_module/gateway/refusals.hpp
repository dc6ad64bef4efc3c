// What was refused, and by which limit, over all workers: it lives in memory that they share.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft {

/// Written by all workers. A locked add each: what is refused is rare beside what is served, and costs an answer
/// anyway.
class SharedCounter {
public:
    void add() noexcept { value_.fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// Totals since the zone was made.
struct Refusals {
    SharedCounter messages;         // by weft_rate, for their number
    SharedCounter bytes;            // by weft_rate, for their bytes
    SharedCounter user;             // by weft_user_rate
    SharedCounter address;          // by weft_ip_rate
    SharedCounter channel;          // by a channel's rate
    SharedCounter size;             // connections closed by weft_message_size
    SharedCounter payload;          // by a channel's max_size
    SharedCounter members;          // by a channel's max_members
    SharedCounter subscriptions;    // by weft_subscriptions
    SharedCounter rpcs;             // by weft_pending_rpcs
    SharedCounter invalid;          // messages that were no commands: not JSON, nested too deep, …
    SharedCounter denied;           // by rules or grants
    SharedCounter origins;          // handshakes, by weft_origin
    SharedCounter first_subscribe;  // connections closed for want of a subscription in time
    SharedCounter abusers;          // connections closed since they went on against limits
};

}  // namespace weft
