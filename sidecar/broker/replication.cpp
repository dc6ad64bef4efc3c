#include "broker/replication.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "broker/history_rules.hpp"
#include "weft/channel.hpp"

namespace weft {

Replication::Peer& Replication::peer(PeerSlot slot) {
    if (slot >= peers_.size()) peers_.resize(slot + std::size_t{1});
    return peers_[slot];
}

void Replication::on_peer_up(PeerSlot slot, LinkId link, Instant now) {
    Peer& up = peer(slot);
    if (up.link != 0) on_peer_down(slot, up.link);
    up.link = link;
    up.first_round = false;
    ask_digest(up, now);
}

void Replication::on_peer_down(PeerSlot slot, LinkId link) {
    Peer& down = peer(slot);
    if (down.link != link) return;
    down.link = 0;
    down.asked = false;
    if (!down.queued.empty()) down.version = 0;  // what waited is found again by a whole digest
    down.queue.clear();
    down.in_flight.clear();
    for (const std::string& name : std::exchange(down.queued, {})) pulled(slot, channels_.find(name));
}

void Replication::ask_digest(Peer& peer, Instant now) {
    peer.asked = true;
    peer.asked_at = now;
    peer.next_digest = now + settings_.interval;
    v1::Frame frame;
    frame.mutable_read_digest()->set_life(peer.life);
    frame.mutable_read_digest()->set_since(peer.version);
    sender_.send(peer.link, frame);
}

bool Replication::pull(PeerSlot slot, Channel& channel) {
    Peer& from = peer(slot);
    if (from.link == 0) return false;
    if (from.queued.contains(std::string(channel.name))) return true;
    if (from.queue.size() >= kMaxQueued) {
        from.version = 0;  // a whole digest will find it
        return false;
    }
    if (channel.history) channel.history->pulling |= bit(slot);
    const auto [name, is_new] = from.queued.emplace(channel.name);
    if (from.in_flight.size() < kPullsInFlight) {
        request(from, *name);
    } else {
        from.queue.push_back(*name);
    }
    return true;
}

bool Replication::pull_from_all(Channel& channel) {
    bool any = false;
    for (std::size_t slot = 0; slot < peers_.size(); ++slot) any |= pull(static_cast<PeerSlot>(slot), channel);
    return any;
}

void Replication::request(Peer& peer, const std::string& name) {
    const Channel* const channel = channels_.find(name);
    v1::Frame frame;
    v1::ReadHistory& read = *frame.mutable_read_history();
    read.set_request(next_request_);
    read.set_channel(name);
    if (channel != nullptr && channel->history) read.set_after(channel->position.text());
    peer.in_flight.emplace(next_request_++, name);
    sender_.send(peer.link, frame);
}

void Replication::pump(Peer& peer, Instant now) {
    while (!peer.queue.empty() && peer.in_flight.size() < kPullsInFlight) {
        request(peer, peer.queue.front());
        peer.queue.pop_front();
    }
    if (peer.link == 0 || peer.asked) return;
    if (!peer.first_round || now >= peer.next_digest) {
        if (peer.queue.size() < kMaxQueued / 2) ask_digest(peer, now);
    } else if (peer.queued.empty() && !std::exchange(peer.synced, true)) {
        check_filled(now);
    }
}

void Replication::on_digest(PeerSlot slot, const v1::Digest& digest, Instant now) {
    Peer& from = peer(slot);
    from.asked = false;
    from.life = digest.life();
    from.version = digest.version();
    for (const v1::Digest::Entry& entry : digest.entries()) {
        const auto theirs = Position::parse(entry.position());
        if (!theirs || !is_channel_name(entry.channel())) continue;
        Channel* channel = channels_.find(entry.channel());
        if (channel == nullptr) {
            if (entry.empty()) continue;
            channel = channels_.find_or_create(entry.channel());
            if (channel == nullptr) continue;
            channels_.touch(*channel, now);
        }
        if (!channel->history ? entry.empty() : channel->position.includes(*theirs)) continue;
        pull(slot, *channel);
    }
    if (digest.complete()) {
        from.first_round = true;
        from.next_digest = now + settings_.interval;
    } else {
        from.first_round = false;  // the next page at once
    }
    pump(from, now);
}

void Replication::on_page(PeerSlot slot, const v1::HistoryPage& page, Instant now) {
    Peer& from = peer(slot);
    const auto asked = from.in_flight.find(page.request());
    if (asked == from.in_flight.end()) return;
    const std::string name = std::move(asked->second);
    from.in_flight.erase(asked);

    Channel* channel = channels_.find(name);
    const auto start = Position::parse(page.start());
    // Without a retention there is no history at the other end.
    if (start && page.retention().count() > 0 && (channel != nullptr || page.events_size() > 0)) {
        if (channel == nullptr) channel = channels_.find_or_create(name);
        if (channel != nullptr) {
            ArchivedHistory& history = archive_.open(*channel, HistoryRules::read(page.retention()));
            history.pulling |= bit(slot);
            bool lost = false;
            for (const Position::Entry& entry : start->entries()) lost |= history.log.raise(entry.stream, entry.number);
            if (lost) {
                archive_.changed(history, now);
                events_.on_loss(*channel);
            }
            for (const v1::Publication& event : page.events()) {
                if (Archive::take(history, event, now) != History::Take::taken) continue;
                archive_.changed(history, now);
                events_.on_entry(*channel, event);
            }
            // Streams of which there is nothing yet are known now, too.
            channel->position = history.log.position();
            channels_.touch(*channel, now);
            if (!page.complete() && page.events_size() > 0) {
                request(from, name);
                return pump(from, now);
            }
        }
    }
    from.queued.erase(name);
    pulled(slot, channel);
    pump(from, now);
}

void Replication::on_failed(PeerSlot slot, std::uint64_t number) {
    Peer& from = peer(slot);
    const auto asked = from.in_flight.find(number);
    if (asked == from.in_flight.end()) return;
    const std::string name = std::move(asked->second);
    from.in_flight.erase(asked);
    from.queued.erase(name);
    from.version = 0;
    pulled(slot, channels_.find(name));
}

void Replication::pulled(PeerSlot slot, Channel* channel) {
    if (channel == nullptr) return;
    if (channel->history) {
        channel->history->pulling &= ~bit(slot);
        if (channel->history->pulling != 0) return;
    }
    events_.on_pulled(*channel);
}

void Replication::on_tick(Instant now) {
    if (!std::exchange(started_known_, true)) started_ = now;
    for (Peer& peer : peers_) {
        if (peer.link != 0) pump(peer, now);
    }
    check_filled(now);
}

void Replication::check_filled(Instant now) {
    if (filled_ || !started_known_) return;
    const auto synced = static_cast<std::size_t>(std::ranges::count_if(peers_, &Peer::synced));
    // An older weftd doesn't answer.
    const bool syncing = std::ranges::any_of(peers_, [&](const Peer& peer) {
        return peer.link != 0 && !peer.synced && !(peer.asked && now - peer.asked_at >= settings_.fill_wait);
    });
    const auto waited = now - started_;
    filled_ = synced >= settings_.expected_peers || waited >= settings_.fill_limit ||
              (!syncing && waited >= settings_.fill_wait);
}

}  // namespace weft
