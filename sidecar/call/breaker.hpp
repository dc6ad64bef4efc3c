// A circuit breaker: a back end that fails again and again is left in peace for a while.
#pragma once

#include <chrono>
#include <cstdint>

#include "weft/time.hpp"

namespace weft {

class Breaker {
public:
    enum class State : std::uint8_t {
        closed,     // calls are made
        open,       // none is made
        half_open,  // one is made, and its end decides
    };
    struct Settings {
        std::uint32_t failures = 10;             // in a row, until it opens; 0: it never does
        std::chrono::milliseconds pause{5'000};  // that it stays open
    };

    explicit Breaker(Settings settings) noexcept : settings_(settings) {}

    /// Whether a call may be made now. If so it must be made, and its end told.
    bool admits(Instant now) noexcept {
        if (state_ == State::open && now >= until_) state_ = State::half_open;
        if (state_ == State::closed) return true;
        if (state_ == State::open || probing_) return false;
        return probing_ = true;
    }

    void succeeded() noexcept {
        probing_ = false;
        in_a_row_ = 0;
        state_ = State::closed;
    }

    void failed(Instant now) noexcept {
        probing_ = false;
        if (settings_.failures == 0) return;
        // Calls that were under way when it opened say nothing new.
        if (state_ == State::open) return;
        if (state_ == State::closed && ++in_a_row_ < settings_.failures) return;
        state_ = State::open;
        until_ = now + settings_.pause;
        ++opened_;
    }

    /// Whether the one call that decides is under way.
    [[nodiscard]] bool probing() const noexcept { return probing_; }
    [[nodiscard]] State state() const noexcept { return state_; }
    /// When an open one lets the next call through.
    [[nodiscard]] Instant until() const noexcept { return until_; }
    [[nodiscard]] std::uint64_t opened() const noexcept { return opened_; }

private:
    Settings settings_;
    State state_ = State::closed;
    bool probing_ = false;
    std::uint32_t in_a_row_ = 0;
    std::uint64_t opened_ = 0;
    Instant until_{};
};

}  // namespace weft
