// Time, chance and a trace: all that a simulation needs of a world, and all of it follows from one seed.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "weft/time.hpp"

namespace weft::simulation {

using std::chrono::milliseconds;

class SimulatedWorld {
public:
    static constexpr std::size_t kMaxTrace = 60;  // lines

    explicit SimulatedWorld(std::uint64_t seed) : engine_(seed) {}

    [[nodiscard]] Instant now() const noexcept { return now_; }
    [[nodiscard]] WallTime wall() const noexcept {
        return WallTime{std::chrono::hours{24 * 365 * 50}} + now_.time_since_epoch();
    }

    std::uint64_t random() { return engine_(); }
    std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
    bool chance(double probability) { return static_cast<double>(engine_() >> 11) * 0x1p-53 < probability; }
    milliseconds between(milliseconds low, milliseconds high) {
        return low +
               milliseconds{static_cast<std::int64_t>(below(static_cast<std::uint64_t>((high - low).count() + 1)))};
    }

    /// Things due at the same time happen in the order in which they were asked for.
    void at(Instant when, std::function<void()> what) { events_.push({when, ++asked_, std::move(what)}); }
    void after(milliseconds delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }

    void run_for(milliseconds time) {
        const Instant end = now_ + time;
        while (!events_.empty() && events_.top().when <= end) {
            Event event = events_.top();
            events_.pop();
            now_ = event.when;
            event.what();
        }
        now_ = end;
    }

    /// The last kMaxTrace lines are kept, for the report of a failing seed.
    void trace(std::string line) {
        if (trace_ended_) return;
        if (trace_.size() == kMaxTrace) trace_.pop_front();
        trace_.push_back(std::to_string(now_.time_since_epoch().count()) + " ms  " + std::move(line));
    }
    /// Nothing is added from here on.
    void end_trace() noexcept { trace_ended_ = true; }
    [[nodiscard]] std::string trace() const {
        std::string text;
        for (const std::string& line : trace_) text += "  " + line + "\n";
        return text;
    }

private:
    struct Event {
        Instant when;
        std::uint64_t order;
        std::function<void()> what;
        bool operator<(const Event& other) const noexcept {
            return std::pair{when, order} > std::pair{other.when, other.order};
        }
    };

    std::mt19937_64 engine_;
    Instant now_{};
    std::uint64_t asked_ = 0;
    std::priority_queue<Event> events_;
    std::deque<std::string> trace_;
    bool trace_ended_ = false;
};

}  // namespace weft::simulation
