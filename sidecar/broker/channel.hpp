// What a node knows of its channels: positions, interested links, and how long a channel outlives its last interest.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/archive.hpp"
#include "broker/broker.hpp"
#include "weft/position.hpp"
#include "weft/time.hpp"

namespace weft {

/// Index of a peer in MeshInterest; a channel keeps sets of them as bits of one word.
using PeerSlot = std::uint8_t;
inline constexpr std::size_t kMaxPeers = Position::kMaxStreams - 1;  // the remaining stream is the node's own
static_assert(kMaxPeers <= 64, "a set of peers is one word");

/// What the workers' wish for a channel has come to.
enum class Interest : std::uint8_t {
    none,      // no worker wants it
    settling,  // announced to the peers; their answers are awaited, and so are the workers'
    settled,   // every peer that could be reached has answered
};

struct Channel {
    struct PeerStream {
        PeerSlot slot;
        StreamId stream;
    };
    struct Waiting {
        LinkId link;
        std::string position;  // as the worker sent it
    };

    std::string_view name;  // the table's key
    StreamId stream = 0;    // what is published here
    std::uint64_t number = 0;
    Position position;                     // of this node: its own stream, and each stream of peer_streams or history
    std::vector<PeerStream> peer_streams;  // at most one a peer

    std::vector<LinkId> workers;    // interested and answered, in the order in which they came
    std::vector<LinkId> peers;      // peers that dialed us and want what begins here
    std::uint64_t subscribers = 0;  // connections at this node's workers (SubscriberCounts)

    Interest interest = Interest::none;
    std::uint64_t interest_number = 0;  // order in which channels became wanted; 0: not wanted
    std::uint64_t settled_at = 0;       // MeshInterest's count of events
    std::uint64_t awaited = 0;          // peers whose answer is awaited, a bit for each slot
    std::uint64_t refused_by = 0;       // peers that had no room for the channel when they were asked last
    Instant settle_by{};
    std::vector<Waiting> waiting;  // workers that are answered when interest is settled

    std::unique_ptr<ArchivedHistory> history;  // null: none is kept. Then peer_streams says what peers have
    std::uint32_t rules_version = 0;           // HistoryRules::version() when they were looked up last

    bool lingering = false;
    Instant idle_since{};
    std::list<Channel*>::iterator place{};  // among the lingering, when lingering

    [[nodiscard]] bool wanted_by_workers() const noexcept { return !workers.empty() || !waiting.empty(); }
    [[nodiscard]] bool wanted() const noexcept { return wanted_by_workers() || !peers.empty(); }

    /// Whether there is something that would be lost with the channel.
    [[nodiscard]] bool keeps() const noexcept { return history && history->log.size() > 0; }

    /// Whether `text`, a position that somebody had, leaves out something that was published since, as far as this node
    /// can tell. The empty text never does; a text that can't be read does.
    [[nodiscard]] bool lost_since(std::string_view text) const;

    enum class Advance {
        ignored,  // this stream isn't a peer's, or the number is old
        known,    // nothing between what was known and this
        loss,     // publications may have been missed before this
    };
    /// A peer says that its stream of this channel stands at `number`. `fresh_peer`: this peer's stream not being known
    /// is nothing to worry about while its number is 0.
    Advance stands_at(PeerSlot slot, StreamId stream, std::uint64_t number, bool fresh_peer);
    /// Entry `number` of a peer's stream comes. On `loss` the position stands just before it, else on it: call
    /// again after having told the loss.
    Advance arrives(PeerSlot slot, StreamId stream, std::uint64_t number);
    void forget_peer(PeerSlot slot);

private:
    /// The peer's entry, if it has that stream (also when another slot held it: then that was the same node).
    PeerStream* claim(PeerSlot slot, StreamId stream);
    bool replace(PeerSlot slot, StreamId stream, std::uint64_t number);
};

/// All channels of a node, at most `max`. A channel that nobody wants lingers, so that the positions which others keep
/// of it can still be compared; it goes after `linger`, or earlier when a new channel needs the room.
class ChannelTable {
public:
    static constexpr std::size_t kMaxExpiredPerCall = 10'000;

    /// `on_remove` is called before a channel goes.
    ChannelTable(std::size_t max, std::chrono::milliseconds linger, std::function<std::uint64_t()> random,
                 std::function<void(Channel&)> on_remove = {});

    [[nodiscard]] Channel* find(std::string_view name);
    /// Null when there are `max` channels and all of them are wanted (history alone is no wish). Call touch() when done
    /// with a new one.
    Channel* find_or_create(std::string_view name);
    /// To be called after each change of interest and each use: begins, renews or ends the lingering.
    void touch(Channel& channel, Instant now);
    void expire(Instant now);  ///< bounded by kMaxExpiredPerCall

    [[nodiscard]] std::size_t size() const noexcept { return channels_.size(); }
    void for_each(const std::function<void(Channel&)>& visit);

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>{}(name); }
    };

    void remove(Channel& channel);

    std::size_t max_;
    std::chrono::milliseconds linger_;
    std::function<std::uint64_t()> random_;
    std::function<void(Channel&)> on_remove_;
    std::unordered_map<std::string, Channel, Hash, std::equal_to<>> channels_;
    std::list<Channel*> lingering_;  // longest first
};

}  // namespace weft
