#include "broker/broker.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "broker/builtin_rpc.hpp"
#include "broker/channel.hpp"
#include "broker/mesh_interest.hpp"
#include "broker/sender.hpp"
#include "weft/channel.hpp"
#include "weft/codes.hpp"
#include "weft/revocations.hpp"

namespace weft {
namespace {

constexpr std::size_t kMaxMessageId = 64;   // bytes, as in the client protocol
constexpr std::size_t kMaxSignalName = 64;  // bytes, as in the client protocol
constexpr std::chrono::milliseconds kRetryWhenFull{1000};

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

struct Broker::State {
    State(BrokerSettings given, std::function<std::uint64_t()> random, Outbox& outbox)
        : settings(std::move(given)),
          sender(outbox),
          channels(settings.max_channels, settings.channel_linger, std::move(random)),
          mesh(sender, channels, settings.mesh_wait) {}

    BrokerSettings settings;
    Sender sender;
    ChannelTable channels;
    MeshInterest mesh;
    std::unordered_map<LinkId, Link> links;
    Revocations revocations;
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

    // --- interest -------------------------------------------------------------------------------------------------

    void subscribed(LinkId link, const Channel& channel, const std::string& position, bool gap) {
        v1::Frame frame;
        v1::Subscribed& answer = *frame.mutable_subscribed();
        answer.set_channel(channel.name.data(), channel.name.size());
        answer.set_position(position);
        answer.set_gap(gap);
        sender.send(link, frame);
    }

    void answer_worker(LinkId link, Channel& channel, std::string_view position) {
        if (std::ranges::find(channel.workers, link) == channel.workers.end()) channel.workers.push_back(link);
        subscribed(link, channel, channel.position.text(), channel.lost_since(position));
    }

    void answer_waiting(Channel& channel) {
        for (const Channel::Waiting& waiting : std::exchange(channel.waiting, {})) {
            answer_worker(waiting.link, channel, waiting.position);
        }
    }

    void answer_settled() {
        for (Channel* const channel : settled) answer_waiting(*channel);
        settled.clear();
    }

    void on_subscribe(LinkId link, Link& from, const v1::Subscribe& subscribe, Instant now) {
        if (!is_channel_name(subscribe.channel())) {
            return fail(link, 0, Code::invalid_message, "not a channel name", subscribe.channel());
        }
        Channel* const channel = channels.find_or_create(subscribe.channel());
        if (channel == nullptr) return fail_full(link, 0, subscribe.channel());
        from.channels.insert(channel);

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
            if (channel->interest == Interest::settled) {
                answer_worker(link, *channel, subscribe.position());
            } else {
                const auto known = std::ranges::find(channel->waiting, link, &Channel::Waiting::link);
                if (known == channel->waiting.end()) {
                    channel->waiting.push_back({link, subscribe.position()});
                } else {
                    known->position = subscribe.position();
                }
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
        if (was_wanted && !channel.wanted_by_workers()) mesh.withdraw(channel);
        channels.touch(channel, now);
    }

    void on_unsubscribe(LinkId link, Link& from, const v1::Unsubscribe& unsubscribe, Instant now) {
        Channel* const channel = channels.find(unsubscribe.channel());
        if (channel != nullptr && from.channels.erase(channel) != 0) drop_interest(link, *channel, now);
    }

    // --- from workers ---------------------------------------------------------------------------------------------

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
        out.clear_stream();
        out.clear_number();
        sender.send(channel->workers, publication);
        if (!channel->peers.empty()) {
            out.set_stream(channel->stream);
            out.set_number(channel->number);
            sender.send(channel->peers, publication);
        }
        ++counts.published;
        counts.delivered += channel->workers.size() + channel->peers.size();

        if (publish.request() != 0) {
            v1::Published& answer = *published.mutable_published();
            answer.set_request(publish.request());
            answer.set_message_id(out.message_id());
            answer.set_position(out.position());
            sender.send(link, published);
        }
        channels.touch(*channel, now);
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
        if (channel != nullptr) {
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
        if (mesh.on_answer(slot, channel)) answer_waiting(*channel);
    }

    void on_failed(PeerSlot slot, const v1::Failed& failed, Instant now) {
        if (failed.channel().empty()) return void(++counts.ignored);
        Channel* const channel = wanted(failed.channel());
        if (mesh.on_refusal(slot, channel, now)) answer_waiting(*channel);
    }

    void on_publication(PeerSlot slot, const v1::Publication& in) {
        Channel* const channel = wanted(in.channel());
        if (channel == nullptr) return;  // on its way when interest was withdrawn
        auto advance = channel->arrives(slot, in.stream(), in.number());
        if (advance == Channel::Advance::loss) {
            tell_gap(*channel);
            advance = channel->arrives(slot, in.stream(), in.number());
        }
        if (advance == Channel::Advance::ignored) return void(++counts.ignored);
        if (channel->workers.empty()) return;
        v1::Publication& out = *publication.mutable_publication();
        out = in;
        out.clear_stream();
        out.clear_number();
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
            default: return from_dialer(link, from, frame, now);
        }
    }

