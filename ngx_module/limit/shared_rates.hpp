// Rates of users, addresses and channels over all workers, in memory that the workers share, without a lock.
//
// A key's state is one 64-bit word: a tag of the key's hash, and the time until which what it did so far is paid for
// (the generic cell rate algorithm, ITU-T I.371 annex A, "virtual scheduling"). A word changes by one compare-exchange,
// so a worker that is killed leaves either the old state or the new one, and nobody waits for anybody.
//
// A word whose time has passed says nothing any more: its key's bucket is full. So a key needs room only while it is in
// debt, which is burst / rate seconds at most after its last message. A hash leads to a set of kWays words, one line of
// the cache. When a set is full of others in debt, the one that is least so is forgotten (and counted): under such a
// load limits get looser, never stricter.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "limit/siphash.hpp"
#include "limit/token_bucket.hpp"

namespace weft {

class SharedRates {
public:
    static constexpr std::size_t kWays = 8;           // words in a set: 64 bytes
    static constexpr double kMaxPerSecond = 100'000;  // a rate beyond is taken for this: ticks are no finer

    enum class Kind : char { user = 'u', address = 'a', channel = 'c' };

    /// What a key goes by. Never 0.
    using Key = std::uint64_t;

    /// Makes an empty one in `memory`, as large as fits, aligned to 64 bytes; null when not even one set does. It owns
    /// nothing else, and may be used at different addresses by different processes, as long as each sees it whole.
    static SharedRates* make(std::span<std::byte> memory, const SipKey& secret) noexcept;

    /// Keys are hashed with a secret, so that nobody can choose names that meet in one set. About 30 ns.
    [[nodiscard]] Key key(Kind kind, std::string_view name) const noexcept;

    /// Takes a token of `key`. Zero: allowed. Otherwise nothing is taken, and the result says how long until one is
    /// there, at least 1 ms. Lock-free. Time is one clock of the machine (monotonic, milliseconds); workers may be some
    /// milliseconds apart. Costs one line of the cache and one compare-exchange: some 10 ns when nobody else is at it.
    std::chrono::milliseconds take(Key key, const Rate& rate, Instant now) noexcept;

    /// How many keys there is room for, and how many in debt had to be forgotten so far.
    [[nodiscard]] std::size_t capacity() const noexcept { return sets_ * kWays; }
    [[nodiscard]] std::uint64_t forgotten() const noexcept { return forgotten_.load(std::memory_order_relaxed); }

private:
    using Word = std::atomic<std::uint64_t>;
    static_assert(Word::is_always_lock_free);

    SharedRates(std::size_t sets, std::size_t offset, const SipKey& secret) noexcept
        : sets_(sets), offset_(offset), secret_(secret) {}
    Word* set_of(Key key) noexcept;

    std::size_t sets_;
    std::size_t offset_;  // of the words, from here
    SipKey secret_;
    std::atomic<std::uint64_t> forgotten_{0};
};

}  // namespace weft
