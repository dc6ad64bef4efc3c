// The calls to one webhook: what waits, what is under way, and when none is to be made.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "call/breaker.hpp"
#include "call/hook.hpp"
#include "call/latency.hpp"
#include "weft/time.hpp"

namespace weft {

class HookLane {
public:
    static constexpr std::size_t kMaxWaitingBytes = std::size_t{64} << 20;  // of the bodies that wait

    struct Settings {
        std::chrono::milliseconds timeout{3'000};  // from the question to the answer, waiting included
        std::size_t concurrency = 64;              // calls under way
        std::size_t queue = 1'000;                 // calls that wait for one of those to end
        Breaker::Settings breaker;
    };
    /// What metrics tell of a lane.
    struct Counts {
        std::array<std::uint64_t, kCallOutcomes> calls{};
        std::uint64_t waiting = 0, running = 0;  // now
        std::uint64_t opened = 0;                // times that the circuit breaker did
        Breaker::State breaker = Breaker::State::closed;
        Latency latency;  // of calls that were answered
    };
    struct Waiting {
        HookCall call;
        Instant since, until;
        // What to do with it. Anything else than allowed: it ends so without having been made.
        CallOutcome verdict = CallOutcome::allowed;
    };

    HookLane(Hook hook, Settings settings) : hook_(hook), settings_(settings), breaker_(settings.breaker) {}

    /// Takes the call in; or says what its asker is told, and has it counted as rejected.
    std::optional<CallError> admit(HookCall call, Instant now);
    /// The next call to make, or to end. One whose verdict is allowed is under way from then on, until finish().
    std::optional<Waiting> next(Instant now);
    /// A call that was under way has ended.
    void finish(const Waiting& call, CallOutcome outcome, Instant now);

    /// Whether next() has something now.
    [[nodiscard]] bool ready(Instant now) const noexcept;
    /// When the first that waits gives up; none when nothing waits.
    [[nodiscard]] std::optional<Instant> deadline() const noexcept;
    /// What the asker of a call with this verdict, or that ended so, is told.
    [[nodiscard]] CallError error_of(CallOutcome outcome, Instant now) const;

    [[nodiscard]] Counts counts() const;
    [[nodiscard]] Breaker::State breaker() const noexcept { return breaker_.state(); }

private:
    Hook hook_;
    Settings settings_;
    Breaker breaker_;
    std::deque<Waiting> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::size_t running_ = 0;
    Counts counts_;
};

}  // namespace weft
