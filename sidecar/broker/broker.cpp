#include "broker/broker.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "broker/acknowledgements.hpp"
#include "broker/archive.hpp"
#include "broker/builtin_rpc.hpp"
#include "broker/channel.hpp"
#include "broker/history_rules.hpp"
#include "broker/mesh_interest.hpp"
#include "broker/pending_reads.hpp"
#include "broker/presence.hpp"
#include "broker/recent_ids.hpp"
#include "broker/replication.hpp"
#include "broker/sender.hpp"
#include "weft/channel.hpp"
#include "weft/codes.hpp"
#include "weft/revocations.hpp"

namespace weft {
namespace {

constexpr std::size_t kMaxMessageId = 64;   // bytes, as in the client protocol
constexpr std::size_t kMaxSignalName = 64;  // bytes, as in the client protocol
constexpr std::chrono::milliseconds kRetryWhenFull{1000};
constexpr std::chrono::milliseconds kRetryWhenAlone{1000};

// By the stream's random id rather than by address, so that whatever is done for each channel is done in an order that
// depends on the inputs alone: a simulated mesh runs the same way twice.
struct ByStream {
    std::size_t operator()(const Channel* channel) const noexcept { return channel->stream; }
};

struct Link {
    LinkRole role;
    PeerSlot slot = 0;                                // of a peer_out
    std::unordered_set<Channel*, ByStream> channels;  // a dialer's: the ones it wants or waits for
};

// "<stream base36>-<number>"
std::string message_id_of(StreamId stream, std::uint64_t number) {
    char digits[20];
    std::string text(digits, std::to_chars(digits, digits + sizeof digits, stream, 36).ptr);
    text += '-';
    return text.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

bool erase_link(std::vector<LinkId>& links, LinkId link) {
    const auto place = std::ranges::find(links, link);
    if (place == links.end()) return false;
    links.erase(place);
    return true;
}

}  // namespace

struct Broker::State final : private Replication::Events {
    State(BrokerSettings given, std::function<std::uint64_t()> random, Outbox& outbox)
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
    Instant clock{};  // of the call that the broker is in
    Counts counts{};
    std::vector<Channel*> settled;  // filled by mesh, emptied by answer_settled
    // Frames of the hot path, kept so that their strings are allocated once.
    v1::Frame publication, published, signal;

