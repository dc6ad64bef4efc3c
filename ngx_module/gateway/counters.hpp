// What a worker counts. It lives in memory that all workers share, so that any of them can report the sum.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft {

/// Written by one worker only, read by all: so a plain load and store will do, without the price of a locked add.
class Counter {
public:
    void add(std::uint64_t n = 1) noexcept { value_.store(value() + n, std::memory_order_relaxed); }
    void subtract(std::uint64_t n = 1) noexcept { value_.store(value() - n, std::memory_order_relaxed); }
    void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

struct Counters {
    // Gauges: gone with the worker.
    Counter active;         // connections
    Counter subscriptions;  // of connections to channels
    Counter channels;       // with at least one subscriber here
    Counter pending;        // requests that weftd has not answered yet
    Counter link_up;        // 1 when the links to all shards of weftd have a session
    Counter blocked;        // connections whose sockets take no more for now
    Counter paused;         // connections that are not read for now, since weftd doesn't keep up
    // Totals: kept when the worker ends.
    Counter accepted;      // connections
    Counter refused;       // upgraded and closed at once for their credentials
    Counter banned;        // upgraded and closed at once with 4009
    Counter revoked;       // connections closed, or taken out of a channel, by an operator or back end
    Counter too_many;      // upgraded and closed at once with 4015
    Counter messages_in;   // client messages
    Counter messages_out;  // frames queued to clients
    Counter bytes_in;      // of sockets
    Counter bytes_out;
    Counter publications_in;   // accepted from clients and back ends
    Counter publications_out;  // received from weftd
    Counter errors;            // error frames
    Counter rate_limited;      // client messages
    Counter slow_closed;       // connections closed with 4014
    Counter dropped;           // frames given up for slow readers, with a gap told
    Counter signals_dropped;   // of clients, since much waited for weftd
    Counter conflated;         // frames given up for slow readers, since newer ones came
    Counter timed_out;         // connections closed for silence
    Counter expired;           // connections closed with 4012, their tickets being over
    // Bytes of compressed messages, once each however many clients share one.
    Counter compressed_in;   // as they came
    Counter inflated_in;     // as they were meant
    Counter deflated_out;    // before
    Counter compressed_out;  // after, with the frame's header

    void count_compressed(std::size_t before, std::size_t after) noexcept {
        deflated_out.add(before);
        compressed_out.add(after);
    }
};

/// The gauges and the totals, for code that treats each kind alike.
inline constexpr Counter Counters::*kGauges[] = {
    &Counters::active,  &Counters::subscriptions, &Counters::channels, &Counters::pending,
    &Counters::link_up, &Counters::blocked,       &Counters::paused,
};
inline constexpr Counter Counters::*kTotals[] = {
    &Counters::accepted,      &Counters::refused,         &Counters::messages_in,     &Counters::messages_out,
    &Counters::bytes_in,      &Counters::bytes_out,       &Counters::publications_in, &Counters::publications_out,
    &Counters::errors,        &Counters::rate_limited,    &Counters::slow_closed,     &Counters::timed_out,
    &Counters::compressed_in, &Counters::inflated_in,     &Counters::deflated_out,    &Counters::compressed_out,
    &Counters::dropped,       &Counters::signals_dropped, &Counters::conflated,       &Counters::too_many,
    &Counters::banned,        &Counters::revoked,         &Counters::expired,
};

}  // namespace weft
