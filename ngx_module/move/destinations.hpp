// The workers that a worker's connections may go to, as far as is known of them: whether anybody takes connections, who
// is next, and how long it is worth waiting. Time is a parameter, and whoever asks does the talking.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "weft/time.hpp"

namespace weft {

/// A worker that connections may go to.
struct Destination {
    /// What it says of itself when it is asked.
    enum class Answer {
        ready,    // it takes connections
        not_yet,  // it is to be asked again
        never,    // not from here
    };

    explicit Destination(pid_t pid) noexcept : pid(pid) {}

    void on_answer(Answer answer, std::uint64_t connections) noexcept {
        ready = answer == Answer::ready;
        load = connections;
        closed = closed || answer == Answer::never;
    }

    const pid_t pid;
    std::uint64_t load = 0;  // connections that it has, those with that were sent to it
    bool ready = false;      // by its last answer, and nothing has shown since that it isn't
    bool closed = false;     // it takes none: it said so, or is gone. Not asked again
    bool busy = false;       // connections are on their way to it
};

class Destinations {
public:
    static constexpr std::chrono::milliseconds kLook{100};  // between two looks for workers
    /// How long connections that are never at rest, or that nobody takes, are tried before they are drained instead.
    static constexpr std::chrono::milliseconds kPatience{5'000};
    /// How long a reload's new workers are waited for while none of them is ready.
    static constexpr std::chrono::milliseconds kReloadPatience{20'000};
    static constexpr std::size_t kMost = 1024;  // workers; others aren't looked at

    /// A connection wants to go, at `now`; from the first on the time for a reload's workers runs. Patience is renewed.
    void on_departure(Instant now) noexcept;
    /// A connection has gone: patience is renewed.
    void on_success(Instant now) noexcept { give_up_at_ = now + kPatience; }
    [[nodiscard]] bool begun() const noexcept { return begun_; }

    /// Whether it is time to look for workers, and to ask those that aren't ready again. Then the next is kLook later.
    bool look(Instant now) noexcept;
    /// Whether a worker of this name is new, and to be added.
    [[nodiscard]] bool wants(pid_t pid) const noexcept;
    /// Lives as long as this.
    Destination& add(pid_t pid) { return *known_.emplace_back(std::make_unique<Destination>(pid)); }

    /// The one that the next connections go to: ready, free, and with fewer connections than the others. Null: none.
    [[nodiscard]] Destination* next() const noexcept;
    /// Whether nginx has other workers, or is about to have them. Not cheap: asked only where it matters.
    using OthersCome = std::function<bool()>;

    /// Whether somebody is there who takes connections or may yet, or is about to come.
    [[nodiscard]] bool expect_anybody(Instant now, const OthersCome& others_come) const;
    /// Whether those who still wait have waited long enough, and stay where they are. While no worker is ready, and may
    /// yet be, they wait on.
    [[nodiscard]] bool give_up(Instant now, const OthersCome& others_come);

private:
    std::vector<std::unique_ptr<Destination>> known_;  // those too that have closed
    Instant began_at_{};
    Instant next_look_{};
    Instant give_up_at_{};
    bool begun_ = false;
};

}  // namespace weft
