// Questions about the whole mesh that wait for peers to answer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "broker/channel.hpp"

namespace weft {

class PendingSurveys {
public:
    static constexpr std::size_t kMax = 256;

    struct Survey {
        std::uint64_t number = 0;  // that peers are asked under
        LinkId link = 0;           // the worker that asks
        std::uint64_t request = 0;
        std::size_t limit = 0;      // of channels; 0: it is nodes that are asked about
        std::uint64_t awaited = 0;  // peers, a bit for each slot
        Instant until{};
        std::vector<v1::ChannelsPage> channels;  // answers so far
        std::vector<v1::NodesPage> nodes;
    };

    [[nodiscard]] bool full() const noexcept { return surveys_.size() >= kMax; }
    /// Not when it is full.
    void add(Survey survey) { surveys_.push_back(std::move(survey)); }
    [[nodiscard]] Survey* find(std::uint64_t number) noexcept {
        const auto found = std::ranges::find(surveys_, number, &Survey::number);
        return found == surveys_.end() ? nullptr : &*found;
    }
    void forget(LinkId worker) {
        std::erase_if(surveys_, [worker](const Survey& survey) { return survey.link == worker; });
    }
    void no_longer_await(PeerSlot slot) noexcept {
        for (Survey& survey : surveys_) survey.awaited &= ~(std::uint64_t{1} << slot);
    }

    /// Takes out those that wait for nobody any more, and those whose time is over.
    template <class Answer>
    void release(Instant now, Answer answer) {
        if (surveys_.empty()) return;
        const auto rest = std::stable_partition(surveys_.begin(), surveys_.end(), [now](const Survey& survey) {
            return survey.awaited != 0 && survey.until > now;
        });
        for (auto survey = rest; survey != surveys_.end(); ++survey) answer(*survey);
        surveys_.erase(rest, surveys_.end());
    }

private:
    std::vector<Survey> surveys_;
};

}  // namespace weft
