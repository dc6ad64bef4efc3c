// What is kept: rules, reads, pages from peers, and workers that wait for a history to be complete.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/broker_state.hpp"
#include "weft/codes.hpp"

namespace weft {

void Broker::State::renew_rules(Channel& channel) {
    channel.rules_version = rules.version();
    const Retention retention = rules.find(channel.name);
    if (retention.count > 0) {
        ArchivedHistory& history = archive.open(channel, retention);
        if (history.ruled && history.log.retention() == retention) return;
        history.log.retain(retention);
        history.ruled = true;
        archive.changed(history, clock);
    } else if (channel.history && channel.history->ruled) {
        archive.close(channel);
        channel.position = Position();
        channel.position.set(channel.stream, channel.number);
    }
}

void Broker::State::to_workers(const Channel& channel, const v1::Publication& in) {
    if (channel.workers.empty()) return;
    v1::Publication& out = *publication.mutable_publication();
    if (&out != &in) out = in;
    out.set_channel(channel.name.data(), channel.name.size());
    out.set_position(channel.position.text());
    out.clear_retention();
    out.clear_age_ms();
    out.clear_own_id();
    sender.send(channel.workers, publication);
    counts.delivered += channel.workers.size();
}

void Broker::State::deliver_entry(Channel& channel, const v1::Publication& entry) {
    if (entry.own_id()) [[unlikely]] {
        if (const auto* const first = first_of(channel, entry, entry.stream(), entry.number())) {
            auto& repeats = channel.history->repeats;
            if (!repeats) repeats = std::make_unique<Repeats>();
            repeats->add({first->stream, first->number}, {entry.stream(), entry.number()});
            v1::Publication again;
            again.set_stream(entry.stream());
            again.set_number(entry.number());
            again.set_repeat(true);
            return to_workers(channel, again);
        }
    }
    to_workers(channel, entry);
}

void Broker::State::on_entry(Channel& channel, const v1::Publication& entry) {
    deliver_entry(channel, entry);
}

void Broker::State::on_loss(Channel& channel) {
    tell_gap(channel);
}

void Broker::State::on_pulled(Channel& channel) {
    reads.release(channel.name, [this](const PendingReads::Read& read) { answer_read(read); });
    if (held_back.contains(&channel)) release_if_complete(channel);
}

void Broker::State::answer_read(const PendingReads::Read& read) {
    v1::Frame frame;
    Archive::read(channels.find(read.request.channel()), read.after, read.request, read.for_peer, clock,
                  *frame.mutable_history_page());
    if (!read.for_peer && !read.after.entries().empty()) {
        ++(frame.history_page().lost() ? counts.unrecovered : counts.recovered);
    }
    sender.send(read.link, frame);
}

void Broker::State::on_read_history(LinkId link, const Link& from, const v1::ReadHistory& request, Instant now) {
    auto after = Position::parse(request.after());
    if (!after) return fail(link, request.request(), Code::invalid_message, "not a position: " + after.error());
    const bool for_peer = from.role != LinkRole::worker;
    PendingReads::Read read{link, for_peer, std::move(*after), request, now + settings.mesh_wait};
    if (!for_peer && !replication.filled()) {
        if (reads.hold(std::move(read))) return;
        return fail(link, request.request(), Code::unavailable, "node " + settings.node + " is filling up", {},
                    kRetryWhenFull);
    }
    Channel* const channel = channels.find(request.channel());
    if (channel != nullptr && channel->history) {
        archive.trim(*channel->history, now);
        // It may be of a stream that this node is only about to hear of.
        if (!for_peer && channel->history->log.start(read.after).unknown && replication.pull_from_all(*channel) &&
            channel->history->pulling != 0 && reads.hold(read)) {
            return;
        }
    }
    answer_read(read);
}

void Broker::State::on_read_digest(LinkId link, const v1::ReadDigest& request) {
    v1::Frame frame;
    archive.digest(request, *frame.mutable_digest());
    sender.send(link, frame);
}

bool Broker::State::may_be_kept(const Channel& channel) const noexcept {
    return channel.history != nullptr || !rules.known();
}

bool Broker::State::complete(const Channel& channel) const noexcept {
    if (!may_be_kept(channel)) return true;
    return replication.filled() && (!channel.history || channel.history->pulling == 0);
}

bool Broker::State::hold_back(Channel& channel) {
    apply_rules(channel);
    if (complete(channel)) return false;
    if (channel.waiting.empty()) return false;
    held_back.insert(&channel);
    return true;
}

void Broker::State::release_if_complete(Channel& channel) {
    const bool late = replication.filled() && clock >= channel.settle_by + settings.mesh_wait;
    if (!complete(channel) && !late) return;
    answer_waiting(channel);
}

void Broker::State::tick_history(Instant now) {
    archive.on_tick(now);
    const bool was_filled = replication.filled();
    replication.on_tick(now);
    if (!replication.filled()) return;
    const auto answer = [this](const PendingReads::Read& read) { answer_read(read); };
    if (was_filled) {
        reads.expire(now, answer);
    } else {
        reads.release_all(answer);
    }
    release_complete();
}

void Broker::State::release_complete() {
    if (held_back.empty()) return;
    const std::vector<Channel*> all(held_back.begin(), held_back.end());
    for (Channel* const channel : all) {
        apply_rules(*channel);
        release_if_complete(*channel);
    }
}

}  // namespace weft
