#include "call/publications.hpp"

#include <algorithm>
#include <utility>

#include "call/failed_frame.hpp"
#include "call/hook_body.hpp"

namespace weft {

bool Publications::hooked(const v1::Publish& publish) const {
    // A back end isn't asked about what back ends publish. What the broker refuses in any case isn't worth a question.
    if (!publish.has_publisher() || publish.data().empty()) return false;
    return settings_.publish_channels.empty() ||
           std::ranges::any_of(settings_.publish_channels,
                               [&](const ChannelPattern& one) { return one.matches(publish.channel()); });
}

void Publications::make_key(LinkId link, const v1::Publish& publish) {
    key_.assign(reinterpret_cast<const char*>(&link), sizeof link);
    const std::uint64_t client = publish.publisher().client_id();
    key_.append(reinterpret_cast<const char*>(&client), sizeof client);
    key_.append(publish.channel()).append("\0", 1).append(publish.publisher().user());
}

bool Publications::on_publish(LinkId link, const v1::Frame& frame) {
    const v1::Publish& publish = frame.publish();
    if (!hooked(publish)) return false;
    make_key(link, publish);
    auto place = lines_.find(key_);
    if (place == lines_.end()) {
        if (outbox_.knows(publish)) return false;
        place = lines_.emplace(key_, Line{link, 0, {}}).first;
        if (hold(place->second, frame)) return go_on(place), true;
        lines_.erase(place);
    } else if (hold(place->second, frame)) {
        return true;
    }
    outbox_.reply(link, failed_frame(publish.request(),
                                     unavailable("too many publications wait for the application, try again")));
    return true;
}

bool Publications::hold(Line& line, const v1::Frame& frame) {
    const std::size_t size = frame.publish().data().size();
    if (line.frames.size() >= BackEnds::kMaxLine || held_ >= BackEnds::kMaxHeld ||
        bytes_ + size > BackEnds::kMaxHeldBytes) {
        return false;
    }
    line.frames.push_back(frame);
    ++held_;
    bytes_ += size;
    return true;
}

v1::Frame Publications::take_first(Line& line) {
    v1::Frame first = std::move(line.frames.front());
    line.frames.pop_front();
    --held_;
    bytes_ -= first.publish().data().size();
    return first;
}

void Publications::go_on(Lines::iterator place) {
    Line& line = place->second;
    while (!line.frames.empty()) {
        const v1::Frame& first = line.frames.front();
        if (outbox_.knows(first.publish())) {  // a repeat of one that was before it in the line, say
            outbox_.pass(line.link, first);
        } else {
            const std::uint64_t id = ++last_id_;
            const auto error = outbox_.call({Hook::publish, id, publish_body(first.publish(), settings_.node)});
            if (!error) {
                line.call = id;
                by_call_.emplace(id, place);
                return;
            }
            outbox_.reply(line.link, failed_frame(first.publish().request(), *error));
        }
        take_first(line);
    }
    lines_.erase(place);
}

void Publications::on_hook_answer(const HookAnswer& answer) {
    const auto asked = by_call_.find(answer.id);
    if (asked == by_call_.end()) return;
    const auto place = asked->second;
    by_call_.erase(asked);
    Line& line = place->second;
    v1::Frame first = take_first(line);
    if (answer.allowed()) {
        if (!answer.value.empty()) first.mutable_publish()->set_data(answer.value);
        outbox_.pass(line.link, first);
    } else {
        outbox_.reply(line.link, failed_frame(first.publish().request(), answer.error));
    }
    go_on(place);
}

void Publications::on_worker_down(LinkId link) {
    for (auto place = lines_.begin(); place != lines_.end();) {
        Line& line = place->second;
        if (line.link != link) {
            ++place;
            continue;
        }
        by_call_.erase(line.call);
        while (!line.frames.empty()) take_first(line);
        place = lines_.erase(place);
    }
}

}  // namespace weft
