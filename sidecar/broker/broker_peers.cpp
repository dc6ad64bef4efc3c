// What peers that we dialed send: their publications, and what they lost.
#include <string>

#include "broker/broker_state.hpp"
#include "weft/channel.hpp"

namespace weft {

Channel* Broker::State::wanted(const std::string& name) {
    Channel* const channel = channels.find(name);
    return channel != nullptr && channel->interest != Interest::none ? channel : nullptr;
}

void Broker::State::tell_gap(const Channel& channel) {
    if (channel.workers.empty()) return;
    ++counts.gaps;
    v1::Frame frame;
    frame.mutable_gap()->set_channel(channel.name.data(), channel.name.size());
    frame.mutable_gap()->set_position(channel.position.text());
    sender.send(channel.workers, frame);
}

void Broker::State::on_subscribed(PeerSlot slot, const v1::Subscribed& answer) {
    Channel* const channel = wanted(answer.channel());
    if (channel != nullptr && (channel->history || answer.history())) {
        // What lies before it comes by pulling; what comes after it, comes anyway.
        const auto position = Position::parse(answer.position());
        if (!position) {
            ++counts.ignored;
        } else if (!channel->history || !channel->position.includes(*position)) {
            replication.pull(slot, *channel);
        }
    } else if (channel != nullptr) {
        const auto position = Position::parse(answer.position());
        if (!position || position->entries().size() != 1) {
            ++counts.ignored;
        } else {
            const auto [stream, number] = position->entries().front();
            switch (channel->stands_at(slot, stream, number, mesh.fresh(slot, *channel))) {
                case Channel::Advance::ignored: ++counts.ignored; break;
                case Channel::Advance::known: break;
                case Channel::Advance::loss: tell_gap(*channel); break;
            }
        }
    }
    if (mesh.on_answer(slot, channel)) answer_settled(*channel);
}

void Broker::State::on_failed(PeerSlot slot, const v1::Failed& failed, Instant now) {
    if (failed.channel().empty()) return replication.on_failed(slot, failed.request());
    Channel* const channel = wanted(failed.channel());
    if (mesh.on_refusal(slot, channel, now)) answer_settled(*channel);
}

void Broker::State::on_kept_publication(LinkId link, PeerSlot slot, Channel& channel, const v1::Publication& in) {
    ArchivedHistory& history = archive.open(channel, HistoryRules::read(in.retention()));
    switch (Archive::take(history, in, clock)) {
        case History::Take::known: break;
        case History::Take::missing: replication.pull(slot, channel); break;
        case History::Take::taken: archive.changed(history, clock); deliver_entry(channel, in);
    }
    if (in.retention().ack()) tell_holding(link, channel);
    channels.touch(channel, clock);
}

void Broker::State::on_publication(LinkId link, PeerSlot slot, const v1::Publication& in) {
    if (in.has_retention()) {
        if (!is_channel_name(in.channel()) || in.stream() == 0 || in.number() == 0) return void(++counts.ignored);
        Channel* const kept = channels.find_or_create(in.channel());
        if (kept == nullptr) return void(++counts.ignored);
        apply_rules(*kept);
        return on_kept_publication(link, slot, *kept, in);
    }
    Channel* const channel = wanted(in.channel());
    if (channel == nullptr) return;  // on its way when interest was withdrawn
    if (channel->history) return on_kept_publication(link, slot, *channel, in);
    auto advance = channel->arrives(slot, in.stream(), in.number());
    if (advance == Channel::Advance::loss) {
        tell_gap(*channel);
        advance = channel->arrives(slot, in.stream(), in.number());
    }
    if (advance == Channel::Advance::ignored) return void(++counts.ignored);
    const bool again = in.own_id() && first_of(*channel, in, in.stream(), in.number()) != nullptr;
    if (channel->workers.empty()) return;
    v1::Publication& out = *publication.mutable_publication();
    out = in;
    out.clear_stream();
    out.clear_number();
    out.clear_own_id();
    if (again) {
        out.clear_data();
        out.set_repeat(true);
    }
    out.set_position(channel->position.text());
    sender.send(channel->workers, publication);
    counts.delivered += channel->workers.size();
}

void Broker::State::on_signal(const v1::Frame& frame) {
    const Channel* const channel = wanted(frame.signal().channel());
    if (channel != nullptr) counts.signals_dropped += sender.send_unless_busy(channel->workers, frame);
}

void Broker::State::on_peer_gap(const v1::Gap& gap) {
    if (const Channel* const channel = wanted(gap.channel())) tell_gap(*channel);
}

}  // namespace weft