    void from_dialer(LinkId link, Link& from, const v1::Frame& frame, Instant now) {
        switch (frame.body_case()) {
            case v1::Frame::kSubscribe: return on_subscribe(link, from, frame.subscribe(), now);
            case v1::Frame::kUnsubscribe: return on_unsubscribe(link, from, frame.unsubscribe(), now);
            default: ++counts.ignored;
        }
    }

    void from_listener(LinkId link, const Link& from, const v1::Frame& frame, Instant now, WallTime wall) {
        if (!mesh.speaks(from.slot, link)) return void(++counts.ignored);  // the node has a newer link
        switch (frame.body_case()) {
            case v1::Frame::kSubscribed: return on_subscribed(from.slot, frame.subscribed());
            case v1::Frame::kPublication: return on_publication(from.slot, frame.publication());
            case v1::Frame::kSignal: return on_signal(frame);
            case v1::Frame::kFailed: return on_failed(from.slot, frame.failed(), now);
            case v1::Frame::kGap: return on_peer_gap(frame.gap());
            case v1::Frame::kRevocation: return on_revocation(link, frame.revocation(), wall);
            default: ++counts.ignored;
        }
    }
};

Broker::Broker(BrokerSettings settings, std::function<std::uint64_t()> random, Outbox& outbox)
    : state_(std::make_unique<State>(std::move(settings), std::move(random), outbox)) {}

Broker::~Broker() = default;

void Broker::on_link_up(LinkId link, LinkRole role, std::string_view name, Instant now) {
    on_link_down(link, now);  // never up twice, whatever the caller does
    PeerSlot slot = 0;
    if (role == LinkRole::peer_out) {
        const auto given = state_->mesh.on_peer_up(link, name, now);
        if (!given) return void(++state_->counts.ignored);  // more peers than a position can name
        slot = *given;
    }
    state_->links.try_emplace(link, Link{role, slot, {}});
    if (role != LinkRole::peer_out) state_->tell_all(link);
}

void Broker::on_link_down(LinkId link, Instant now) {
    const auto place = state_->links.find(link);
    if (place == state_->links.end()) return;
    const Link gone = std::move(place->second);
    state_->links.erase(place);
    if (gone.role == LinkRole::peer_out) {
        state_->mesh.on_peer_down(gone.slot, link, now, state_->settled);
        return state_->answer_settled();
    }
    for (Channel* const channel : gone.channels) state_->drop_interest(link, *channel, now);
}

void Broker::on_frame(LinkId link, const v1::Frame& frame, Instant now, WallTime wall) {
    const auto place = state_->links.find(link);
    if (place == state_->links.end()) return void(++state_->counts.ignored);
    Link& from = place->second;
    switch (from.role) {
        case LinkRole::worker: return state_->from_worker(link, from, frame, now, wall);
        case LinkRole::peer_in: return state_->from_dialer(link, from, frame, now);
        case LinkRole::peer_out: return state_->from_listener(link, from, frame, now, wall);
    }
}

void Broker::on_tick(Instant now) {
    state_->mesh.on_tick(now, state_->settled);
    state_->answer_settled();
    state_->channels.expire(now);
}

Broker::Counts Broker::counts() const noexcept {
    Counts counts = state_->counts;
    counts.channels = state_->channels.size();
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
