// What workers publish: publications and signals.
#include <algorithm>
#include <string>

#include "broker/broker_state.hpp"
#include "weft/channel.hpp"
#include "weft/codes.hpp"

namespace weft {
namespace {

constexpr std::size_t kMaxMessageId = 64;   // bytes, as in the client protocol
constexpr std::size_t kMaxSignalName = 64;  // bytes, as in the client protocol

}  // namespace

const RecentIds::First* Broker::State::first_of(const Channel& channel, const v1::Publication& in, StreamId stream,
                                                std::uint64_t number) {
    return ids.note(channel.name, in.has_publisher() ? &in.publisher() : nullptr, in.message_id(), {stream, number},
                    clock);
}

void Broker::State::on_publish(LinkId link, const v1::Publish& publish, Instant now, WallTime wall) {
    const auto refuse = [&](std::string_view message) {
        fail(link, publish.request(), Code::invalid_message, message);
    };
    if (!is_channel_name(publish.channel())) return refuse("not a channel name");
    if (publish.data().empty()) return refuse("a publication needs data");
    if (publish.message_id().size() > kMaxMessageId) {
        return refuse("a message_id is longer than " + std::to_string(kMaxMessageId) + " bytes");
    }
    Channel* const channel = channels.find_or_create(publish.channel());
    if (channel == nullptr) return fail_full(link, publish.request());

    apply_rules(*channel);
    // Whether it is to be kept, and who has to have it, nobody knows yet.
    if (!rules.known() && !replication.filled()) {
        fail(link, publish.request(), Code::unavailable,
             "node " + settings.node + " is filling up, and no nginx has told it its channels' rules yet", {},
             kRetryWhenFull);
        return channels.touch(*channel, now);
    }
    const bool own_id = !publish.message_id().empty();
    if (own_id) {
        const auto* const first =
            ids.find(publish.channel(), publish.has_publisher() ? &publish.publisher() : nullptr, publish.message_id());
        if (first != nullptr) {
            repeat(link, publish, *channel, *first, now);
            return channels.touch(*channel, now);
        }
        // In the life before it may have been accepted here, and delivered: peers will tell.
        if (channel->history && !replication.filled()) {
            fail(link, publish.request(), Code::unavailable,
                 "node " + settings.node + " is filling up and can't know yet whether it has had this message_id", {},
                 kRetryWhenFull);
            return channels.touch(*channel, now);
        }
    }
    const bool needs_peer = channel->history && channel->history->log.retention().ack;
    if (needs_peer && !can_hope_for_peer(link, publish.request())) return channels.touch(*channel, now);
    channel->position.set(channel->stream, ++channel->number);
    v1::Publication& out = *publication.mutable_publication();
    out.set_channel(publish.channel());
    out.set_data(publish.data());
    std::string& message_id = *out.mutable_message_id();
    message_id = publish.message_id();
    if (!own_id) append_entry(message_id, channel->stream, '-', channel->number);
    out.set_timestamp_ms(wall.time_since_epoch().count());
    channel->position.text(*out.mutable_position());
    if (publish.has_publisher()) {
        *out.mutable_publisher() = publish.publisher();
    } else {
        out.clear_publisher();
    }
    out.clear_retention();
    out.clear_age_ms();
    out.set_own_id(own_id);
    out.clear_repeat();
    if (own_id) first_of(*channel, out, channel->stream, channel->number);
    if (channel->history) {
        keep(*channel, out, now);
    } else {
        out.clear_stream();
        out.clear_number();
        sender.send(channel->workers, publication);
        if (!channel->peers.empty()) {
            out.set_stream(channel->stream);
            out.set_number(channel->number);
            sender.send(channel->peers, publication);
        }
        counts.delivered += channel->workers.size() + channel->peers.size();
    }
    ++counts.published;

    if (needs_peer && publish.request() != 0) {
        acks.await(
            *channel, channel->stream,
            {link, publish.request(), out.message_id(), channel->stream, channel->number, now + settings.ack_timeout});
    } else if (publish.request() != 0) {
        v1::Published& answer = *published.mutable_published();
        answer.set_request(publish.request());
        answer.set_message_id(out.message_id());
        answer.set_position(out.position());
        sender.send(link, published);
    }
    channels.touch(*channel, now);
}

void Broker::State::keep(Channel& channel, v1::Publication& out, Instant now) {
    ArchivedHistory& history = *channel.history;
    out.set_stream(channel.stream);
    out.set_number(channel.number);
    out.set_timestamp_ms(std::max(out.timestamp_ms(), history.log.streams().front().timestamp_ms));
    Archive::take(history, out, now);
    archive.changed(history, now);
    sender.send(channel.workers, publication);
    if (!peers_in.empty()) {
        HistoryRules::write(history.log.retention(), *out.mutable_retention());
        sender.send(peers_in, publication);
    }
    counts.delivered += channel.workers.size() + peers_in.size();
}

void Broker::State::on_send_signal(LinkId link, const v1::SendSignal& send) {
    if (!is_channel_name(send.channel()) || send.name().empty() || send.name().size() > kMaxSignalName) {
        if (send.request() == 0) return void(++counts.ignored);
        return fail(link, send.request(), Code::invalid_message,
                    "a signal needs a channel and a name of at most " + std::to_string(kMaxSignalName) + " bytes");
    }
    ++counts.signals;
    if (const Channel* const channel = channels.find(send.channel())) {
        v1::Signal& out = *signal.mutable_signal();
        out.set_channel(send.channel());
        out.set_name(send.name());
        out.set_data(send.data());
        if (send.has_publisher()) {
            *out.mutable_publisher() = send.publisher();
        } else {
            out.clear_publisher();
        }
        counts.signals_dropped += sender.send_unless_busy(channel->workers, signal);
        counts.signals_dropped += sender.send_unless_busy(channel->peers, signal);
    }
    if (send.request() == 0) return;
    v1::Frame frame;
    frame.mutable_published()->set_request(send.request());
    sender.send(link, frame);
}

}  // namespace weft
