// Reads of history that wait until the node has asked its peers.
#pragma once

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/broker.hpp"
#include "weft/position.hpp"

namespace weft {

class PendingReads {
public:
    static constexpr std::size_t kMax = 4096;  // beyond it they are answered with what is known

    struct Read {
        LinkId link;
        bool for_peer;
        Position after;
        v1::ReadHistory request;
        Instant until;
    };

    /// False when there are too many.
    bool hold(Read read) {
        if (reads_.size() >= kMax) return false;
        reads_.push_back(std::move(read));
        return true;
    }

    void forget(LinkId link) {
        std::erase_if(reads_, [link](const Read& read) { return read.link == link; });
    }

    template <class Answer>
    void release(std::string_view channel, Answer answer) {
        take_if([channel](const Read& read) { return read.request.channel() == channel; }, answer);
    }

    template <class Answer>
    void release_all(Answer answer) {
        take_if([](const Read&) { return true; }, answer);
    }

    template <class Answer>
    void expire(Instant now, Answer answer) {
        take_if([now](const Read& read) { return read.until <= now; }, answer);
    }

private:
    template <class Which, class Answer>
    void take_if(Which which, Answer answer) {
        if (reads_.empty()) return;
        const auto rest = std::stable_partition(reads_.begin(), reads_.end(), std::not_fn(which));
        for (auto read = rest; read != reads_.end(); ++read) answer(*read);
        reads_.erase(rest, reads_.end());
    }

    std::vector<Read> reads_;
};

}  // namespace weft
