#include "broker/channel.hpp"

#include <algorithm>
#include <utility>

namespace weft {
namespace {

// Random bits of a stream's id: short texts in every position, and still one chance in 10^12 for two nodes to collide.
constexpr std::uint64_t kStreamMask = (std::uint64_t{1} << 40) - 1;

}  // namespace

bool Channel::lost_since(std::string_view text) const {
    if (text.empty()) return false;
    const auto theirs = Position::parse(text);
    return !theirs || !theirs->covers(position);
}

Channel::PeerStream* Channel::claim(PeerSlot slot, StreamId wanted) {
    const auto found = std::ranges::find(peer_streams, wanted, &PeerStream::stream);
    if (found == peer_streams.end()) return nullptr;
    if (found->slot != slot) {
        forget_peer(slot);
        const auto moved = std::ranges::find(peer_streams, wanted, &PeerStream::stream);
        moved->slot = slot;
        return &*moved;
    }
    return &*found;
}

bool Channel::replace(PeerSlot slot, StreamId new_stream, std::uint64_t new_number) {
    forget_peer(slot);
    if (!position.set(new_stream, new_number)) return false;
    peer_streams.push_back({slot, new_stream});
    return true;
}

Channel::Advance Channel::stands_at(PeerSlot slot, StreamId peer_stream, std::uint64_t peer_number, bool fresh_peer) {
    if (peer_stream == 0 || peer_stream == stream) return Advance::ignored;
    if (claim(slot, peer_stream) != nullptr) {
        if (*position.find(peer_stream) == peer_number) return Advance::known;
        position.set(peer_stream, peer_number);
        return Advance::loss;
    }
    const bool had_another = std::ranges::find(peer_streams, slot, &PeerStream::slot) != peer_streams.end();
    if (!replace(slot, peer_stream, peer_number)) return Advance::ignored;
    // Another stream, even one at 0: what the old one came to in the end nobody can tell any more.
    return !had_another && peer_number == 0 && fresh_peer ? Advance::known : Advance::loss;
}

Channel::Advance Channel::arrives(PeerSlot slot, StreamId peer_stream, std::uint64_t peer_number) {
    if (peer_stream == 0 || peer_number == 0 || peer_stream == stream) return Advance::ignored;
    if (claim(slot, peer_stream) == nullptr) {
        return replace(slot, peer_stream, peer_number - 1) ? Advance::loss : Advance::ignored;
    }
    const std::uint64_t known = *position.find(peer_stream);
    if (peer_number <= known) return Advance::ignored;
    const bool next = peer_number - 1 == known;
    position.set(peer_stream, next ? peer_number : peer_number - 1);
    return next ? Advance::known : Advance::loss;
}

void Channel::forget_peer(PeerSlot slot) {
    const auto found = std::ranges::find(peer_streams, slot, &PeerStream::slot);
    if (found == peer_streams.end()) return;
    position.erase(found->stream);
    peer_streams.erase(found);
}

ChannelTable::ChannelTable(std::size_t max, std::chrono::milliseconds linger, std::function<std::uint64_t()> random,
                           std::function<void(Channel&)> on_remove)
    : max_(max), linger_(linger), random_(std::move(random)), on_remove_(std::move(on_remove)) {}

Channel* ChannelTable::find(std::string_view name) {
    const auto found = channels_.find(name);
    return found == channels_.end() ? nullptr : &found->second;
}

Channel* ChannelTable::find_or_create(std::string_view name) {
    if (Channel* const known = find(name)) return known;
    if (channels_.size() >= max_) {
        if (lingering_.empty()) return nullptr;
        remove(*lingering_.front());
    }
    const auto [place, is_new] = channels_.try_emplace(std::string(name));
    Channel& channel = place->second;
    channel.name = place->first;
    channel.stream = std::max<StreamId>(random_() & kStreamMask, 1);
    channel.position.set(channel.stream, 0);
    return &channel;
}

void ChannelTable::touch(Channel& channel, Instant now) {
    if (std::exchange(channel.lingering, false)) lingering_.erase(channel.place);
    if (channel.wanted()) return;
    channel.lingering = true;
    channel.idle_since = now;
    channel.place = lingering_.insert(lingering_.end(), &channel);
}

void ChannelTable::expire(Instant now) {
    for (std::size_t i = 0; i < kMaxExpiredPerCall && !lingering_.empty(); ++i) {
        Channel& oldest = *lingering_.front();
        if (now - oldest.idle_since < linger_) return;
        if (oldest.keeps()) {
            touch(oldest, now);
        } else {
            remove(oldest);
        }
    }
}

void ChannelTable::for_each(const std::function<void(Channel&)>& visit) {
    for (auto& [name, channel] : channels_) visit(channel);
}

void ChannelTable::remove(Channel& channel) {
    if (on_remove_) on_remove_(channel);
    if (channel.lingering) lingering_.erase(channel.place);
    channels_.erase(channels_.find(channel.name));
}

}  // namespace weft
