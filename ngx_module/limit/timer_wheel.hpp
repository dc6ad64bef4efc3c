// One wheel of deadlines for all connections of a worker: O(1) to set and to move, 24 bytes each, no allocation.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "weft/time.hpp"

namespace weft {

class TimerWheel;

/// Something that has one deadline. Derive from it. Leaves its wheel when destroyed. Not movable.
class Timed {
public:
    Timed() = default;
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;
    ~Timed() { unlink(); }
    [[nodiscard]] bool armed() const noexcept { return prev_ != nullptr; }

private:
    friend class TimerWheel;
    void link_before(Timed& other) noexcept;
    void unlink() noexcept;

    Timed* prev_ = nullptr;  // intrusive circular list, through the wheel's slot head
    Timed* next_ = nullptr;
    std::uint32_t due_ = 0;  // in ticks of the wheel, wrapping
};

/// Deadlines are kept in ticks of kTick and never come early; they come late by at most one tick plus the interval
/// between advance() calls. Deadlines further away than the wheel's span are carried round; any distance up to 2^31
/// ticks (3.4 years) is right, and what is further away comes then.
class TimerWheel {
public:
    static constexpr std::chrono::milliseconds kTick{50};
    static constexpr std::size_t kSlots = 1024;  // a span of 51 seconds

    explicit TimerWheel(Instant now) noexcept;
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;
    ~TimerWheel();  // disarms what is still armed

    /// Sets or moves the deadline of `timed`, which may be armed in this wheel but in no other. A deadline that has
    /// passed comes with the first advance() to a later tick.
    void arm(Timed& timed, Instant deadline) noexcept;
    void disarm(Timed& timed) noexcept;

    /// Calls `expired(timed, now)` for each whose deadline has come, after disarming it. The callback may arm, disarm
    /// and destroy any Timed, itself included; what it arms is not called before the next advance(), so a callback
    /// that always arms anew ends all the same. It must not throw, and not advance or destroy the wheel. The order
    /// between those that come in one advance() is not defined. Touches at most kSlots slots, however long it was.
    template <class F>
    void advance(Instant now, F&& expired);

    /// How many are armed. Counts them one by one: for tests and status pages. (A Timed that is destroyed knows its
    /// neighbours but not its wheel, so there is no number to keep.)
    [[nodiscard]] std::size_t size() const noexcept;

private:
    void collect(Instant now, Timed& due) noexcept;

    Instant start_;
    std::uint64_t tick_ = 0;           // up to which all that was due has been called
    std::array<Timed, kSlots> slots_;  // list heads
};

template <class F>
void TimerWheel::advance(Instant now, F&& expired) {
    // Everything due moves to a list of its own first. Callbacks then may change the wheel at will, and what they take
    // away leaves this list by itself.
    Timed due;
    collect(now, due);
    while (due.next_ != &due) {
        Timed& timed = *due.next_;
        timed.unlink();
        expired(timed, now);
    }
}

}  // namespace weft
