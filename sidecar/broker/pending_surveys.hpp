// Questions about the node and the mesh that wait for workers and peers to answer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "broker/channel.hpp"

namespace weft {

/// Peers, a bit for each slot.
using PeerSet = std::uint64_t;
inline constexpr PeerSet kAllPeers = ~PeerSet{0};
[[nodiscard]] constexpr PeerSet only(PeerSlot slot) noexcept {
    return PeerSet{1} << slot;
}

class PendingSurveys {
public:
    static constexpr std::size_t kMax = 64;

    struct Survey {
        std::uint64_t number = 0;  // that others are asked under
        LinkId link = 0;           // who asks
        std::uint64_t request = 0;
        PeerSet about = kAllPeers;      // of those that are known; who of them doesn't answer is named
        PeerSet awaited = 0;            // peers
        std::vector<LinkId> workers{};  // that are awaited; each link once
        Instant until{};
        std::size_t limit = 0;  // of entries in the page
        v1::Frame page{};       // all answers so far, put together
    };

    [[nodiscard]] bool full() const noexcept { return surveys_.size() >= kMax; }
    /// Not when it is full.
    void add(Survey survey) { surveys_.push_back(std::move(survey)); }
    [[nodiscard]] Survey* find(std::uint64_t number) noexcept {
        const auto found = std::ranges::find(surveys_, number, &Survey::number);
        return found == surveys_.end() ? nullptr : &*found;
    }
    /// All that this link asks.
    void forget(LinkId asker) {
        std::erase_if(surveys_, [asker](const Survey& survey) { return survey.link == asker; });
    }
    void no_longer_await_peer(PeerSlot slot) noexcept {
        for (Survey& survey : surveys_) survey.awaited &= ~only(slot);
    }
    void no_longer_await_worker(LinkId worker) noexcept {
        for (Survey& survey : surveys_) std::erase(survey.workers, worker);
    }

    /// Takes out those that wait for nobody any more, and those whose time is over.
    template <class Answer>
    void release(Instant now, Answer answer) {
        if (surveys_.empty()) return;
        const auto rest = std::stable_partition(surveys_.begin(), surveys_.end(), [now](const Survey& survey) {
            return (survey.awaited != 0 || !survey.workers.empty()) && survey.until > now;
        });
        for (auto survey = rest; survey != surveys_.end(); ++survey) answer(*survey);
        surveys_.erase(rest, surveys_.end());
    }

private:
    std::vector<Survey> surveys_;
};

}  // namespace weft
