// How far behind the other end of a link is with what it was sent.
#pragma once

#include <cstdint>
#include <deque>

#include "weft/time.hpp"

namespace weft {

/// Takes a note of the numbers sent once in a while, and so knows the age of the oldest that is not acknowledged to
/// within one such while.
class AckLag {
public:
    static constexpr std::size_t kMaxNotes = 256;  // a minute of quarter seconds; beyond it the age is exact no more

    /// A new session, whose numbers begin at 1 again.
    void begin() noexcept {
        sent_ = 0;
        notes_.clear();
    }
    void sent() noexcept { ++sent_; }
    /// Call this a few times a second, before lag().
    void note(std::uint64_t acked, Instant now) {
        while (!notes_.empty() && notes_.front().number <= acked) notes_.pop_front();
        const std::uint64_t last = notes_.empty() ? acked : notes_.back().number;
        if (sent_ > last && notes_.size() < kMaxNotes) notes_.push_back({sent_, now});
    }
    [[nodiscard]] std::uint64_t unacknowledged(std::uint64_t acked) const noexcept {
        return sent_ > acked ? sent_ - acked : 0;
    }
    [[nodiscard]] Instant::duration lag(Instant now) const noexcept {
        return notes_.empty() ? Instant::duration{} : now - notes_.front().at;
    }

private:
    struct Note {
        std::uint64_t number;  // the newest that was sent at that time
        Instant at;
    };
    std::uint64_t sent_ = 0;
    std::deque<Note> notes_;
};

}  // namespace weft
