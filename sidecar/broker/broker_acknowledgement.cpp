// When a publish is answered: at once, or when a second node has it; and what was published before.
#include <string>

#include "broker/broker_state.hpp"
#include "weft/channel.hpp"
#include "weft/codes.hpp"

namespace weft {
namespace {

constexpr std::chrono::milliseconds kRetryWhenAlone{1000};

}  // namespace

void Broker::State::answer_published(LinkId link, std::uint64_t request, const std::string& message_id,
                                     const Position& position) {
    if (request == 0) return;
    v1::Published& answer = *published.mutable_published();
    answer.set_request(request);
    answer.set_message_id(message_id);
    answer.set_position(position.text());
    sender.send(link, published);
}

void Broker::State::fail_alone(LinkId link, std::uint64_t request, std::string_view why) {
    ++counts.unacknowledged;
    fail(link, request, Code::unavailable, why, {}, kRetryWhenAlone);
}

bool Broker::State::can_hope_for_peer(LinkId link, std::uint64_t request) {
    if (peers_in.empty()) {
        fail_alone(link, request,
                   "this channel acknowledges what a second node has (\"ack peer\"), and node " + settings.node +
                       " has no peer at the moment: nothing was published, try again");
        return false;
    }
    if (acks.full()) {
        fail_alone(link, request, "too many publications wait for a second node: nothing was published, try again");
        return false;
    }
    return true;
}

void Broker::State::on_acknowledged(const Channel& channel, const Acknowledgements::Waiting& waiting, bool held) {
    if (held) return answer_published(waiting.link, waiting.request, waiting.message_id, channel.position);
    fail_alone(waiting.link, waiting.request,
               "no second node has confirmed the publication in time; try again with the same message_id, and it is "
               "delivered once");
}

void Broker::State::repeat(LinkId link, const v1::Publish& publish, Channel& channel, RecentIds::First first,
                           Instant now) {
    ++counts.repeated;
    if (!channel.history || !channel.history->log.retention().ack) {
        return answer_published(link, publish.request(), publish.message_id(), channel.position);
    }
    if (publish.request() == 0 || !can_hope_for_peer(link, publish.request())) return;
    acks.await(channel, channel.stream,
               {link, publish.request(), publish.message_id(), first.stream, first.number, now + settings.ack_timeout});
    Position wanted;
    wanted.set(first.stream, first.number);
    v1::Frame frame;
    frame.mutable_holding()->set_channel(channel.name.data(), channel.name.size());
    frame.mutable_holding()->set_position(wanted.text());
    sender.send(peers_in, frame);
}

void Broker::State::on_holding(const v1::Holding& holding) {
    const Channel* const channel = channels.find(holding.channel());
    const auto position = Position::parse(holding.position());
    if (!position) return void(++counts.ignored);
    if (channel != nullptr) acks.held(*channel, *position);
}

void Broker::State::tell_holding(LinkId link, const Channel& channel) {
    v1::Frame frame;
    frame.mutable_holding()->set_channel(channel.name.data(), channel.name.size());
    frame.mutable_holding()->set_position(channel.position.text());
    sender.send(link, frame);
}

void Broker::State::on_asked_for_holding(LinkId link, PeerSlot slot, const v1::Holding& asked) {
    const auto wanted = Position::parse(asked.position());
    if (!wanted || !is_channel_name(asked.channel())) return void(++counts.ignored);
    Channel* const channel = channels.find_or_create(asked.channel());
    if (channel == nullptr) return void(++counts.ignored);
    apply_rules(*channel);
    if (channel->history && channel->position.includes(*wanted)) {
        tell_holding(link, *channel);
    } else {
        replication.pull(slot, *channel);  // and then it is told
    }
    channels.touch(*channel, clock);
}

void Broker::State::on_peer_page(LinkId link, PeerSlot slot, const v1::HistoryPage& page, Instant now) {
    replication.on_page(slot, page, now);
    if (!page.retention().ack()) return;
    const Channel* const channel = channels.find(page.channel());
    if (channel != nullptr && channel->history) tell_holding(link, *channel);
}

}  // namespace weft
