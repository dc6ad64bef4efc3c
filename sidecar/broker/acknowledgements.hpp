// Publications that are answered when a peer holds them, too.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/broker.hpp"
#include "weft/position.hpp"
#include "weft/time.hpp"

namespace weft {

struct Channel;

class Acknowledgements {
public:
    static constexpr std::size_t kMax = 65'536;  // publications that wait; beyond it none is accepted

    struct Waiting {
        LinkId link;
        std::uint64_t request;
        std::string message_id;
        StreamId stream;
        std::uint64_t number;
        Instant until;
    };
    /// Answers one: true when a peer holds it.
    using Answer = std::function<void(const Channel&, const Waiting&, bool held)>;

    explicit Acknowledgements(Answer answer) : answer_(std::move(answer)) {}

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool full() const noexcept { return size_ >= kMax; }

    void await(const Channel& channel, StreamId own, Waiting waiting);
    /// A peer holds what `position` covers.
    void held(const Channel& channel, const Position& position);
    void expire(Instant now);
    void forget(const Channel& channel);  ///< it goes: nobody will confirm

private:
    struct OfChannel {
        std::deque<Waiting> own;      // of the node's own stream, in ascending order but for repeats
        std::vector<Waiting> others;  // of peers' streams: repeats of what this node has from them
    };

    Answer answer_;
    struct ByStream {  // not by address: a simulated mesh runs the same way twice
        std::size_t operator()(const Channel* channel) const noexcept;
    };
    std::unordered_map<const Channel*, OfChannel, ByStream> channels_;
    std::size_t size_ = 0;
};

}  // namespace weft
