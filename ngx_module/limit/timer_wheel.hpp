// One wheel of deadlines for all connections of a worker: O(1) to set and to move, 24 bytes each, no allocation.
#pragma once

#include <array>
#include <chrono>
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
    ~Timed();
    [[nodiscard]] bool armed() const noexcept { return prev_ != nullptr; }

private:
    friend class TimerWheel;
    Timed* prev_ = nullptr;   // intrusive circular list, through the wheel's slot head
    Timed* next_ = nullptr;
    std::uint32_t due_ = 0;   // in ticks of the wheel, wrapping
};

/// Deadlines are kept in ticks of kTick and never come early; they come late by at most one tick plus the interval
/// between advance() calls. Deadlines further away than the wheel's span are carried round; any distance up to 2^31
/// ticks is right.
class TimerWheel {
public:
    static constexpr std::chrono::milliseconds kTick{50};
    static constexpr std::size_t kSlots = 1024;   // a span of 51 seconds

    explicit TimerWheel(Instant now);
    ~TimerWheel();                                // disarms what is still armed

    /// Sets or moves the deadline of `timed`.
    void arm(Timed& timed, Instant deadline) noexcept;
    void disarm(Timed& timed) noexcept;

    /// Calls `expired(timed, now)` for each whose deadline has come, after disarming it. The callback may arm, disarm
    /// and destroy any Timed, itself included.
    template <class F>
    void advance(Instant now, F&& expired);

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    Instant start_;
    std::uint32_t tick_ = 0;
    std::size_t size_ = 0;
    std::array<Timed, kSlots> slots_;             // list heads
};

}  // namespace weft