    void fail(LinkId link, std::uint64_t request, Code code, std::string_view message, std::string_view channel = {},
              std::chrono::milliseconds retry_after = std::chrono::milliseconds{0}) {
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

    void fail_full(LinkId link, std::uint64_t request, std::string_view channel = {}) {
        fail(link, request, Code::unavailable,
             "node " + settings.node + " has its maximum of " + std::to_string(settings.max_channels) + " channels",
             channel, kRetryWhenFull);
    }

    // --- history --------------------------------------------------------------------------------------------------

    // To be called before a channel's history is looked at. One comparison when nothing has changed.
    void apply_rules(Channel& channel) {
        if (channel.rules_version == rules.version()) return;
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

    void to_workers(const Channel& channel, const v1::Publication& in) {
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

    // An entry has come into the history: to the workers, unless they have had it as another.
    void deliver_entry(Channel& channel, const v1::Publication& entry) {
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

    void on_entry(Channel& channel, const v1::Publication& entry) override { deliver_entry(channel, entry); }
    void on_loss(Channel& channel) override { tell_gap(channel); }
    void on_pulled(Channel& channel) override {
        reads.release(channel.name, [this](const PendingReads::Read& read) { answer_read(read); });
        if (held_back.contains(&channel)) release_if_complete(channel);
    }

    void answer_read(const PendingReads::Read& read) {
        v1::Frame frame;
        Archive::read(channels.find(read.request.channel()), read.after, read.request, read.for_peer, clock,
                      *frame.mutable_history_page());
        sender.send(read.link, frame);
    }

    void on_read_history(LinkId link, const Link& from, const v1::ReadHistory& request, Instant now) {
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
            channel->history->log.trim(now);
            // It may be of a stream that this node is only about to hear of.
            if (!for_peer && channel->history->log.start(read.after).unknown && replication.pull_from_all(*channel) &&
                channel->history->pulling != 0 && reads.hold(read)) {
                return;
            }
        }
        answer_read(read);
    }

    void on_read_digest(LinkId link, const v1::ReadDigest& request) {
        v1::Frame frame;
        archive.digest(request, *frame.mutable_digest());
        sender.send(link, frame);
    }

    // Workers of a channel whose history isn't complete yet are answered when it is, or at the latest a mesh_wait later
    // than they would be.
    bool hold_back(Channel& channel) {
        apply_rules(channel);
        if (!channel.history || (replication.filled() && channel.history->pulling == 0)) return false;
        if (channel.waiting.empty()) return false;
        held_back.insert(&channel);
        return true;
    }

    void release_if_complete(Channel& channel) {
        const bool complete = replication.filled() && (!channel.history || channel.history->pulling == 0);
        const bool late = replication.filled() && clock >= channel.settle_by + settings.mesh_wait;
        if (!complete && !late) return;
        answer_waiting(channel);
    }

    void tick_history(Instant now) {
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
        if (held_back.empty()) return;
        const std::vector<Channel*> all(held_back.begin(), held_back.end());
        for (Channel* const channel : all) release_if_complete(*channel);
    }

    // --- interest -------------------------------------------------------------------------------------------------

    void subscribed(LinkId link, const Channel& channel, const std::string& position, bool gap) {
        v1::Frame frame;
        v1::Subscribed& answer = *frame.mutable_subscribed();
        answer.set_channel(channel.name.data(), channel.name.size());
        answer.set_position(position);
        answer.set_gap(gap);
        answer.set_history(channel.history != nullptr);
        answer.set_members(presence.members(channel.name));
        answer.set_members_known(presence.gathered());
        sender.send(link, frame);
    }

    void answer_worker(LinkId link, Channel& channel, std::string_view position) {
        if (std::ranges::find(channel.workers, link) == channel.workers.end()) channel.workers.push_back(link);
        subscribed(link, channel, channel.position.text(), channel.lost_since(position));
    }

    void answer_waiting(Channel& channel) {
        held_back.erase(&channel);
        for (const Channel::Waiting& waiting : std::exchange(channel.waiting, {})) {
            answer_worker(waiting.link, channel, waiting.position);
        }
    }

    void answer_settled() {
        for (Channel* const channel : settled) answer_settled(*channel);
        settled.clear();
    }

    void answer_settled(Channel& channel) {
        if (!hold_back(channel)) answer_waiting(channel);
    }

    void on_subscribe(LinkId link, Link& from, const v1::Subscribe& subscribe, Instant now) {
        if (!is_channel_name(subscribe.channel())) {
            return fail(link, 0, Code::invalid_message, "not a channel name", subscribe.channel());
        }
        Channel* const channel = channels.find_or_create(subscribe.channel());
        if (channel == nullptr) return fail_full(link, 0, subscribe.channel());
        from.channels.insert(channel);
        apply_rules(*channel);

        if (from.role == LinkRole::peer_in) {
            if (std::ranges::find(channel->peers, link) == channel->peers.end()) channel->peers.push_back(link);
            Position own;
            own.set(channel->stream, channel->number);
            bool gap = false;
            if (!subscribe.position().empty()) {
                const auto theirs = Position::parse(subscribe.position());
                gap = !theirs || !theirs->covers(own);
            }
            subscribed(link, *channel, own.text(), gap);
        } else {
            if (channel->interest == Interest::none) mesh.want(*channel, now);
            if (channel->interest == Interest::settled && (!channel->history || replication.filled()) &&
                channel->waiting.empty()) {
                answer_worker(link, *channel, subscribe.position());
            } else {
                const auto known = std::ranges::find(channel->waiting, link, &Channel::Waiting::link);
                if (known == channel->waiting.end()) {
                    channel->waiting.push_back({link, subscribe.position()});
                } else {
                    known->position = subscribe.position();
                }
                if (channel->interest == Interest::settled) held_back.insert(channel);
            }
        }
        channels.touch(*channel, now);
    }

    // Takes the interest of `link` out of the channel; the caller takes care of Link::channels.
    void drop_interest(LinkId link, Channel& channel, Instant now) {
        const bool was_wanted = channel.wanted_by_workers();
        erase_link(channel.peers, link);
        erase_link(channel.workers, link);
        std::erase_if(channel.waiting, [link](const Channel::Waiting& waiting) { return waiting.link == link; });
        if (channel.waiting.empty()) held_back.erase(&channel);
        if (was_wanted && !channel.wanted_by_workers()) mesh.withdraw(channel);
        channels.touch(channel, now);
    }

    void on_unsubscribe(LinkId link, Link& from, const v1::Unsubscribe& unsubscribe, Instant now) {
        Channel* const channel = channels.find(unsubscribe.channel());
        if (channel != nullptr && from.channels.erase(channel) != 0) drop_interest(link, *channel, now);
    }

    // --- from workers ---------------------------------------------------------------------------------------------

    // Remembers the id; what else has it, or null.
    const RecentIds::First* first_of(const Channel& channel, const v1::Publication& in, StreamId stream,
                                     std::uint64_t number) {
        return ids.note(channel.name, in.has_publisher() ? &in.publisher() : nullptr, in.message_id(), {stream, number},
                        clock);
    }

    void answer_published(LinkId link, std::uint64_t request, const std::string& message_id, const Position& position) {
        if (request == 0) return;
        v1::Published& answer = *published.mutable_published();
        answer.set_request(request);
        answer.set_message_id(message_id);
        answer.set_position(position.text());
        sender.send(link, published);
    }

    void fail_alone(LinkId link, std::uint64_t request, std::string_view why) {
        ++counts.unacknowledged;
        fail(link, request, Code::unavailable, why, {}, kRetryWhenAlone);
    }

    // Whether a publication that needs a peer can hope for one; else it is answered.
    bool can_hope_for_peer(LinkId link, std::uint64_t request) {
        if (peers_in.empty()) {
            fail_alone(link, request,
                       "this channel acknowledges what a second node has (\"ack peer\"), and node " + settings.node +
                           " has no peer at the moment: nothing was published, try again");
            return false;
        }
        if (acks.full()) {
            fail_alone(link, request, "too many publications wait for a second node: nothing was published, try again");
            return false;
        }
        return true;
    }

    void on_acknowledged(const Channel& channel, const Acknowledgements::Waiting& waiting, bool held) {
        if (held) return answer_published(waiting.link, waiting.request, waiting.message_id, channel.position);
        fail_alone(
            waiting.link, waiting.request,
            "no second node has confirmed the publication in time; try again with the same message_id, and it is "
            "delivered once");
    }

    // A publish that this node has heard of before, perhaps from a peer.
    void repeat(LinkId link, const v1::Publish& publish, Channel& channel, RecentIds::First first, Instant now) {
        ++counts.repeated;
        if (!channel.history || !channel.history->log.retention().ack) {
            return answer_published(link, publish.request(), publish.message_id(), channel.position);
        }
        if (publish.request() == 0 || !can_hope_for_peer(link, publish.request())) return;
        acks.await(
            channel, channel.stream,
            {link, publish.request(), publish.message_id(), first.stream, first.number, now + settings.ack_timeout});
        Position wanted;
        wanted.set(first.stream, first.number);
        v1::Frame frame;
        frame.mutable_holding()->set_channel(channel.name.data(), channel.name.size());
        frame.mutable_holding()->set_position(wanted.text());
        sender.send(peers_in, frame);
    }

    // A peer says what it has.
    void on_holding(const v1::Holding& holding) {
        const Channel* const channel = channels.find(holding.channel());
        const auto position = Position::parse(holding.position());
        if (!position) return void(++counts.ignored);
        if (channel != nullptr) acks.held(*channel, *position);
    }

    void tell_holding(LinkId link, const Channel& channel) {
        v1::Frame frame;
        frame.mutable_holding()->set_channel(channel.name.data(), channel.name.size());
        frame.mutable_holding()->set_position(channel.position.text());
        sender.send(link, frame);
    }

    // A peer that we dialed asks whether we have something.
    void on_asked_for_holding(LinkId link, PeerSlot slot, const v1::Holding& asked) {
        const auto wanted = Position::parse(asked.position());
        if (!wanted || !is_channel_name(asked.channel())) return void(++counts.ignored);
        Channel* const channel = channels.find_or_create(asked.channel());
        if (channel == nullptr) return void(++counts.ignored);
        apply_rules(*channel);
        if (channel->history && channel->position.includes(*wanted)) {
            tell_holding(link, *channel);
        } else {
            replication.pull(slot, *channel);  // and then it is told
        }
        channels.touch(*channel, clock);
    }

    void on_peer_page(LinkId link, PeerSlot slot, const v1::HistoryPage& page, Instant now) {
        replication.on_page(slot, page, now);
        if (!page.retention().ack()) return;
        const Channel* const channel = channels.find(page.channel());
        if (channel != nullptr && channel->history) tell_holding(link, *channel);
    }

    void on_publish(LinkId link, const v1::Publish& publish, Instant now, WallTime wall) {
        const auto refuse = [&](std::string_view message) {
            fail(link, publish.request(), Code::invalid_message, message);
        };
        if (!is_channel_name(publish.channel())) return refuse("not a channel name");
        if (publish.data().empty()) return refuse("a publication needs data");
        if (publish.message_id().size() > kMaxMessageId) {
            return refuse("a message_id is longer than " + std::to_string(kMaxMessageId) + " bytes");
        }
        Channel* const channel = channels.find_or_create(publish.channel());
        if (channel == nullptr) return fail_full(link, publish.request());

        apply_rules(*channel);
        const bool own_id = !publish.message_id().empty();
        if (own_id) {
            const auto* const first = ids.find(
                publish.channel(), publish.has_publisher() ? &publish.publisher() : nullptr, publish.message_id());
            if (first != nullptr) {
                repeat(link, publish, *channel, *first, now);
                return channels.touch(*channel, now);
            }
        }
        const bool needs_peer = channel->history && channel->history->log.retention().ack;
        if (needs_peer && !can_hope_for_peer(link, publish.request())) return channels.touch(*channel, now);
        channel->position.set(channel->stream, ++channel->number);
        v1::Publication& out = *publication.mutable_publication();
        out.set_channel(publish.channel());
        out.set_data(publish.data());
        out.set_message_id(publish.message_id().empty() ? message_id_of(channel->stream, channel->number)
                                                        : publish.message_id());
        out.set_timestamp_ms(wall.time_since_epoch().count());
        out.set_position(channel->position.text());
        if (publish.has_publisher()) {
            *out.mutable_publisher() = publish.publisher();
        } else {
            out.clear_publisher();
        }
        out.clear_retention();
        out.clear_age_ms();
        out.set_own_id(own_id);
        out.clear_repeat();
        if (own_id) first_of(*channel, out, channel->stream, channel->number);
        if (channel->history) {
            keep(*channel, out, now);
        } else {
            out.clear_stream();
            out.clear_number();
            sender.send(channel->workers, publication);
            if (!channel->peers.empty()) {
                out.set_stream(channel->stream);
                out.set_number(channel->number);
                sender.send(channel->peers, publication);
            }
            counts.delivered += channel->workers.size() + channel->peers.size();
        }
        ++counts.published;

        if (needs_peer && publish.request() != 0) {
            acks.await(*channel, channel->stream,
                       {link, publish.request(), out.message_id(), channel->stream, channel->number,
                        now + settings.ack_timeout});
        } else if (publish.request() != 0) {
            v1::Published& answer = *published.mutable_published();
            answer.set_request(publish.request());
            answer.set_message_id(out.message_id());
            answer.set_position(out.position());
            sender.send(link, published);
        }
        channels.touch(*channel, now);
    }

    // A publication of this node on its way into the history, to the workers and to all peers.
    void keep(Channel& channel, v1::Publication& out, Instant now) {
        ArchivedHistory& history = *channel.history;
        out.set_stream(channel.stream);
        out.set_number(channel.number);
        out.set_timestamp_ms(std::max(out.timestamp_ms(), history.log.streams().front().timestamp_ms));
        Archive::take(history, out, now);
        archive.changed(history, now);
        sender.send(channel.workers, publication);
        if (!peers_in.empty()) {
            HistoryRules::write(history.log.retention(), *out.mutable_retention());
            sender.send(peers_in, publication);
        }
        counts.delivered += channel.workers.size() + peers_in.size();
    }

    void on_send_signal(LinkId link, const v1::SendSignal& send) {
        if (!is_channel_name(send.channel()) || send.name().empty() || send.name().size() > kMaxSignalName) {
            if (send.request() == 0) return void(++counts.ignored);
            return fail(link, send.request(), Code::invalid_message,
                        "a signal needs a channel and a name of at most " + std::to_string(kMaxSignalName) + " bytes");
        }
        ++counts.signals;
        if (const Channel* const channel = channels.find(send.channel())) {
            v1::Signal& out = *signal.mutable_signal();
            out.set_channel(send.channel());
            out.set_name(send.name());
            out.set_data(send.data());
            if (send.has_publisher()) {
                *out.mutable_publisher() = send.publisher();
            } else {
                out.clear_publisher();
            }
            sender.send(channel->workers, signal);
            sender.send(channel->peers, signal);
        }
        if (send.request() == 0) return;
        v1::Frame frame;
        frame.mutable_published()->set_request(send.request());
        sender.send(link, frame);
    }

    void on_rpc(LinkId link, const v1::Rpc& rpc, WallTime wall) {
        ++counts.rpcs;
        auto result = call_builtin(rpc.method(), rpc.params(), settings.node, wall);
        if (!result) return fail(link, rpc.request(), result.error().code, result.error().message);
        if (rpc.request() == 0) return;
        v1::Frame frame;
        frame.mutable_rpc_result()->set_request(rpc.request());
        frame.mutable_rpc_result()->set_result(std::move(*result));
        sender.send(link, frame);
    }

    // --- from peers that we dialed --------------------------------------------------------------------------------

    // The channel, when workers want it.
    Channel* wanted(const std::string& name) {
        Channel* const channel = channels.find(name);
        return channel != nullptr && channel->interest != Interest::none ? channel : nullptr;
    }

    void tell_gap(const Channel& channel) {
        if (channel.workers.empty()) return;
        ++counts.gaps;
        v1::Frame frame;
        frame.mutable_gap()->set_channel(channel.name.data(), channel.name.size());
        frame.mutable_gap()->set_position(channel.position.text());
        sender.send(channel.workers, frame);
    }

    void on_subscribed(PeerSlot slot, const v1::Subscribed& answer) {
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

    void on_failed(PeerSlot slot, const v1::Failed& failed, Instant now) {
        if (failed.channel().empty()) return replication.on_failed(slot, failed.request());
        Channel* const channel = wanted(failed.channel());
        if (mesh.on_refusal(slot, channel, now)) answer_settled(*channel);
    }

    // A peer's publication to a channel of which history is kept, there or here.
    void on_kept_publication(LinkId link, PeerSlot slot, Channel& channel, const v1::Publication& in) {
        ArchivedHistory& history = archive.open(channel, HistoryRules::read(in.retention()));
        switch (Archive::take(history, in, clock)) {
            case History::Take::known: break;
            case History::Take::missing: replication.pull(slot, channel); break;
            case History::Take::taken: archive.changed(history, clock); deliver_entry(channel, in);
        }
        if (in.retention().ack()) tell_holding(link, channel);
        channels.touch(channel, clock);
    }

    void on_publication(LinkId link, PeerSlot slot, const v1::Publication& in) {
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

    void on_signal(const v1::Frame& frame) {
        if (const Channel* const channel = wanted(frame.signal().channel())) sender.send(channel->workers, frame);
    }

    void on_peer_gap(const v1::Gap& gap) {
        if (const Channel* const channel = wanted(gap.channel())) tell_gap(*channel);
    }

    // --- decisions about clients ----------------------------------------------------------------------------------

    // To all workers and peers but the one it came from.
    void tell(const v1::Revocation& revocation, LinkId from) {
        v1::Frame frame;
        *frame.mutable_revocation() = revocation;
        const std::string bytes(sender.encode(frame));
        for (const auto& [id, link] : links) {
            if (id != from && link.role != LinkRole::peer_out) sender.send_encoded(id, bytes);
        }
    }

    void tell_all(LinkId to) {
        v1::Frame frame;
        revocations.for_each([&](const v1::Revocation& revocation) {
            *frame.mutable_revocation() = revocation;
            sender.send(to, frame);
        });
    }

    void on_revoke(LinkId link, const v1::Revoke& revoke, WallTime wall) {
        v1::Revocation revocation = revoke.revocation();
        const std::string_view wrong = Revocations::check(revocation);
        if (!wrong.empty()) return fail(link, revoke.request(), Code::invalid_message, wrong);
        revocations.issue(revocation, std::chrono::seconds(revoke.seconds()), wall);
        switch (revocations.add(revocation, wall)) {
            case Revocations::Added::known:
                return fail(link, revoke.request(), Code::invalid_message, "a ban needs a time that it holds");
            case Revocations::Added::forgotten:
                return fail(link, revoke.request(), Code::unavailable,
                            "node " + settings.node + " remembers its maximum of " + std::to_string(Revocations::kMax) +
                                " bans");
            case Revocations::Added::news: break;
        }
        tell(revocation, 0);
        ++counts.revocations;
        v1::Frame frame;
        frame.mutable_published()->set_request(revoke.request());
        sender.send(link, frame);
    }

    // From memory of a worker or a peer, or fresh from a peer.
    void on_revocation(LinkId link, const v1::Revocation& revocation, WallTime wall) {
        if (revocations.add(revocation, wall) == Revocations::Added::news) tell(revocation, link);
    }

    // --- by role --------------------------------------------------------------------------------------------------

    void from_worker(LinkId link, Link& from, const v1::Frame& frame, Instant now, WallTime wall) {
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
            default: return from_dialer(link, from, frame, now);
        }
    }

    void from_peer(LinkId link, Link& from, const v1::Frame& frame, Instant now) {
        if (frame.has_read_digest()) return on_read_digest(link, frame.read_digest());
        if (frame.has_sync_members()) return presence.sync(link, frame.sync_members());
        if (frame.has_holding()) return on_holding(frame.holding());
        from_dialer(link, from, frame, now);
    }

    void from_dialer(LinkId link, Link& from, const v1::Frame& frame, Instant now) {
        switch (frame.body_case()) {
            case v1::Frame::kSubscribe: return on_subscribe(link, from, frame.subscribe(), now);
            case v1::Frame::kUnsubscribe: return on_unsubscribe(link, from, frame.unsubscribe(), now);
            case v1::Frame::kReadHistory: return on_read_history(link, from, frame.read_history(), now);
            default: ++counts.ignored;
        }
    }

    void from_listener(LinkId link, const Link& from, const v1::Frame& frame, Instant now, WallTime wall) {
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
            default: ++counts.ignored;
        }
    }
};

Broker::Broker(BrokerSettings settings, std::function<std::uint64_t()> random, Outbox& outbox)
    : state_(std::make_unique<State>(std::move(settings), std::move(random), outbox)) {}

Broker::~Broker() = default;

void Broker::on_link_up(LinkId link, LinkRole role, std::string_view name, Instant now) {
    on_link_down(link, now);  // never up twice, whatever the caller does
    state_->clock = now;
    PeerSlot slot = 0;
    if (role == LinkRole::peer_out) {
        const auto given = state_->mesh.on_peer_up(link, name, now);
        if (!given) return void(++state_->counts.ignored);  // more peers than a position can name
        slot = *given;
    }
    state_->links.try_emplace(link, Link{role, slot, {}});
    if (role != LinkRole::peer_out) state_->tell_all(link);
    if (role == LinkRole::peer_in) state_->peers_in.push_back(link);
    if (role == LinkRole::peer_out) state_->replication.on_peer_up(slot, link, now);
    if (role == LinkRole::peer_out) state_->presence.on_peer_up(link, name, now);
}

void Broker::on_link_down(LinkId link, Instant now) {
    const auto place = state_->links.find(link);
    if (place == state_->links.end()) return;
    const Link gone = std::move(place->second);
    state_->links.erase(place);
    state_->clock = now;
    state_->reads.forget(link);
    if (gone.role == LinkRole::peer_in) erase_link(state_->peers_in, link);
    if (gone.role == LinkRole::worker) state_->presence.on_worker_down(link, now);
    if (gone.role == LinkRole::peer_out) {
        state_->presence.on_peer_down(link, now);
        state_->replication.on_peer_down(gone.slot, link);
        state_->mesh.on_peer_down(gone.slot, link, now, state_->settled);
        return state_->answer_settled();
    }
    for (Channel* const channel : gone.channels) state_->drop_interest(link, *channel, now);
}

void Broker::on_frame(LinkId link, const v1::Frame& frame, Instant now, WallTime wall) {
    const auto place = state_->links.find(link);
    if (place == state_->links.end()) return void(++state_->counts.ignored);
    Link& from = place->second;
    state_->clock = now;
    switch (from.role) {
        case LinkRole::worker: return state_->from_worker(link, from, frame, now, wall);
        case LinkRole::peer_in: return state_->from_peer(link, from, frame, now);
        case LinkRole::peer_out: return state_->from_listener(link, from, frame, now, wall);
    }
}

void Broker::on_rules(const v1::ChannelRules& rules) {
    state_->rules.update(rules);
}

bool Broker::filled() const noexcept {
    return state_->replication.filled();
}

void Broker::on_tick(Instant now) {
    state_->clock = now;
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
