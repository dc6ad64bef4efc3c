#include "limit/used_tickets.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

namespace weft {

namespace {

/// Rounded up, so that nothing is forgotten too early.
std::uint32_t expiry_of(WallTime until) noexcept {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(until.time_since_epoch()).count();
    constexpr std::int64_t kLast = std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(seconds, 0, kLast));
}

std::uint32_t seconds_of(WallTime now) noexcept {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(seconds, 0, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

UsedTickets* UsedTickets::make(std::span<std::byte> memory, const std::array<SipKey, 2>& secrets) noexcept {
    static_assert(sizeof(UsedTickets) % alignof(Set) == 0);
    void* start = memory.data();
    std::size_t left = memory.size();
    if (std::align(alignof(UsedTickets), sizeof(UsedTickets) + sizeof(Set), start, left) == nullptr) return nullptr;
    const std::size_t count = std::min<std::size_t>((left - sizeof(UsedTickets)) / sizeof(Set), UINT32_MAX);
    auto* sets = reinterpret_cast<Set*>(static_cast<std::byte*>(start) + sizeof(UsedTickets));
    std::uninitialized_fill_n(sets, count, Set{});
    return new (start) UsedTickets({sets, count}, secrets);
}

UsedTickets::Verdict UsedTickets::use(std::span<const std::uint8_t> scope, std::string_view id, WallTime until,
                                      WallTime now) noexcept {
    if (scope.size() + id.size() > kMaxName) return Verdict::full;
    std::array<char, kMaxName> name;
    std::memcpy(name.data(), scope.data(), scope.size());
    std::memcpy(name.data() + scope.size(), id.data(), id.size());
    const std::string_view whole(name.data(), scope.size() + id.size());
    const std::uint64_t words[2] = {siphash(secrets_[0], whole), siphash(secrets_[1], whole)};
    std::uint32_t hash[4];
    static_assert(sizeof(hash) == sizeof(words));
    std::memcpy(hash, words, sizeof(hash));

    const std::uint32_t second = seconds_of(now);
    Place* free = nullptr;
    std::size_t most_free = 0;
    for (const std::uint64_t word : words) {
        // The upper half of the product maps 32 bits to the sets, evenly and without a division.
        Set& set = sets_[(word >> 32) * sets_.size() >> 32];
        Place* found = nullptr;
        std::size_t count = 0;
        for (Place& place : set.places) {
            if (place.expires <= second) {
                ++count;
                found = &place;
            } else if (std::memcmp(place.hash, hash, sizeof(hash)) == 0) {
                return Verdict::used;
            }
        }
        if (count > most_free) {
            most_free = count;
            free = found;
        }
    }
    if (free == nullptr) return Verdict::full;
    const std::uint32_t expires = expiry_of(until);
    if (expires <= second) return Verdict::used;  // nobody should have accepted it
    std::memcpy(free->hash, hash, sizeof(hash));
    // A killed process needs no more than the compiler's word: its stores reach memory in the end, and the lock's next
    // owner sees them.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::atomic_ref(free->expires).store(expires, std::memory_order_relaxed);
    return Verdict::fresh;
}

std::size_t UsedTickets::used(WallTime now) const noexcept {
    const std::uint32_t second = seconds_of(now);
    std::size_t count = 0;
    for (Set& set : sets_) {
        for (Place& place : set.places) {
            count += std::atomic_ref(place.expires).load(std::memory_order_relaxed) > second ? 1 : 0;
        }
    }
    return count;
}

}  // namespace weft
