// Who wants which channel: subscribing and its answer, for workers and for peers that dialed us.
#include <algorithm>
#include <utility>
#include <vector>

#include "broker/broker_state.hpp"
#include "weft/channel.hpp"
#include "weft/codes.hpp"

namespace weft {

void Broker::State::subscribed(LinkId link, const Channel& channel, const std::string& position, bool gap) {
    v1::Frame frame;
    v1::Subscribed& answer = *frame.mutable_subscribed();
    answer.set_channel(channel.name.data(), channel.name.size());
    answer.set_position(position);
    answer.set_gap(gap);
    answer.set_history(channel.history != nullptr);
    answer.set_members(presence.members(channel.name));
    answer.set_members_known(presence.gathered());
    sender.send(link, frame);
}

void Broker::State::answer_worker(LinkId link, Channel& channel, std::string_view position) {
    if (std::ranges::find(channel.workers, link) == channel.workers.end()) channel.workers.push_back(link);
    subscribed(link, channel, channel.position.text(), channel.lost_since(position));
}

void Broker::State::answer_waiting(Channel& channel) {
    held_back.erase(&channel);
    for (const Channel::Waiting& waiting : std::exchange(channel.waiting, {})) {
        answer_worker(waiting.link, channel, waiting.position);
    }
}

void Broker::State::answer_settled() {
    for (Channel* const channel : settled) answer_settled(*channel);
    settled.clear();
}

void Broker::State::answer_settled(Channel& channel) {
    if (!hold_back(channel)) answer_waiting(channel);
}

void Broker::State::on_subscribe(LinkId link, Link& from, const v1::Subscribe& subscribe, Instant now) {
    if (!is_channel_name(subscribe.channel())) {
        return fail(link, 0, Code::invalid_message, "not a channel name", subscribe.channel());
    }
    Channel* const channel = channels.find_or_create(subscribe.channel());
    if (channel == nullptr) return fail_full(link, 0, subscribe.channel());
    if (from.channels.insert(channel).second) subscribers.enter(link, *channel);
    apply_rules(*channel);

    if (from.role == LinkRole::peer_in) {
        if (std::ranges::find(channel->peers, link) == channel->peers.end()) channel->peers.push_back(link);
        Position own;
        own.set(channel->stream, channel->number);
        bool gap = false;
        if (!subscribe.position().empty()) {
            const auto theirs = Position::parse(subscribe.position());
            gap = !theirs || !theirs->covers(own);
        }
        subscribed(link, *channel, own.text(), gap);
    } else {
        if (channel->interest == Interest::none) mesh.want(*channel, now);
        if (channel->interest == Interest::settled && (!may_be_kept(*channel) || replication.filled()) &&
            channel->waiting.empty()) {
            answer_worker(link, *channel, subscribe.position());
        } else {
            const auto known = std::ranges::find(channel->waiting, link, &Channel::Waiting::link);
            if (known == channel->waiting.end()) {
                channel->waiting.push_back({link, subscribe.position()});
            } else {
                known->position = subscribe.position();
            }
            if (channel->interest == Interest::settled) held_back.insert(channel);
        }
    }
    channels.touch(*channel, now);
}

void Broker::State::drop_interest(LinkId link, Channel& channel, Instant now) {
    const bool was_wanted = channel.wanted_by_workers();
    subscribers.leave(link, channel);
    std::erase(channel.peers, link);
    std::erase(channel.workers, link);
    std::erase_if(channel.waiting, [link](const Channel::Waiting& waiting) { return waiting.link == link; });
    if (channel.waiting.empty()) held_back.erase(&channel);
    if (was_wanted && !channel.wanted_by_workers()) mesh.withdraw(channel);
    channels.touch(channel, now);
}

void Broker::State::on_unsubscribe(LinkId link, Link& from, const v1::Unsubscribe& unsubscribe, Instant now) {
    Channel* const channel = channels.find(unsubscribe.channel());
    if (channel != nullptr && from.channels.erase(channel) != 0) drop_interest(link, *channel, now);
}

}  // namespace weft
