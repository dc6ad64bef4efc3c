// Channels of a worker: who is in them, and how a publication gets to all of them.
#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

#include "gateway/gateway.hpp"
#include "weft/position.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxKeptBuffer =
    std::size_t{16} * 1024;  // bytes that a slot of the turn's publications keeps for the next

constexpr std::size_t kPrefetch = 6;  // connections that are fetched ahead

constexpr WireSet bit(std::size_t wire) noexcept {
    return static_cast<WireSet>(WireSet{1} << wire);
}

template <class Function>
void for_each(WireSet wires, Function function) {
    for (; wires != 0; wires &= static_cast<WireSet>(wires - 1)) {
        function(static_cast<std::size_t>(std::countr_zero(wires)));
    }
}

}  // namespace

Feed* Gateway::find_feed(std::string_view channel) noexcept {
    const auto found = feeds_.find(channel);
    return found == feeds_.end() ? nullptr : found->second.get();
}

Feed& Gateway::make_feed(std::string_view channel) {
    auto feed = std::make_unique<Feed>();
    feed->name = channel;
    feed->link = &link_of(channel);
    feed->id = last_feed_id_ = last_feed_id_ % 0x7ffffffe + 1;
    if (const ChannelRule* rule = rules_.find(channel)) {
        feed->overflow = rule->overflow;
        feed->counted = rule->max_members != 0;
        if (rule->presence) feed->members = std::make_unique<FeedMembers>(*rule);
    }
    Feed& result = *feed;
    feeds_.emplace(result.name, std::move(feed));
    counters_.channels.set(feeds_.size());
    return result;
}

void Gateway::announce(Feed& feed) {
    if (feed.announced || !feed.link->up()) return;
    v1::Subscribe& subscribe = *outgoing_.mutable_subscribe();
    subscribe.set_channel(feed.name);
    subscribe.set_position(feed.position);
    feed.announced = send_link(*feed.link, outgoing_) != 0;
}

void Gateway::join(Feed& feed, Connection& connection, bool echo) {
    Connection::Subscription* const subscription = connection.subscription_to(feed);
    assert(subscription != nullptr && "a connection joins what it subscribed to");
    if (subscription != nullptr) join(feed, connection, *subscription, echo);
}

void Gateway::join(Feed& feed, Connection& connection, Connection::Subscription& subscription, bool echo) {
    if (subscription.slot != Connection::kWaiting) {  // again: only the wish for echo may have changed
        Feed::Subscriber& subscriber = feed.subscribers[subscription.slot];
        feed.without_echo = feed.without_echo + (echo ? 0 : 1) - (subscriber.echo ? 0 : 1);
        subscriber.echo = echo;
        return;
    }
    subscription.slot = static_cast<std::uint32_t>(feed.subscribers.size());
    feed.subscribers.push_back({&connection, echo, feed.members && hears_members(feed, connection)});
    if (feed.members) {
        feed.members->deaf += feed.subscribers.back().hears_members ? 0 : 1;
        member_joined(feed, connection);
    }
    feed.without_echo += echo ? 0 : 1;
    feed.wires |= bit(connection.wire_->index());
    wires_[connection.wire_->index()] = connection.wire_;
    counters_.subscriptions.add();
    count_later(feed);
}

void Gateway::leave(Feed& feed, Connection& connection) {
    Connection::Subscription* const subscription = connection.subscription_to(feed);
    if (subscription == nullptr) return;
    std::erase_if(feed.waiting, [&connection](const auto& waiting) { return waiting.connection == &connection; });
    std::erase_if(feed.arriving, [&connection](const auto& arriving) { return arriving.connection == &connection; });
    leave_apart(feed, connection);
    leave_shared(feed, *subscription);
    count_later(feed);
    // Who slips out is a member still; numbers are each worker's own.
    if (feed.members && (!connection.slipping_ || feed.members->rule->presence_counts)) member_left(feed, connection);
    *subscription = connection.subscriptions_.back();
    connection.subscriptions_.pop_back();
    if (connection.subscriptions_.empty()) std::vector<Connection::Subscription>().swap(connection.subscriptions_);
    if (feed.counted && shared_.members != nullptr) shared_.members->leave(feed.name);
}

void Gateway::leave_shared(Feed& feed, Connection::Subscription& subscription) {
    if (subscription.slot == Connection::kWaiting) return;
    // What this turn has collected already is the leaving one's as well as the others'.
    deliver_collected(feed);
    const std::uint32_t slot = std::exchange(subscription.slot, Connection::kWaiting);
    feed.without_echo -= feed.subscribers[slot].echo ? 0 : 1;
    if (feed.members) feed.members->deaf -= feed.subscribers[slot].hears_members ? 0 : 1;
    counters_.subscriptions.subtract();
    if (slot + 1 != feed.subscribers.size()) {
        feed.subscribers[slot] = feed.subscribers.back();
        feed.subscribers[slot].connection->subscription_to(feed)->slot = slot;
    }
    feed.subscribers.pop_back();
    if (feed.subscribers.capacity() > 64 && feed.subscribers.size() < feed.subscribers.capacity() / 4) {
        feed.subscribers.shrink_to_fit();
    }
}

