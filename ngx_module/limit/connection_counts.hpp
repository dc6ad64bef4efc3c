// How many connections there are of each address and each user, over all workers, in memory that the workers share.
//
// Each worker has a seat, and each pair of key and seat a record of its own with a count in it: the count of a key is
// the sum over its records. So what a worker counted is known apart from what others did, and leaves with its seat.
// Giving a seat up is one increment, of the seat's term: records of an older term count no more, and are freed when
// somebody comes across them.
//
// Dying in the middle. Callers hold a lock around every call, and a process may be killed while it does. Whoever takes
// the lock next calls rebuild() first. That is enough, because there are two sorts of things here:
//  - counts, terms and the keys of records. A worker writes them for its own seat only, so what its death leaves half
//    done is given up with the seat; and a record's key stands before its count does.
//  - the order in which records hang in buckets and in the list of free ones. It is anybody's to change, and rebuild()
//    makes it anew from the records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "limit/connection_key.hpp"
#include "limit/siphash.hpp"

namespace weft {

/// How many connections there may be; 0: any number.
struct ConnectionLimits {
    std::uint32_t total = 0;
    std::uint32_t per_address = 0;
    std::uint32_t per_user = 0;
    bool operator==(const ConnectionLimits&) const = default;
};

class ConnectionCounts {
public:
    /// What a counted connection keeps, to be taken off the count with.
    struct Hold {
        std::uint32_t address = kNone;  // a record
        std::uint32_t user = kNone;     // another
        bool counted = false;
    };

    enum class Verdict {
        admitted,
        total,        // this limit is reached
        per_address,  // so is this
        per_user,     // or this
        members,      // enter() found as many as may be
        full,         // there is no room for a record that a limit needs
    };

    /// Makes an empty one in `memory`, as large as fits; it owns nothing else. Null when not even a record does. All
    /// processes must have `memory` at the same address. `seats`: how many workers there can be. `secret`: for the
    /// table's order, so that clients can't choose keys that meet in one bucket.
    static ConnectionCounts* make(std::span<std::byte> memory, std::size_t seats, const SipKey& secret) noexcept;

    /// Counts a connection of the worker at `seat` in `hold` (which must be empty), unless a limit is reached; then
    /// nothing changes. A key that isn't given isn't counted, and no limit holds for it. A key that is given without a
    /// limit is counted while there is room.
    /// Costs two short walks in a hash table, a look at each seat for a limit of the total, and for a while after a
    /// seat was given up kSweep buckets to clean: 0.2 us for one key in a table of 1 MiB.
    Verdict admit(std::size_t seat, const std::optional<ConnectionKey>& address,
                  const std::optional<ConnectionKey>& user, const ConnectionLimits& limits, Hold& hold) noexcept;

    /// Counts the user of a connection that was admitted without one, in the same `hold`; total and address are no
    /// matter any more. Not admitted: `hold` stays what it was.
    Verdict admit_user(std::size_t seat, const ConnectionKey& user, const ConnectionLimits& limits,
                       Hold& hold) noexcept;

    /// Takes off the count what admit() put in `hold` at the same seat and since the last give_up() of it. `hold` is
    /// empty afterwards.
    void release(std::size_t seat, Hold& hold) noexcept;

    /// Counts one more of `key` by itself (a member of a channel) at the seat, unless there are `most` over all seats
    /// (0: any number), or no room for its record.
    Verdict enter(std::size_t seat, const ConnectionKey& key, std::uint32_t most) noexcept;
    /// One less of what enter() admitted.
    void leave(std::size_t seat, const ConnectionKey& key) noexcept;

    /// Forgets all that was counted at a seat. Once more does no harm.
    void give_up(std::size_t seat) noexcept;

    /// Puts buckets and the list of free records in order, whatever they were. Looks at every record that was ever
    /// used: that took 0.8 ms for the 29,067 of 1 MiB, and 0.3 s for a million, on a busy 2-core VM.
    void rebuild() noexcept;

    /// How many records count something (those of seats given up may be among them, for a while), and how many there
    /// can be. A key takes one for each worker that has connections of it.
    [[nodiscard]] std::size_t used() const noexcept { return used_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return records_.size(); }

private:
    static constexpr std::uint32_t kNone = 0xffffffff;
    static constexpr std::uint32_t kSweep = 64;  // buckets that a call cleans after a seat was given up

    struct Seat {
        std::uint32_t term = 0;
        std::uint32_t total = 0;
    };
    struct Record {
        std::uint8_t key[16];
        std::uint32_t next;  // in its bucket, or among the free
        std::uint32_t term;  // of the seat
        std::uint32_t count;
        std::uint16_t seat;
        ConnectionKey::Kind kind;
    };
    static_assert(sizeof(Record) == 32);
    struct Found {
        std::uint32_t count = 0;  // over all seats
        std::uint32_t own = kNone;
    };

    ConnectionCounts(std::span<Seat> seats, std::span<std::uint32_t> buckets, std::span<Record> records,
                     const SipKey& secret) noexcept;

    [[nodiscard]] bool stale(const Record& record) const noexcept {
        return record.count == 0 || record.term != seats_[record.seat].term;
    }
    std::uint32_t& bucket_of(const ConnectionKey& key) noexcept;
    std::uint32_t& bucket_of(const Record& record) noexcept;
    Found find(std::size_t seat, const ConnectionKey& key) noexcept;
    std::uint32_t count(std::size_t seat, const ConnectionKey& key, std::uint32_t own) noexcept;
    void uncount(std::uint32_t index) noexcept;
    std::uint32_t take_free() noexcept;
    void free(std::uint32_t index) noexcept;
    void clean(std::uint32_t& bucket) noexcept;
    void sweep(std::uint32_t buckets) noexcept;

    std::span<Seat> seats_;
    std::span<std::uint32_t> buckets_;  // first record of each, or kNone
    std::span<Record> records_;
    SipKey secret_;
    std::uint32_t fresh_ = 0;  // records from here on were never used
    std::uint32_t free_ = kNone;
    std::uint32_t used_ = 0;
    std::uint32_t swept_ = 0;     // the next bucket to clean
    std::uint32_t to_sweep_ = 0;  // buckets left that may hold records of seats given up
};

}  // namespace weft
