#include "broker/broker.hpp"

#include <string>
#include <utility>
#include <vector>

#include "broker/broker_state.hpp"
#include "weft/channel.hpp"
#include "weft/codes.hpp"

namespace weft {

Broker::State::State(BrokerSettings given, std::function<std::uint64_t()> random, Outbox& outbox)
    : settings(std::move(given)),
      sender(outbox),
      life(random()),
      archive(settings.history_bytes, life),
      channels(settings.max_channels, settings.channel_linger, std::move(random),
               [this](Channel& channel) {
                   archive.close(channel);
                   acks.forget(channel);
               }),
      mesh(sender, channels, settings.mesh_wait),
      replication({.interval = settings.sync_interval,
                   .fill_wait = settings.fill_wait,
                   .expected_peers = settings.expected_peers},
                  sender, channels, archive, *this),
      ids({.window = settings.id_window, .max_bytes = settings.id_bytes}),
      acks([this](const Channel& channel, const Acknowledgements::Waiting& waiting, bool held) {
          on_acknowledged(channel, waiting, held);
      }),
      presence({.member_timeout = settings.member_timeout,
                .gather_wait = settings.gather_wait,
                .expected_peers = settings.expected_peers},
               sender, channels, peers_in, life) {}

void Broker::State::fail(LinkId link, std::uint64_t request, Code code, std::string_view message,
                         std::string_view channel, std::chrono::milliseconds retry_after) {
    v1::Frame frame;
    v1::Failed& failed = *frame.mutable_failed();
    failed.set_request(request);
    failed.set_code(static_cast<std::uint32_t>(code));
    failed.set_message(message.data(), message.size());
    failed.set_retry_after_ms(static_cast<std::uint32_t>(retry_after.count()));
    // A name beyond the bound belongs to a link that breaks the rules, and isn't carried back.
    if (channel.size() <= kMaxChannelName) failed.set_channel(channel.data(), channel.size());
    sender.send(link, frame);
}

void Broker::State::fail_full(LinkId link, std::uint64_t request, std::string_view channel) {
    fail(link, request, Code::unavailable,
         "node " + settings.node + " has its maximum of " + std::to_string(settings.max_channels) + " channels",
         channel, kRetryWhenFull);
}

void Broker::State::from_worker(LinkId link, Link& from, const v1::Frame& frame, Instant now, WallTime wall) {
    switch (frame.body_case()) {
        case v1::Frame::kPublish: return on_publish(link, frame.publish(), now, wall);
        case v1::Frame::kSendSignal: return on_send_signal(link, frame.send_signal());
        case v1::Frame::kRpc: return on_rpc(link, frame.rpc(), wall);
        case v1::Frame::kRevoke: return on_revoke(link, frame.revoke(), wall);
        case v1::Frame::kRevocation: return on_revocation(link, frame.revocation(), wall);
        case v1::Frame::kMemberJoin: return presence.join(link, frame.member_join(), now);
        case v1::Frame::kMemberLeave: return presence.leave(link, frame.member_leave(), now);
        case v1::Frame::kMemberCount: return presence.count(link, frame.member_count(), now);
        case v1::Frame::kReadMembers: return presence.read(link, frame.read_members());
        case v1::Frame::kSubscriptions: return on_subscriptions(link, from, frame.subscriptions());
        case v1::Frame::kClientsPage: return on_worker_clients(link, frame, now);
        case v1::Frame::kMark: return on_mark(link, from, frame.mark());
        default: return from_dialer(link, from, frame, now);
    }
}

void Broker::State::from_peer(LinkId link, Link& from, const v1::Frame& frame, Instant now) {
    if (frame.has_read_digest()) return on_read_digest(link, frame.read_digest());
    if (frame.has_sync_members()) return presence.sync(link, frame.sync_members());
    if (frame.has_holding()) return on_holding(frame.holding());
    from_dialer(link, from, frame, now);
}

void Broker::State::from_dialer(LinkId link, Link& from, const v1::Frame& frame, Instant now) {
    switch (frame.body_case()) {
        case v1::Frame::kSubscribe: return on_subscribe(link, from, frame.subscribe(), now);
        case v1::Frame::kUnsubscribe: return on_unsubscribe(link, from, frame.unsubscribe(), now);
        case v1::Frame::kReadHistory: return on_read_history(link, from, frame.read_history(), now);
        case v1::Frame::kReadChannels: return on_read_channels(link, from, frame.read_channels(), now);
        case v1::Frame::kReadNodes: return on_read_nodes(link, from, frame.read_nodes(), now);
        case v1::Frame::kReadClients: return on_read_clients(link, from, frame.read_clients(), now);
        default: ++counts.ignored;
    }
}

void Broker::State::from_listener(LinkId link, const Link& from, const v1::Frame& frame, Instant now, WallTime wall) {
    if (!mesh.speaks(from.slot, link)) return void(++counts.ignored);  // the node has a newer link
    switch (frame.body_case()) {
        case v1::Frame::kSubscribed: return on_subscribed(from.slot, frame.subscribed());
        case v1::Frame::kPublication: return on_publication(link, from.slot, frame.publication());
        case v1::Frame::kSignal: return on_signal(frame);
        case v1::Frame::kFailed: return on_failed(from.slot, frame.failed(), now);
        case v1::Frame::kGap: return on_peer_gap(frame.gap());
        case v1::Frame::kRevocation: return on_revocation(link, frame.revocation(), wall);
        case v1::Frame::kDigest: return replication.on_digest(from.slot, frame.digest(), now);
        case v1::Frame::kMemberChange: return presence.on_change(link, frame.member_change());
        case v1::Frame::kMemberChanges: return presence.on_changes(link, frame.member_changes(), now);
        case v1::Frame::kHistoryPage: return on_peer_page(link, from.slot, frame.history_page(), now);
        case v1::Frame::kHolding: return on_asked_for_holding(link, from.slot, frame.holding());
        case v1::Frame::kChannelsPage:
        case v1::Frame::kClientsPage:
        case v1::Frame::kNodesPage: return on_survey_answer(from.slot, frame, now);
        default: ++counts.ignored;
    }
}

Broker::Broker(BrokerSettings settings, std::function<std::uint64_t()> random, Outbox& outbox)
    : state_(std::make_unique<State>(std::move(settings), std::move(random), outbox)) {}

Broker::~Broker() = default;

void Broker::on_link_up(LinkId link, LinkRole role, std::string_view name, Instant now, LinkGreeting greeting) {
    on_link_down(link, now);  // never up twice, whatever the caller does
    state_->clock = now;
    PeerSlot slot = 0;
    if (role == LinkRole::peer_out) {
        const auto given = state_->mesh.on_peer_up(link, name, now);
        if (!given) return void(++state_->counts.ignored);  // more peers than a position can name
        slot = *given;
    }
    state_->links.try_emplace(link, State::Link{role, slot, greeting, {}});
    if (role == LinkRole::worker) state_->subscribers.on_worker_up(link);
    if (role != LinkRole::peer_out) state_->tell_all(link);
    if (role == LinkRole::peer_in) state_->peers_in.push_back(link);
    if (role == LinkRole::peer_out) state_->replication.on_peer_up(slot, link, now);
    if (role == LinkRole::peer_out) state_->presence.on_peer_up(link, name, now);
}

void Broker::on_link_down(LinkId link, Instant now) {
    const auto place = state_->links.find(link);
    if (place == state_->links.end()) return;
    const State::Link gone = std::move(place->second);
    state_->links.erase(place);
    state_->clock = now;
    state_->reads.forget(link);
    state_->surveys.forget(link);
    if (gone.role == LinkRole::peer_in) std::erase(state_->peers_in, link);
    if (gone.role == LinkRole::worker) state_->presence.on_worker_down(link, now);
    if (gone.role == LinkRole::peer_out) {
        state_->presence.on_peer_down(link, now);
        state_->replication.on_peer_down(gone.slot, link);
        if (state_->mesh.speaks(gone.slot, link)) state_->surveys.no_longer_await_peer(gone.slot);
        state_->mesh.on_peer_down(gone.slot, link, now, state_->settled);
        state_->release_surveys(now);
        return state_->answer_settled();
    }
    for (Channel* const channel : gone.channels) state_->drop_interest(link, *channel, now);
    state_->subscribers.on_worker_down(link);
    state_->surveys.no_longer_await_worker(link);
    state_->release_surveys(now);
}

void Broker::on_frame(LinkId link, const v1::Frame& frame, Instant now, WallTime wall) {
    const auto place = state_->links.find(link);
    if (place == state_->links.end()) return void(++state_->counts.ignored);
    State::Link& from = place->second;
    state_->clock = now;
    switch (from.role) {
        case LinkRole::worker: return state_->from_worker(link, from, frame, now, wall);
        case LinkRole::peer_in: return state_->from_peer(link, from, frame, now);
        case LinkRole::peer_out: return state_->from_listener(link, from, frame, now, wall);
    }
}

void Broker::on_rules(const v1::ChannelRules& rules) {
    const bool known = state_->rules.known();
    if (state_->rules.update(rules) && !known) state_->release_complete();  // those that keep no history
}

bool Broker::knows(const v1::Publish& publish) const {
    return !publish.message_id().empty() &&
           state_->ids.find(publish.channel(), publish.has_publisher() ? &publish.publisher() : nullptr,
                            publish.message_id()) != nullptr;
}

bool Broker::filled() const noexcept {
    return state_->replication.filled();
}

void Broker::on_tick(Instant now) {
    state_->clock = now;
    if (state_->started == Instant{}) state_->started = now;
    state_->release_surveys(now);
    state_->mesh.on_tick(now, state_->settled);
    state_->answer_settled();
    state_->tick_history(now);
    state_->presence.on_tick(now);
    state_->acks.expire(now);
    state_->ids.expire(now);
    state_->channels.expire(now);
}

Broker::Counts Broker::counts() const noexcept {
    Counts counts = state_->counts;
    counts.channels = state_->channels.size();
    counts.histories = state_->archive.histories();
    counts.history_bytes = state_->archive.bytes();
    counts.evicted = state_->archive.evicted();
    counts.members = state_->presence.own();
    counts.members_refused = state_->presence.refused();
    counts.awaiting = state_->acks.size();
    counts.ids = state_->ids.size();
    for (const auto& [id, link] : state_->links) {
        switch (link.role) {
            case LinkRole::worker: ++counts.workers; break;
            case LinkRole::peer_in: ++counts.peers_in; break;
            case LinkRole::peer_out: ++counts.peers_out; break;
        }
    }
    return counts;
}

}  // namespace weft