void Gateway::drop_if_unused(Feed& feed) {
    if (!feed.subscribers.empty() || !feed.waiting.empty() || !feed.arriving.empty()) return;
    if (feed.history && !feed.history->apart.empty()) return;
    // An answer that is still under way must find its feed: were a new feed to take it for its own, it would believe
    // itself settled too early and miss what is published in between.
    if (feed.announced && !feed.settled) return;
    if (feed.members) forget_members(feed);
    if (feed.announced && feed.link->up()) {
        outgoing_.mutable_unsubscribe()->set_channel(feed.name);
        send_link(*feed.link, outgoing_);
    }
    if (feed.batch != Feed::kNoBatch) batches_[feed.batch].feed = nullptr;
    if (feed.history) std::erase(feed.link->replaying, &feed);
    forget_count(feed);
    feeds_.erase(feeds_.find(std::string_view(feed.name)));
    counters_.channels.set(feeds_.size());
}

void Gateway::answer_subscribe(Feed& feed, Connection& connection, std::string_view id, bool resume,
                               std::string_view position) {
    event::Subscribed subscribed{feed.name, feed.position, false, resume, 0, members_for(feed, connection)};
    if (resume) {
        const auto theirs = Position::parse(position);
        const auto ours = Position::parse(feed.position);
        subscribed.recovered = theirs && ours && theirs->covers(*ours);
    }
    ServerFrame frame;
    frame.id = id;
    frame.body = subscribed;
    send(connection, frame);
}

void Gateway::settle(Feed& feed, const v1::Subscribed& subscribed) {
    if (feed.settled) return;  // an answer to a repeated announcement says nothing new
    if (feed.members) {
        feed.members->count = subscribed.members();
        if (subscribed.members_known()) tell_members_missed(feed);  // to those who were here before
    }
    if (subscribed.history()) {
        settle_kept(feed, subscribed);
        return;
    }
    if (feed.history) forget_history(feed);
    deliver_collected(feed);
    feed.settled = true;
    feed.position = subscribed.position();
    if (subscribed.gap() && !feed.subscribers.empty()) {
        ServerFrame frame;
        frame.body = event::Gap{feed.name};
        broadcast(feed, frame, 0);
        deliver_collected(feed);  // those who join now missed nothing
    }
    std::vector<Feed::Waiting> waiting;
    waiting.swap(feed.waiting);
    for (const Feed::Waiting& one : waiting) {
        join(feed, *one.connection, one.echo);
        answer_subscribe(feed, *one.connection, one.id, one.resume, one.position);
    }
    drop_if_unused(feed);
}

void Gateway::refuse_feed(Feed& feed, const event::Error& error) {
    std::vector<Feed::Waiting> waiting;
    waiting.swap(feed.waiting);
    for (const Feed::Waiting& one : waiting) {
        const Connection::Subscription* const subscription = one.connection->subscription_to(feed);
        if (subscription != nullptr && subscription->slot == Connection::kWaiting) leave(feed, *one.connection);
        fail(*one.connection, one.id, error);
    }
    while (feed.history && !feed.history->apart.empty()) put_out(feed, *feed.history->apart.any().connection, error);
    while (!feed.arriving.empty()) put_out(feed, *feed.arriving.back().connection, error);
    while (!feed.subscribers.empty()) put_out(feed, *feed.subscribers.back().connection, error);
    feed.announced = false;
    drop_if_unused(feed);
}

void Gateway::put_out(Feed& feed, Connection& connection, const event::Error& why) {
    const Apart* const apart = feed.history ? feed.history->apart.find(connection) : nullptr;
    const bool was_in = connection.subscription_to(feed)->slot != Connection::kWaiting ||
                        (apart != nullptr ? apart->answered : feed.expects(connection));
    std::vector<std::string> unanswered;
    for (const Feed::Waiting& waiting : feed.waiting) {
        if (waiting.connection == &connection) unanswered.push_back(waiting.id);
    }
    if (apart != nullptr && !apart->answered) unanswered.push_back(apart->id);
    leave(feed, connection);
    for (const std::string& id : unanswered) fail(connection, id, why);
    if (!was_in) return;
    ServerFrame frame;
    frame.body = event::Unsubscribed{feed.name, why.code};
    send(connection, frame);
}

