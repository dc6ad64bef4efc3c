// The node's interest in what begins at its peers: which channels it has announced, who has answered, and when it may
// be said that nothing is missed from now on.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/channel.hpp"
#include "broker/sender.hpp"

namespace weft {

class MeshInterest {
public:
    /// Announcements that one peer has not answered yet, when it came up and learns of all channels.
    static constexpr std::size_t kAnnounceWindow = 4096;
    /// A peer that refused a channel (it has too many) is asked for everything again after this.
    static constexpr std::chrono::milliseconds kRefusedRetry{30'000};

    MeshInterest(Sender& sender, ChannelTable& channels, std::chrono::milliseconds wait);

    /// Begins to announce all wanted channels. The slot belongs to the node `name` also after the link is down; another
    /// node gets it only when all kMaxPeers are used, the one that is down for longest first. No value when all are up.
    std::optional<PeerSlot> on_peer_up(LinkId link, std::string_view name, Instant now);
    /// Ignored when the peer has another link by now. Adds the channels that waited for this peer only to `settled`.
    void on_peer_down(PeerSlot slot, LinkId link, Instant now, std::vector<Channel*>& settled);

    /// Workers begin to want the channel: asks the peers. It is settled at once when none is up.
    void want(Channel& channel, Instant now);
    /// No worker wants it any more.
    void withdraw(Channel& channel);

    /// The peer answered an announcement, and was heard. `channel` is null when nobody wants it any more. True when
    /// that settled the channel.
    bool on_answer(PeerSlot slot, Channel* channel);
    /// The peer answered that it can't: the channel doesn't wait for it, and it is asked again later.
    bool on_refusal(PeerSlot slot, Channel* channel, Instant now);

    /// Adds the channels for which the wait is over to `settled`.
    void on_tick(Instant now, std::vector<Channel*>& settled);

    /// Whether `link` is the one through which that peer speaks now.
    [[nodiscard]] bool speaks(PeerSlot slot, LinkId link) const noexcept { return peers_[slot].link == link; }
    /// Calls `visit(slot, name, link, down_since)` for each peer that is known; the link of one that is down is 0.
    template <class Visit>
    void for_each_peer(Visit visit) const {
        for (std::size_t slot = 0; slot < peers_.size(); ++slot) {
            const Peer& peer = peers_[slot];
            visit(static_cast<PeerSlot>(slot), peer.name, peer.link, peer.down_since);
        }
    }
    /// Whether the peer can't have forgotten anything of `channel` since the workers were answered: it is new to us, or
    /// was there then. (It has forgotten when it restarted, or had too many channels.)
    [[nodiscard]] bool fresh(PeerSlot slot, const Channel& channel) const noexcept;

private:
    struct Peer {
        std::string name;
        LinkId link = 0;  // 0: down
        bool met_before = false;
        std::uint64_t up_at = 0;  // in events_
        Instant down_since{};
        // Announcing: channels with interest_number in (announced, announce_end] are still to be named.
        std::uint64_t announced = 0;
        std::uint64_t announce_end = 0;
        std::size_t unanswered = 0;
        std::optional<Instant> again_at;
    };

    [[nodiscard]] static std::uint64_t bit(PeerSlot slot) noexcept { return std::uint64_t{1} << slot; }
    std::optional<PeerSlot> slot_for(std::string_view name);
    void announce(Peer& peer, const Channel& channel);
    void announce_more(Peer& peer);
    bool no_longer_awaited(PeerSlot slot, Channel* channel);
    void settle(Channel& channel);

    Sender& sender_;
    ChannelTable& channels_;
    std::chrono::milliseconds wait_;
    std::vector<Peer> peers_;                     // at most kMaxPeers, indexed by slot
    std::map<std::uint64_t, Channel*> wanted_;    // by interest_number
    std::map<std::uint64_t, Channel*> settling_;  // by interest_number, which is also the order of settle_by
    std::uint64_t next_interest_ = 1;
    std::uint64_t events_ = 0;  // peers that came up and channels that were settled: says which was first
    v1::Frame subscribe_, unsubscribe_;
};

}  // namespace weft
