// The judgement of a whole run: what was published against what every subscriber got.
#pragma once

#include <cstdint>
#include <vector>

#include "ledger.hpp"
#include "stamp.hpp"

namespace weft::bench {

/// Totals over all subscribers. A channel has one publisher, of the channel's number; every subscriber is of one
/// channel.
class Audit {
public:
    Audit(std::uint32_t channels, std::uint32_t subscribers_per_channel)
        : published_(channels), subscribers_(subscribers_per_channel) {}

    /// The number of the publication that `channel` would have next.
    [[nodiscard]] std::uint32_t next(std::uint32_t channel) const noexcept { return published_[channel]; }

    /// That publication goes out.
    void publish(std::uint32_t channel) noexcept {
        ++published_[channel];
        expected_ += subscribers_;
    }

    /// A copy came to the subscriber of `channel` that `ledger` belongs to. True when it is that subscriber's first
    /// copy of something that was published for it.
    bool deliver(Ledger& ledger, std::uint32_t channel, const Stamp& stamp) noexcept {
        ++delivered_;
        if (stamp.publisher != channel || stamp.number >= published_[channel]) {
            ++stray_;
            return false;
        }
        switch (ledger.enter(stamp.number)) {
            case Ledger::Verdict::duplicate: ++duplicates_; return false;
            case Ledger::Verdict::late: ++reordered_; break;
            case Ledger::Verdict::in_order:
            case Ledger::Verdict::ahead: break;
        }
        ++received_;
        return true;
    }

    void disconnect() noexcept { ++disconnects_; }
    void stall() noexcept { ++stalls_; }

    [[nodiscard]] std::uint64_t expected() const noexcept { return expected_; }
    [[nodiscard]] std::uint64_t delivered() const noexcept { return delivered_; }        // every copy that arrived
    [[nodiscard]] std::uint64_t lost() const noexcept { return expected_ - received_; }  // or not here yet
    [[nodiscard]] std::uint64_t duplicates() const noexcept { return duplicates_; }      // of what had come before
    [[nodiscard]] std::uint64_t reordered() const noexcept { return reordered_; }        // behind something later
    [[nodiscard]] std::uint64_t stray() const noexcept { return stray_; }  // somebody else's, or never published
    [[nodiscard]] std::uint64_t disconnects() const noexcept { return disconnects_; }
    [[nodiscard]] std::uint64_t stalls() const noexcept { return stalls_; }

    [[nodiscard]] bool clean() const noexcept {
        return lost() == 0 && duplicates_ == 0 && reordered_ == 0 && stray_ == 0 && disconnects_ == 0 && stalls_ == 0;
    }

private:
    std::vector<std::uint32_t> published_;  // by channel
    std::uint32_t subscribers_;
    std::uint64_t expected_ = 0;
    std::uint64_t delivered_ = 0;
    std::uint64_t received_ = 0;  // first copies
    std::uint64_t duplicates_ = 0;
    std::uint64_t reordered_ = 0;
    std::uint64_t stray_ = 0;
    std::uint64_t disconnects_ = 0;
    std::uint64_t stalls_ = 0;
};

}  // namespace weft::bench
