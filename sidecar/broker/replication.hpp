// How a node comes to hold what its peers hold: it asks each of them which histories changed (a digest), and pulls from
// it what is missing here, page by page.
//
// Who pulls sets the pace: kPullsInFlight pages of at most 64 KiB are on their way from a peer at a time, so live
// publications come between them however much there is to catch up.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "broker/archive.hpp"
#include "broker/channel.hpp"
#include "broker/sender.hpp"

namespace weft {

class Replication {
public:
    static constexpr std::size_t kPullsInFlight = 8;  // of one peer
    static constexpr std::size_t kMaxQueued = 8192;   // channels that wait to be pulled from one peer

    class Events {
    public:
        virtual ~Events() = default;
        /// An entry that was missing came; it is in the history, and the channel's position covers it.
        virtual void on_entry(Channel& channel, const v1::Publication& publication) = 0;
        /// Entries that were missing can't be had; the channel's position has moved past them.
        virtual void on_loss(Channel& channel) = 0;
        /// No peer is being asked for the channel any more.
        virtual void on_pulled(Channel& channel) = 0;
    };

    struct Settings {
        std::chrono::milliseconds interval{5'000};     // between digests
        std::chrono::milliseconds fill_wait{2'000};    // for peers to come up, when the node starts
        std::chrono::milliseconds fill_limit{60'000};  // for all of it
        std::size_t expected_peers = 0;
    };

    Replication(Settings settings, Sender& sender, ChannelTable& channels, Archive& archive, Events& events)
        : settings_(settings),
          sender_(sender),
          channels_(channels),
          archive_(archive),
          events_(events),
          filled_(settings.expected_peers == 0) {}

    void on_peer_up(PeerSlot slot, LinkId link, Instant now);
    void on_peer_down(PeerSlot slot, LinkId link);

    /// Something of the channel's history is missing, or may be, and the peer has it. False when the peer is down.
    bool pull(PeerSlot slot, Channel& channel);
    /// The same from all peers that are up; false when none is.
    bool pull_from_all(Channel& channel);

    void on_digest(PeerSlot slot, const v1::Digest& digest, Instant now);
    void on_page(PeerSlot slot, const v1::HistoryPage& page, Instant now);
    void on_failed(PeerSlot slot, std::uint64_t request);
    void on_tick(Instant now);

    /// Whether this node has all that its peers had when it started, as far as they could be reached in time. Once
    /// true, it stays so.
    [[nodiscard]] bool filled() const noexcept { return filled_; }

private:
    struct Peer {
        LinkId link = 0;
        std::uint64_t life = 0, version = 0;  // of the last digest that was handled
        bool asked = false;                   // for a digest
        bool synced = false;                  // once, in this life of ours
        bool first_round = false;             // the first digests are all there
        Instant asked_at{};
        Instant next_digest{};
        std::deque<std::string> queue;
        std::unordered_set<std::string> queued;          // in queue or in flight
        std::map<std::uint64_t, std::string> in_flight;  // by request
    };

    [[nodiscard]] static std::uint64_t bit(PeerSlot slot) noexcept { return std::uint64_t{1} << slot; }
    Peer& peer(PeerSlot slot);
    void ask_digest(Peer& peer, Instant now);
    void request(Peer& peer, const std::string& name);
    void pump(Peer& peer, Instant now);
    void pulled(PeerSlot slot, Channel* channel);
    void check_filled(Instant now);

    Settings settings_;
    Sender& sender_;
    ChannelTable& channels_;
    Archive& archive_;
    Events& events_;
    std::vector<Peer> peers_;  // by slot
    std::uint64_t next_request_ = 1;
    Instant started_{};
    bool started_known_ = false;
    bool filled_;
};

}  // namespace weft
