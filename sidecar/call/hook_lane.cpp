#include "call/hook_lane.hpp"

#include <algorithm>
#include <utility>

namespace weft {
namespace {

constexpr std::chrono::milliseconds kRetryWhenFull{1'000};

}  // namespace

CallError HookLane::error_of(CallOutcome outcome, Instant now) const {
    CallError error;
    const std::string subject = "the application's \"" + std::string(name_of(hook_)) + "\" hook";
    switch (outcome) {
        case CallOutcome::timed_out:
            // Only a caller waits for what it asked for; of the others the client just knows that it can try again.
            if (hook_ == Hook::rpc) error.code = static_cast<std::uint16_t>(Code::timeout);
            error.message = subject + " didn't answer in time";
            break;
        case CallOutcome::unreachable: error.message = subject + " can't be reached, try again"; break;
        case CallOutcome::rejected:
            error.message = breaker_.state() == Breaker::State::closed
                                ? "too many calls wait for " + subject + ", try again"
                                : subject + " is failing, try again later";
            break;
        default: error.message = subject + " gave no valid answer, try again"; break;
    }
    error.retry_after = kRetryWhenFull;
    if (breaker_.state() == Breaker::State::open) error.retry_after = std::max(kRetryWhenFull, breaker_.until() - now);
    return error;
}

std::optional<CallError> HookLane::admit(HookCall call, Instant now) {
    const bool open = breaker_.state() == Breaker::State::open && now < breaker_.until();
    if (open || waiting_.size() >= settings_.queue + settings_.concurrency - running_ ||
        waiting_bytes_ + call.body.size() > kMaxWaitingBytes) {
        ++counts_.calls[static_cast<std::size_t>(CallOutcome::rejected)];
        return error_of(CallOutcome::rejected, now);
    }
    waiting_bytes_ += call.body.size();
    waiting_.push_back({std::move(call), now, now + settings_.timeout});
    return std::nullopt;
}

std::optional<HookLane::Waiting> HookLane::next(Instant now) {
    if (waiting_.empty()) return std::nullopt;
    Waiting& first = waiting_.front();
    if (first.until <= now) {
        first.verdict = CallOutcome::timed_out;
    } else if (running_ >= settings_.concurrency) {
        return std::nullopt;
    } else if (!breaker_.admits(now)) {
        if (breaker_.state() == Breaker::State::half_open) return std::nullopt;  // the one under way decides
        first.verdict = CallOutcome::rejected;
    }
    Waiting taken = std::move(first);
    waiting_.pop_front();
    waiting_bytes_ -= taken.call.body.size();
    if (taken.verdict == CallOutcome::allowed) {
        ++running_;
    } else {
        ++counts_.calls[static_cast<std::size_t>(taken.verdict)];
    }
    return taken;
}

void HookLane::finish(const Waiting& call, CallOutcome outcome, Instant now) {
    --running_;
    ++counts_.calls[static_cast<std::size_t>(outcome)];
    if (outcome == CallOutcome::allowed || outcome == CallOutcome::refused) {
        counts_.latency.add(now - call.since);
        breaker_.succeeded();
    } else {
        breaker_.failed(now);
    }
}

bool HookLane::ready(Instant now) const noexcept {
    if (waiting_.empty()) return false;
    return waiting_.front().until <= now || (running_ < settings_.concurrency && !breaker_.probing());
}

std::optional<Instant> HookLane::deadline() const noexcept {
    if (waiting_.empty()) return std::nullopt;
    return waiting_.front().until;
}

HookLane::Counts HookLane::counts() const {
    Counts counts = counts_;
    counts.waiting = waiting_.size();
    counts.running = running_;
    counts.opened = breaker_.opened();
    counts.breaker = breaker_.state();
    return counts;
}

}  // namespace weft
