// The broker's state, and what it does with it, one file a subject. Only files of the broker include this.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker/acknowledgements.hpp"
#include "broker/archive.hpp"
#include "broker/broker.hpp"
#include "broker/channel.hpp"
#include "broker/history_rules.hpp"
#include "broker/mesh_interest.hpp"
#include "broker/pending_reads.hpp"
#include "broker/pending_surveys.hpp"
#include "broker/presence.hpp"
#include "broker/recent_ids.hpp"
#include "broker/replication.hpp"
#include "broker/sender.hpp"
#include "broker/subscriber_counts.hpp"
#include "weft/codes.hpp"
#include "weft/revocations.hpp"

namespace weft {

struct Broker::State final : private Replication::Events {
    static constexpr std::chrono::milliseconds kRetryWhenFull{1000};

    // By the stream's random id rather than by address, so that whatever is done for each channel is done in an order
    // that depends on the inputs alone: a simulated mesh runs the same way twice.
    struct ByStream {
        std::size_t operator()(const Channel* channel) const noexcept { return channel->stream; }
    };

    struct Link {
        LinkRole role;
        PeerSlot slot = 0;  // of a peer_out
        LinkGreeting greeting;
        std::unordered_set<Channel*, ByStream> channels;  // a dialer's: the ones it wants or waits for
    };

    State(BrokerSettings given, std::function<std::uint64_t()> random, Outbox& outbox);

    BrokerSettings settings;
    Sender sender;
    HistoryRules rules;
    std::uint64_t life;
    Archive archive;
    ChannelTable channels;
    MeshInterest mesh;
    Replication replication;
    PendingReads reads;
    RecentIds ids;
    Acknowledgements acks;
    std::unordered_map<LinkId, Link> links;
    Revocations revocations;
    std::vector<LinkId> peers_in;                      // every publication to a channel with history goes to them all
    std::unordered_set<Channel*, ByStream> held_back;  // settled, but workers wait until their history is complete
    Presence presence;
    SubscriberCounts subscribers;
    PendingSurveys surveys;
    std::uint64_t last_survey = 0;
    Instant started{};
    Instant clock{};  // of the call that the broker is in
    Counts counts{};
    std::vector<Channel*> settled;  // filled by mesh, emptied by answer_settled
    // Frames of the hot path, kept so that their strings are allocated once.
    v1::Frame publication, published, signal;

    // --- what is kept: broker_history.cpp
    // To be called before a channel's history is looked at. One comparison when nothing has changed.
    void apply_rules(Channel& channel) {
        if (channel.rules_version != rules.version()) [[unlikely]]
            renew_rules(channel);
    }
    void renew_rules(Channel& channel);
    void to_workers(const Channel& channel, const v1::Publication& in);
    // An entry has come into the history: to the workers, unless they have had it as another.
    void deliver_entry(Channel& channel, const v1::Publication& entry);
    void on_entry(Channel& channel, const v1::Publication& entry) override;
    void on_loss(Channel& channel) override;
    void on_pulled(Channel& channel) override;
    void answer_read(const PendingReads::Read& read);
    void on_read_history(LinkId link, const Link& from, const v1::ReadHistory& request, Instant now);
    void on_read_digest(LinkId link, const v1::ReadDigest& request);
    // Workers of a channel whose history isn't complete yet are answered when it is, or at the latest a mesh_wait later
    // than they would be.
    /// Whether the channel has a history, or nobody has said yet that it has none.
    [[nodiscard]] bool may_be_kept(const Channel& channel) const noexcept;
    /// Whether all is here that peers held of it when the node started, and have told of since.
    [[nodiscard]] bool complete(const Channel& channel) const noexcept;
    bool hold_back(Channel& channel);
    void release_if_complete(Channel& channel);
    void release_complete();  // of those held back
    void tick_history(Instant now);

    // --- who wants what: broker_interest.cpp
    void subscribed(LinkId link, const Channel& channel, const std::string& position, bool gap);
    void answer_worker(LinkId link, Channel& channel, std::string_view position);
    void answer_waiting(Channel& channel);
    void answer_settled();
    void answer_settled(Channel& channel);
    void on_subscribe(LinkId link, Link& from, const v1::Subscribe& subscribe, Instant now);
    // Takes the interest of `link` out of the channel; the caller takes care of Link::channels.
    void drop_interest(LinkId link, Channel& channel, Instant now);
    void on_unsubscribe(LinkId link, Link& from, const v1::Unsubscribe& unsubscribe, Instant now);

    // --- from workers: broker_publish.cpp
    // Remembers the id; what else has it, or null.
    const RecentIds::First* first_of(const Channel& channel, const v1::Publication& in, StreamId stream,
                                     std::uint64_t number);
    void on_publish(LinkId link, const v1::Publish& publish, Instant now, WallTime wall);
    // A publication of this node on its way into the history, to the workers and to all peers.
    void keep(Channel& channel, v1::Publication& out, Instant now);
    void on_send_signal(LinkId link, const v1::SendSignal& send);

