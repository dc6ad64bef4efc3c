#include "broker/acknowledgements.hpp"

#include <algorithm>

#include "broker/channel.hpp"

namespace weft {
namespace {

bool covers(const Position& position, const Acknowledgements::Waiting& waiting) {
    const std::uint64_t* const top = position.find(waiting.stream);
    return top != nullptr && *top >= waiting.number;
}

}  // namespace

std::size_t Acknowledgements::ByStream::operator()(const Channel* channel) const noexcept {
    return channel->stream;
}

void Acknowledgements::await(const Channel& channel, StreamId own, Waiting waiting) {
    OfChannel& of = channels_[&channel];
    // Only what stands in ascending order can be taken from the front.
    if (waiting.stream == own && (of.own.empty() || of.own.back().number <= waiting.number)) {
        of.own.push_back(std::move(waiting));
    } else {
        of.others.push_back(std::move(waiting));
    }
    ++size_;
}

void Acknowledgements::held(const Channel& channel, const Position& position) {
    const auto place = channels_.find(&channel);
    if (place == channels_.end()) return;
    OfChannel& of = place->second;
    while (!of.own.empty() && covers(position, of.own.front())) {
        answer_(channel, of.own.front(), true);
        of.own.pop_front();
        --size_;
    }
    size_ -= std::erase_if(of.others, [&](const Waiting& waiting) {
        if (!covers(position, waiting)) return false;
        answer_(channel, waiting, true);
        return true;
    });
    if (of.own.empty() && of.others.empty()) channels_.erase(place);
}

void Acknowledgements::expire(Instant now) {
    for (auto place = channels_.begin(); place != channels_.end();) {
        OfChannel& of = place->second;
        // All wait equally long, so the first of them is the first to give up.
        while (!of.own.empty() && of.own.front().until <= now) {
            answer_(*place->first, of.own.front(), false);
            of.own.pop_front();
            --size_;
        }
        size_ -= std::erase_if(of.others, [&](const Waiting& waiting) {
            if (waiting.until > now) return false;
            answer_(*place->first, waiting, false);
            return true;
        });
        place = of.own.empty() && of.others.empty() ? channels_.erase(place) : std::next(place);
    }
}

void Acknowledgements::forget(const Channel& channel) {
    const auto place = channels_.find(&channel);
    if (place == channels_.end()) return;
    const OfChannel of = std::move(place->second);
    channels_.erase(place);
    size_ -= of.own.size() + of.others.size();
    for (const Waiting& waiting : of.own) answer_(channel, waiting, false);
    for (const Waiting& waiting : of.others) answer_(channel, waiting, false);
}

}  // namespace weft
