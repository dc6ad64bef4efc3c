// The publications in flight of a closed loop: published, and not yet with all their subscribers.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace weft::bench {

/// Bounds the whole and each channel, so that saturation measures deliveries and not the growth of some queue.
class FlightWindow {
public:
    FlightWindow(std::uint32_t limit, std::uint32_t channels, std::uint32_t subscribers_per_channel)
        : limit_(limit),
          subscribers_(subscribers_per_channel),
          ring_(std::bit_ceil(limit / channels + 1)),
          slots_(std::size_t{ring_} * channels) {}

    [[nodiscard]] bool full() const noexcept { return in_flight_ >= limit_; }
    [[nodiscard]] bool empty() const noexcept { return in_flight_ == 0; }

    /// Whether publication `number` of `channel` may go out now.
    [[nodiscard]] bool has_room(std::uint32_t channel, std::uint32_t number) const noexcept {
        return !full() && slots_[index(channel, number)].missing == 0;
    }

    void depart(std::uint32_t channel, std::uint32_t number) noexcept {
        slots_[index(channel, number)] = {number, subscribers_};
        ++in_flight_;
    }

    /// One subscriber has it.
    void arrive(std::uint32_t channel, std::uint32_t number) noexcept {
        Slot& slot = slots_[index(channel, number)];
        if (slot.number == number && slot.missing > 0 && --slot.missing == 0) --in_flight_;
    }

    /// Gives up what is in flight: something was lost.
    void reset() noexcept {
        for (Slot& slot : slots_) slot.missing = 0;
        in_flight_ = 0;
    }

private:
    struct Slot {
        std::uint32_t number = 0;
        std::uint32_t missing = 0;
    };
    [[nodiscard]] std::size_t index(std::uint32_t channel, std::uint32_t number) const noexcept {
        return std::size_t{channel} * ring_ + (number & (ring_ - 1));
    }

    std::uint32_t limit_;
    std::uint32_t subscribers_;
    std::uint32_t ring_;
    std::uint32_t in_flight_ = 0;
    std::vector<Slot> slots_;
};

}  // namespace weft::bench