    // --- when a publish is answered: broker_acknowledgement.cpp
    void answer_published(LinkId link, std::uint64_t request, const std::string& message_id, const Position& position);
    void fail_alone(LinkId link, std::uint64_t request, std::string_view why);
    // Whether a publication that needs a peer can hope for one; else it is answered.
    bool can_hope_for_peer(LinkId link, std::uint64_t request);
    void on_acknowledged(const Channel& channel, const Acknowledgements::Waiting& waiting, bool held);
    // A publish that this node has heard of before, perhaps from a peer.
    void repeat(LinkId link, const v1::Publish& publish, Channel& channel, RecentIds::First first, Instant now);
    // A peer says what it has.
    void on_holding(const v1::Holding& holding);
    void tell_holding(LinkId link, const Channel& channel);
    // A peer that we dialed asks whether we have something.
    void on_asked_for_holding(LinkId link, PeerSlot slot, const v1::Holding& asked);
    void on_peer_page(LinkId link, PeerSlot slot, const v1::HistoryPage& page, Instant now);

    // --- one point in what two workers are sent: broker_marks.cpp
    void on_mark(LinkId link, const Link& from, const v1::Mark& mark);

    // --- calls: broker_rpc.cpp
    void on_rpc(LinkId link, const v1::Rpc& rpc, WallTime wall);

    // --- from peers that we dialed: broker_peers.cpp
    // The channel, when workers want it; else null.
    Channel* wanted(const std::string& name);
    void tell_gap(const Channel& channel);
    void on_subscribed(PeerSlot slot, const v1::Subscribed& answer);
    void on_failed(PeerSlot slot, const v1::Failed& failed, Instant now);
    // A peer's publication to a channel of which history is kept, there or here.
    void on_kept_publication(LinkId link, PeerSlot slot, Channel& channel, const v1::Publication& in);
    void on_publication(LinkId link, PeerSlot slot, const v1::Publication& in);
    void on_signal(const v1::Frame& frame);
    void on_peer_gap(const v1::Gap& gap);

    // --- decisions about clients: broker_revocations.cpp
    // To all workers and peers but the one it came from.
    void tell(const v1::Revocation& revocation, LinkId from);
    void tell_all(LinkId to);
    void on_revoke(LinkId link, const v1::Revoke& revoke, WallTime wall);
    // From memory of a worker or a peer, or fresh from a peer.
    void on_revocation(LinkId link, const v1::Revocation& revocation, WallTime wall);

    // --- about the node, its channels and the mesh: broker_survey.cpp
    static constexpr std::chrono::hours kForgetPeer{1};  // that is down: it isn't missed any more
    void on_subscriptions(LinkId link, const Link& from, const v1::Subscriptions& told);
    // False when the pattern is none.
    bool own_channels(const v1::ReadChannels& read, v1::ChannelsPage& page);
    void own_node(v1::NodesPage& page) const;
    void on_read_channels(LinkId link, const Link& from, const v1::ReadChannels& read, Instant now);
    void on_read_nodes(LinkId link, const Link& from, const v1::ReadNodes& read, Instant now);
    // A survey whose link, request and limit are given; `page` has what this node says itself. It asks its `workers`
    // and the peers that it is about.
    void begin_survey(PendingSurveys::Survey survey, v1::Frame& question, Instant now);
    void on_survey_answer(PeerSlot slot, const v1::Frame& page, Instant now);
    void answer_survey(LinkId link, std::uint64_t request, v1::Frame& page);
    // Answers those that need wait no longer.
    void release_surveys(Instant now);
    // Entries, for a limit that is asked for.
    [[nodiscard]] static std::size_t page_size(std::uint32_t limit) noexcept {
        return limit == 0 ? SubscriberCounts::kMaxPage : std::min<std::size_t>(limit, SubscriberCounts::kMaxPage);
    }

    // --- about its clients: broker_clients.cpp
    void on_read_clients(LinkId link, const Link& from, const v1::ReadClients& read, Instant now);
    void on_worker_clients(LinkId link, const v1::Frame& page, Instant now);

    // --- answers, and frames by role: broker.cpp
    void fail(LinkId link, std::uint64_t request, Code code, std::string_view message, std::string_view channel = {},
              std::chrono::milliseconds retry_after = std::chrono::milliseconds{0});
    void fail_full(LinkId link, std::uint64_t request, std::string_view channel = {});
    void from_worker(LinkId link, Link& from, const v1::Frame& frame, Instant now, WallTime wall);
    void from_peer(LinkId link, Link& from, const v1::Frame& frame, Instant now);
    void from_dialer(LinkId link, Link& from, const v1::Frame& frame, Instant now);
    void from_listener(LinkId link, const Link& from, const v1::Frame& frame, Instant now, WallTime wall);
};

}  // namespace weft
