#include "broker/mesh_interest.hpp"

#include <algorithm>

namespace weft {

MeshInterest::MeshInterest(Sender& sender, ChannelTable& channels, std::chrono::milliseconds wait)
    : sender_(sender), channels_(channels), wait_(wait) {}

std::optional<PeerSlot> MeshInterest::on_peer_up(LinkId link, std::string_view name, Instant) {
    const auto slot = slot_for(name);
    if (!slot) return std::nullopt;
    Peer& peer = peers_[*slot];
    peer.link = link;
    peer.met_before = peer.up_at != 0;
    peer.up_at = ++events_;
    peer.announced = 0;
    peer.announce_end = next_interest_ - 1;
    peer.unanswered = 0;
    peer.again_at.reset();
    announce_more(peer);
    return slot;
}

void MeshInterest::on_peer_down(PeerSlot slot, LinkId link, Instant now, std::vector<Channel*>& settled) {
    Peer& peer = peers_[slot];
    if (peer.link != link) return;
    peer.link = 0;
    peer.down_since = now;
    for (auto next = settling_.begin(); next != settling_.end();) {
        Channel* const channel = (next++)->second;  // settling it takes it out of the map
        if (no_longer_awaited(slot, channel)) settled.push_back(channel);
    }
}

void MeshInterest::want(Channel& channel, Instant now) {
    channel.interest = Interest::settling;
    channel.interest_number = next_interest_++;
    channel.settle_by = now + wait_;
    channel.awaited = 0;
    wanted_.emplace_hint(wanted_.end(), channel.interest_number, &channel);
    settling_.emplace_hint(settling_.end(), channel.interest_number, &channel);
    for (std::size_t slot = 0; slot < peers_.size(); ++slot) {
        if (peers_[slot].link == 0) continue;
        channel.awaited |= bit(static_cast<PeerSlot>(slot));
        announce(peers_[slot], channel);
    }
    if (channel.awaited == 0) settle(channel);
}

void MeshInterest::withdraw(Channel& channel) {
    wanted_.erase(channel.interest_number);
    settling_.erase(channel.interest_number);
    channel.interest = Interest::none;
    channel.interest_number = 0;
    channel.awaited = 0;
    unsubscribe_.mutable_unsubscribe()->set_channel(channel.name.data(), channel.name.size());
    for (const Peer& peer : peers_) {
        if (peer.link != 0) sender_.send(peer.link, unsubscribe_);
    }
}

bool MeshInterest::on_answer(PeerSlot slot, Channel* channel) {
    Peer& peer = peers_[slot];
    if (peer.unanswered > 0) --peer.unanswered;
    announce_more(peer);
    if (channel != nullptr) channel->refused_by &= ~bit(slot);
    return no_longer_awaited(slot, channel);
}

bool MeshInterest::on_refusal(PeerSlot slot, Channel* channel, Instant now) {
    if (!peers_[slot].again_at) peers_[slot].again_at = now + kRefusedRetry;
    const bool settled = on_answer(slot, channel);
    if (channel != nullptr) channel->refused_by |= bit(slot);
    return settled;
}

void MeshInterest::on_tick(Instant now, std::vector<Channel*>& settled) {
    while (!settling_.empty() && settling_.begin()->second->settle_by <= now) {
        Channel& channel = *settling_.begin()->second;
        settle(channel);
        settled.push_back(&channel);
    }
    for (Peer& peer : peers_) {
        if (peer.link == 0 || !peer.again_at || now < *peer.again_at) continue;
        peer.again_at.reset();
        peer.announced = 0;
        peer.announce_end = next_interest_ - 1;
        announce_more(peer);
    }
}

bool MeshInterest::fresh(PeerSlot slot, const Channel& channel) const noexcept {
    const Peer& peer = peers_[slot];
    if ((channel.refused_by & bit(slot)) != 0) return false;
    return !peer.met_before || peer.up_at < channel.settled_at;
}

std::optional<PeerSlot> MeshInterest::slot_for(std::string_view name) {
    const auto same = std::ranges::find(peers_, name, &Peer::name);
    if (same != peers_.end()) return static_cast<PeerSlot>(same - peers_.begin());
    if (peers_.size() < kMaxPeers) {
        peers_.emplace_back().name = name;
        return static_cast<PeerSlot>(peers_.size() - 1);
    }
    Peer* longest_down = nullptr;
    for (Peer& peer : peers_) {
        if (peer.link != 0) continue;
        if (longest_down == nullptr || peer.down_since < longest_down->down_since) longest_down = &peer;
    }
    if (longest_down == nullptr) return std::nullopt;
    const auto slot = static_cast<PeerSlot>(longest_down - peers_.data());
    channels_.for_each([slot](Channel& channel) { channel.forget_peer(slot); });
    *longest_down = Peer{};
    longest_down->name = name;
    return slot;
}

void MeshInterest::announce(Peer& peer, const Channel& channel) {
    subscribe_.mutable_subscribe()->set_channel(channel.name.data(), channel.name.size());
    ++peer.unanswered;
    sender_.send(peer.link, subscribe_);
}

void MeshInterest::announce_more(Peer& peer) {
    while (peer.announced < peer.announce_end && peer.unanswered < kAnnounceWindow) {
        const auto next = wanted_.upper_bound(peer.announced);
        if (next == wanted_.end() || next->first > peer.announce_end) {
            peer.announced = peer.announce_end;
            return;
        }
        peer.announced = next->first;
        announce(peer, *next->second);
    }
}

bool MeshInterest::no_longer_awaited(PeerSlot slot, Channel* channel) {
    if (channel == nullptr || channel->interest != Interest::settling) return false;
    channel->awaited &= ~bit(slot);
    if (channel->awaited != 0) return false;
    settle(*channel);
    return true;
}

void MeshInterest::settle(Channel& channel) {
    settling_.erase(channel.interest_number);
    channel.interest = Interest::settled;
    channel.awaited = 0;
    channel.settled_at = ++events_;
}

}  // namespace weft
