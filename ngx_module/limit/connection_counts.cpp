#include "limit/connection_counts.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>

namespace weft {

namespace {

/// What stands above is stored before what stands below. A killed process needs no more than the compiler's word: its
/// stores reach memory in the end, and the lock's next owner sees them.
void in_order() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

ConnectionKey key_of(const std::uint8_t (&bytes)[16], ConnectionKey::Kind kind) noexcept {
    ConnectionKey key;
    std::memcpy(key.bytes.data(), bytes, sizeof(bytes));
    key.kind = kind;
    return key;
}

}  // namespace

ConnectionCounts* ConnectionCounts::make(std::span<std::byte> memory, std::size_t seats,
                                         const SipKey& secret) noexcept {
    static_assert(sizeof(ConnectionCounts) % alignof(Seat) == 0 && alignof(Record) == alignof(std::uint32_t));
    void* start = memory.data();
    std::size_t left = memory.size();
    const std::size_t fixed = sizeof(ConnectionCounts) + seats * sizeof(Seat);
    if (std::align(alignof(ConnectionCounts), fixed, start, left) == nullptr) return nullptr;
    // One bucket a record: a walk then meets one stranger on average.
    const std::size_t room =
        std::min<std::size_t>((left - fixed) / (sizeof(Record) + sizeof(std::uint32_t)), std::size_t{kNone} - 1);
    if (room == 0) return nullptr;
    auto* seat = reinterpret_cast<Seat*>(static_cast<std::byte*>(start) + sizeof(ConnectionCounts));
    std::uninitialized_fill_n(seat, seats, Seat{});
    auto* bucket = reinterpret_cast<std::uint32_t*>(seat + seats);
    std::uninitialized_fill_n(bucket, room, kNone);
    // Records are left alone until they are needed, so that a large zone takes memory only as it fills.
    auto* record = reinterpret_cast<Record*>(bucket + room);
    return new (start) ConnectionCounts({seat, seats}, {bucket, room}, {record, room}, secret);
}

ConnectionCounts::ConnectionCounts(std::span<Seat> seats, std::span<std::uint32_t> buckets, std::span<Record> records,
                                   const SipKey& secret) noexcept
    : seats_(seats), buckets_(buckets), records_(records), secret_(secret) {}

ConnectionCounts::Verdict ConnectionCounts::admit(std::size_t seat, const std::optional<ConnectionKey>& address,
                                                  const std::optional<ConnectionKey>& user,
                                                  const ConnectionLimits& limits, Hold& hold) noexcept {
    sweep(kSweep);
    if (limits.total != 0) {
        std::uint64_t total = 0;
        for (const Seat& one : seats_) total += one.total;
        if (total >= limits.total) return Verdict::total;
    }
    Found from;
    if (address) from = find(seat, *address);
    if (address && limits.per_address != 0 && from.count >= limits.per_address) return Verdict::per_address;
    Found of;
    if (user) of = find(seat, *user);
    if (user && limits.per_user != 0 && of.count >= limits.per_user) return Verdict::per_user;

    Hold taken;
    taken.counted = true;
    if (address) taken.address = count(seat, *address, from.own);
    if (user) taken.user = count(seat, *user, of.own);
    ++seats_[seat].total;
    if ((address && limits.per_address != 0 && taken.address == kNone) ||
        (user && limits.per_user != 0 && taken.user == kNone)) {
        release(seat, taken);
        return Verdict::full;
    }
    hold = taken;
    return Verdict::admitted;
}

ConnectionCounts::Verdict ConnectionCounts::admit_user(std::size_t seat, const ConnectionKey& user,
                                                       const ConnectionLimits& limits, Hold& hold) noexcept {
    if (!hold.counted || hold.user != kNone) return Verdict::admitted;
    const Found of = find(seat, user);
    if (limits.per_user != 0 && of.count >= limits.per_user) return Verdict::per_user;
    const std::uint32_t record = count(seat, user, of.own);
    if (limits.per_user != 0 && record == kNone) return Verdict::full;
    hold.user = record;
    return Verdict::admitted;
}

void ConnectionCounts::release(std::size_t seat, Hold& hold) noexcept {
    if (!hold.counted) return;
    if (hold.address != kNone) uncount(hold.address);
    if (hold.user != kNone) uncount(hold.user);
    --seats_[seat].total;
    hold = Hold();
}

ConnectionCounts::Verdict ConnectionCounts::enter(std::size_t seat, const ConnectionKey& key,
                                                  std::uint32_t most) noexcept {
    sweep(kSweep);
    const Found found = find(seat, key);
    if (most != 0 && found.count >= most) return Verdict::members;
    return count(seat, key, found.own) != kNone ? Verdict::admitted : Verdict::full;
}

void ConnectionCounts::leave(std::size_t seat, const ConnectionKey& key) noexcept {
    const Found found = find(seat, key);
    if (found.own != kNone) uncount(found.own);
}

void ConnectionCounts::give_up(std::size_t seat) noexcept {
    seats_[seat].total = 0;
    ++seats_[seat].term;  // it comes round after 4 billion workers: no record waits that long to be cleaned
    to_sweep_ = static_cast<std::uint32_t>(buckets_.size());
}

void ConnectionCounts::rebuild() noexcept {
    std::fill(buckets_.begin(), buckets_.end(), kNone);
    free_ = kNone;
    used_ = 0;
    to_sweep_ = 0;
    for (std::uint32_t index = 0; index < fresh_; ++index) {
        Record& record = records_[index];
        if (stale(record)) {
            record.count = 0;
            record.next = free_;
            free_ = index;
        } else {
            std::uint32_t& bucket = bucket_of(record);
            record.next = bucket;
            bucket = index;
            ++used_;
        }
    }
}

std::uint32_t& ConnectionCounts::bucket_of(const ConnectionKey& key) noexcept {
    char bytes[sizeof(key.bytes) + 1];
    std::memcpy(bytes, key.bytes.data(), sizeof(key.bytes));
    bytes[sizeof(key.bytes)] = static_cast<char>(key.kind);
    // The upper half of the product maps 32 bits to the buckets, evenly and without a division.
    const std::uint64_t hash = siphash(secret_, {bytes, sizeof(bytes)}) >> 32;
    return buckets_[hash * buckets_.size() >> 32];
}

std::uint32_t& ConnectionCounts::bucket_of(const Record& record) noexcept {
    return bucket_of(key_of(record.key, record.kind));
}

ConnectionCounts::Found ConnectionCounts::find(std::size_t seat, const ConnectionKey& key) noexcept {
    std::uint32_t& bucket = bucket_of(key);
    clean(bucket);
    Found found;
    for (std::uint32_t index = bucket; index != kNone; index = records_[index].next) {
        const Record& record = records_[index];
        if (record.kind != key.kind || std::memcmp(record.key, key.bytes.data(), sizeof(record.key)) != 0) continue;
        found.count += record.count;
        if (record.seat == seat) found.own = index;
    }
    return found;
}

/// One more; `own` is the seat's record for the key, or kNone for a new one. Returns it, kNone when there is no room.
std::uint32_t ConnectionCounts::count(std::size_t seat, const ConnectionKey& key, std::uint32_t own) noexcept {
    if (own != kNone) {
        ++records_[own].count;
        return own;
    }
    const std::uint32_t index = take_free();
    if (index == kNone) return kNone;
    Record& record = records_[index];
    std::memcpy(record.key, key.bytes.data(), sizeof(record.key));
    record.kind = key.kind;
    record.seat = static_cast<std::uint16_t>(seat);
    record.term = seats_[seat].term;
    in_order();
    record.count = 1;
    std::uint32_t& bucket = bucket_of(key);
    record.next = bucket;
    bucket = index;
    ++used_;
    return index;
}

void ConnectionCounts::uncount(std::uint32_t index) noexcept {
    Record& record = records_[index];
    --record.count;
    if (record.count == 0) clean(bucket_of(record));
}

std::uint32_t ConnectionCounts::take_free() noexcept {
    while (free_ == kNone && fresh_ == records_.size() && to_sweep_ > 0) sweep(kSweep);
    if (free_ != kNone) {
        const std::uint32_t index = free_;
        free_ = records_[index].next;
        return index;
    }
    if (fresh_ == records_.size()) return kNone;
    const std::uint32_t index = fresh_;
    records_[index].count = 0;  // for rebuild()
    records_[index].seat = 0;
    in_order();
    ++fresh_;
    return index;
}

void ConnectionCounts::free(std::uint32_t index) noexcept {
    Record& record = records_[index];
    record.count = 0;
    in_order();
    record.next = free_;
    free_ = index;
    --used_;
}

/// Frees the records of a bucket that count no more.
void ConnectionCounts::clean(std::uint32_t& bucket) noexcept {
    for (std::uint32_t* link = &bucket; *link != kNone;) {
        const std::uint32_t index = *link;
        if (stale(records_[index])) {
            *link = records_[index].next;
            free(index);
        } else {
            link = &records_[index].next;
        }
    }
}

void ConnectionCounts::sweep(std::uint32_t buckets) noexcept {
    for (; buckets > 0 && to_sweep_ > 0; --buckets, --to_sweep_) {
        clean(buckets_[swept_]);
        swept_ = swept_ + 1 == buckets_.size() ? 0 : swept_ + 1;
    }
}

}  // namespace weft