// Once a publication and wire, then once a subscriber and turn: see bench/, "fanout".
void Gateway::collect(Feed& feed, const ServerFrame& frame, const Connection* except) {
    if (feed.batch == Feed::kNoBatch) {
        if (batches_used_ == batches_.size()) batches_.emplace_back();
        feed.batch = static_cast<std::uint32_t>(batches_used_++);
        TurnBatch& batch = batches_[feed.batch];
        batch.feed = &feed;
        __builtin_prefetch(feed.subscribers.data());  // for the end of the turn
        batch.except = except;
        batch.event = false;
        batch.notice = false;
        for_each(feed.wires, [&batch](std::size_t i) {
            batch.bytes[i].clear();
            batch.frames[i] = 0;
        });
        if (!turn_scheduled_) {
            turn_scheduled_ = true;
            host_.schedule_turn_end();
        }
    }
    TurnBatch& batch = batches_[feed.batch];
    const bool is_event = std::holds_alternative<event::Event>(frame.body);
    batch.event |= is_event;
    batch.notice |= !is_event && !std::holds_alternative<event::Signal>(frame.body);
    bool full = false;
    for_each(feed.wires, [&](std::size_t i) {
        const auto begin = static_cast<std::uint32_t>(batch.bytes[i].size());
        wires_[i]->append(frame, batch.bytes[i]);
        const auto end = static_cast<std::uint32_t>(batch.bytes[i].size());
        if (end > begin) ++batch.frames[i];
        if (is_event) batch.newest[i] = {begin, end};
        full = full || end >= kMaxChunk;
    });
    if (full) deliver_collected(feed);
}

void Gateway::deliver_collected(Feed& feed) {
    if (feed.batch != Feed::kNoBatch) deliver(batches_[feed.batch]);
}

void Gateway::prefetch(const TurnBatch& batch) noexcept {
    if (batch.feed == nullptr) return;
    const auto& subscribers = batch.feed->subscribers;
    const std::size_t count = std::min(subscribers.size(), kPrefetch);
    for (std::size_t i = 0; i < count; ++i) subscribers[i].connection->prefetch();
}

void Gateway::deliver(TurnBatch& batch) {
    if (batch.feed == nullptr) return;
    Feed& feed = *batch.feed;
    batch.feed = nullptr;
    feed.batch = Feed::kNoBatch;
    SharedBytes chunks[Wire::kMax];
    SharedBytes newest[Wire::kMax];  // for readers that are behind
    for_each(feed.wires, [&](std::size_t i) { chunks[i] = SharedBytes(batch.bytes[i], batch.frames[i]); });
    const bool conflates = feed.overflow == Overflow::conflate && !batch.notice;
    const auto tag = ChunkTag::publications(feed.id);
    WireSet used = 0;
    for (std::size_t i = 0; i < feed.subscribers.size(); ++i) {
        if (i + kPrefetch < feed.subscribers.size()) feed.subscribers[i + kPrefetch].connection->prefetch();
        Connection& connection = *feed.subscribers[i].connection;
        const std::size_t wire = connection.wire_->index();
        used |= bit(wire);
        if (&connection == batch.except) continue;
        if (!conflates || !connection.blocked()) {
            push(connection, chunks[wire], tag);
            continue;
        }
        counters_.conflated.add(batch.frames[wire] - (batch.event ? 1 : 0));
        if (!batch.event) continue;  // signals are of the moment
        if (!newest[wire]) {
            const auto [begin, end] = batch.newest[wire];
            newest[wire] = SharedBytes(std::string_view(batch.bytes[wire]).substr(begin, end - begin));
        }
        counters_.conflated.add(connection.queue().drop(tag, connection.committed_));
        push(connection, newest[wire], tag);
    }
    for_each(feed.wires, [&](std::size_t i) {
        if (batch.bytes[i].capacity() > kMaxKeptBuffer) std::string().swap(batch.bytes[i]);
    });
    feed.wires = used;
}

void Gateway::broadcast(Feed& feed, const ServerFrame& frame, std::uint64_t publisher) {
    if (feed.without_echo > 0 && publisher != 0) {
        const auto self = std::find_if(feed.subscribers.begin(), feed.subscribers.end(), [publisher](const auto& one) {
            return !one.echo && one.connection->client_id() == publisher;
        });
        if (self != feed.subscribers.end()) {
            // One subscriber less than usual: this frame goes by itself, behind what was collected before it.
            deliver_collected(feed);
            collect(feed, frame, self->connection);
            deliver_collected(feed);
            return;
        }
    }
    collect(feed, frame);
}

void Gateway::drop_oldest(Connection& connection, std::size_t target, std::size_t committed) {
    class Shedding final : public SendQueue::Shedding {
    public:
        Shedding(Gateway& gateway, Connection& connection) : gateway_(gateway), connection_(connection) {}
        bool may_drop(std::uint32_t id) override {
            const Feed* feed = feed_of(id);
            return feed != nullptr && feed->overflow == Overflow::drop_oldest;
        }
        SharedBytes gap(std::uint32_t id) override {
            ServerFrame frame;
            frame.body = event::Gap{feed_of(id)->name};
            gateway_.scratch_.clear();
            connection_.wire_->append(frame, gateway_.scratch_);
            return SharedBytes(gateway_.scratch_);
        }

    private:
        [[nodiscard]] const Feed* feed_of(std::uint32_t id) const noexcept {
            for (const Connection::Subscription& subscription : connection_.subscriptions_) {
                if (subscription.feed->id == id) return subscription.feed;
            }
            return nullptr;  // the connection has left it
        }
        Gateway& gateway_;
        Connection& connection_;
    };
    Shedding shedding(*this, connection);
    counters_.dropped.add(connection.queue().shed(target, committed, shedding));
}

}  // namespace weft
