// Which tickets have been used that may be used only once, over all workers, in memory that the workers share.
//
// A ticket is remembered by 128 bits of a keyed hash, until nobody would accept it any more, in 20 bytes. There are
// sets of kWays places, and a ticket may stand in either of two of them, which its hash picks: in the emptier one. So
// there are no lists that could be found half changed, nothing is ever moved, and what has expired is a free place
// without anybody sweeping. The price is that a table calls itself full when two sets of a ticket are, at 90 to 95 % of
// its capacity, rather than at the last place (UsedTickets.TakesMostOfItsCapacity).
//
// Dying in the middle. Callers hold a lock around every call, and a process may be killed while it does. A place counts
// by its expiry alone, which is written last, in one store: a place is either what it was or all that it is to be.
// There is nothing to repair.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "limit/siphash.hpp"
#include "weft/time.hpp"

namespace weft {

class UsedTickets {
public:
    static constexpr std::size_t kWays = 32;

    enum class Verdict {
        fresh,  // it is remembered now
        used,   // it was before
        full,   // there is no room to remember it: it must not be accepted
    };

    /// Makes an empty one in `memory`, as large as fits; it owns nothing else. Null when not even one set does. All
    /// processes must have `memory` at the same address. `secrets`: two, so that nobody can choose ids that meet.
    static UsedTickets* make(std::span<std::byte> memory, const std::array<SipKey, 2>& secrets) noexcept;

    /// Uses the ticket `id` of `scope` (which key signed it; ids are unique in there), unless it was used. `until` is
    /// when it will be refused for its age, to be remembered so long. Both together have at most kMaxName bytes. Costs
    /// two hashes and a look at two sets: 0.3 us in a table that the cache doesn't hold.
    Verdict use(std::span<const std::uint8_t> scope, std::string_view id, WallTime until, WallTime now) noexcept;

    static constexpr std::size_t kMaxName = 512;  // bytes

    /// How many can be remembered if they fell evenly, and how many are now. The latter looks at every place, and needs
    /// no lock.
    [[nodiscard]] std::size_t capacity() const noexcept { return sets_.size() * kWays; }
    [[nodiscard]] std::size_t used(WallTime now) const noexcept;

private:
    struct Place {
        std::uint32_t hash[4];
        std::uint32_t expires;  // seconds since 1970, until 2106; a place that is free was never used, or has expired
    };
    static_assert(sizeof(Place) == 20);
    struct Set {
        std::array<Place, kWays> places;
    };

    UsedTickets(std::span<Set> sets, const std::array<SipKey, 2>& secrets) noexcept : sets_(sets), secrets_(secrets) {}

    std::span<Set> sets_;
    std::array<SipKey, 2> secrets_;
};

}  // namespace weft
