#include "limit/timer_wheel.hpp"

#include <algorithm>

namespace weft {
namespace {

using Ticks = std::chrono::duration<std::int64_t, std::ratio<TimerWheel::kTick.count(), 1000>>;

}  // namespace

void Timed::link_before(Timed& other) noexcept {
    prev_ = other.prev_;
    next_ = &other;
    prev_->next_ = this;
    other.prev_ = this;
}

void Timed::unlink() noexcept {
    if (prev_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
}

TimerWheel::TimerWheel(Instant now) noexcept : start_(now) {
    for (Timed& slot : slots_) slot.prev_ = slot.next_ = &slot;
}

TimerWheel::~TimerWheel() {
    for (Timed& slot : slots_) {
        while (slot.next_ != &slot) slot.next_->unlink();
    }
}

void TimerWheel::arm(Timed& timed, Instant deadline) noexcept {
    constexpr std::int64_t kFurthest = 0x7FFF'FFFF;
    timed.unlink();
    // Rounded up, so that it never comes early. A tick that collect() has passed would wait for a whole turn.
    const auto now = static_cast<std::int64_t>(tick_);
    const auto tick = std::chrono::ceil<Ticks>(deadline - start_).count();
    timed.due_ = static_cast<std::uint32_t>(std::clamp(tick, now + 1, now + kFurthest));
    timed.link_before(slots_[timed.due_ % kSlots]);
}

void TimerWheel::disarm(Timed& timed) noexcept {
    timed.unlink();
}

std::size_t TimerWheel::size() const noexcept {
    std::size_t count = 0;
    for (const Timed& slot : slots_) {
        for (const Timed* timed = slot.next_; timed != &slot; timed = timed->next_) ++count;
    }
    return count;
}

void TimerWheel::collect(Instant now, Timed& due) noexcept {
    due.prev_ = due.next_ = &due;
    if (now < start_) return;
    const auto target = static_cast<std::uint64_t>((now - start_) / kTick);
    if (target <= tick_) return;
    const std::uint64_t passed = target - tick_;
    const auto from = static_cast<std::uint32_t>(tick_);
    for (std::uint64_t i = 1; i <= std::min<std::uint64_t>(passed, kSlots); ++i) {
        Timed& slot = slots_[(tick_ + i) % kSlots];
        for (Timed* timed = slot.next_; timed != &slot;) {
            Timed* const next = timed->next_;
            // What is armed lies 1 to 2^31 - 1 ticks after `from`, so the difference is right across the wrap.
            if (timed->due_ - from <= passed) {
                timed->unlink();
                timed->link_before(due);
            }
            timed = next;
        }
    }
    tick_ = target;
}

}  // namespace weft
