// Connections that move from one worker to another: what the one says of them, and how the other goes on.
#include <algorithm>
#include <cassert>
#include <utility>

#include "gateway/gateway.hpp"
#include "gateway/leaver.hpp"
#include "gateway/permission.hpp"

namespace weft {

void Gateway::Host::on_marked(unsigned, const v1::Marked&) {}

Gateway::Movable Gateway::movable(const Connection& connection) const noexcept {
    if (connection.phase() != Connection::Phase::open || !connection.authenticated() || connection.leaving_) {
        return Movable::never;
    }
    if (!connection.greeted_ && !connection.endpoint().echo) return Movable::soon;
    if (connection.requests_ > 0 || connection.late_reply_ || connection.asked_ || questions_.contains(&connection)) {
        return Movable::soon;
    }
    if (connection.rare_ && connection.rare_->entrance && connection.rare_->entrance->unanswered > 0) {
        return Movable::soon;
    }
    for (const Connection::Subscription& subscription : connection.subscriptions_) {
        const Feed& feed = *subscription.feed;
        // Who waits or stands apart will not for long; and a feed that is out of step knows what no other does.
        if (subscription.slot == Connection::kWaiting || !feed.settled) return Movable::soon;
        if (feed.history && feed.history->ahead) return Movable::soon;
    }
    return Movable::now;
}

void Gateway::describe(const Connection& connection, v1::Leaver& leaver) {
    leaver.set_client_id(connection.client_id_);
    write_identity(*connection.identity_, *leaver.mutable_identity());
    for (const auto& [feed, slot] : connection.subscriptions_) {
        v1::Leaver::Subscription& subscription = *leaver.add_subscriptions();
        subscription.set_channel(feed->name);
        subscription.set_echo(feed->subscribers[slot].echo);
    }
    if (connection.rare_ && connection.rare_->entrance) leaver.set_home(connection.rare_->entrance->home);
}

bool Gateway::mark(std::uint64_t number, std::uint64_t to) {
    if (!links_mark()) return false;
    for (const auto& link : links_) {
        v1::Mark& mark = *outgoing_.mutable_mark();
        mark.set_number(number);
        mark.set_to(to);
        if (send_link(*link, outgoing_) == 0) return false;
    }
    return true;
}

void Gateway::slip_out(Connection& connection, unsigned shard) {
    for (std::size_t i = connection.subscriptions_.size(); i-- > 0;) {
        const auto [feed, slot] = connection.subscriptions_[i];
        if (feed->link->shard() != shard) continue;
        connection.slipping_ = true;
        leave(*feed, connection);
        connection.slipping_ = false;
        drop_if_unused(*feed);
    }
}

void Gateway::forget_moved(Connection& connection) {
    connection.greeted_ = false;  // its end isn't told
    connection.slipping_ = true;
    remove(connection);
}

std::optional<event::Error> Gateway::objection(const Identity& identity, std::uint64_t client_id) const {
    if (auto ban = banned(identity)) return ban;
    if (revocations_.disconnected(identity.user, identity.ticket, client_id, identity.since, 0)) {
        return event::Error{Code::revoked, "disconnected by the server", {}};
    }
    return std::nullopt;
}

void Gateway::expect(Connection& connection, std::shared_ptr<const Identity> identity, const v1::Leaver& leaver) {
    connection.identity_ = std::move(identity);
    connection.client_id_ = leaver.client_id();
    connection.still_ = true;
    if (!leaver.home().empty()) {
        connection.rare().entrance = std::make_unique<Entrance>();
        connection.rare().entrance->home = leaver.home();
    }
    for (const v1::Leaver::Subscription& subscription : leaver.subscriptions()) {
        const std::string& channel = subscription.channel();
        if (!may_stay(rules_, connection.identity_->grants, connection.user(), channel)) {
            ServerFrame frame;
            frame.body = event::Unsubscribed{channel, Code::permission_denied};
            send(connection, frame);
            continue;
        }
        Feed* feed = find_feed(channel);
        if (feed == nullptr) feed = &make_feed(channel);
        connection.subscriptions_.push_back({feed, Connection::kWaiting});
        feed->arriving.push_back({&connection, subscription.echo()});
        // The last worker counts it still: so there are one too many for a moment, and nobody is turned away for that.
        if (feed->counted && shared_.members != nullptr) shared_.members->enter(channel, 0);
        announce(*feed);
    }
    connection.subscriptions_.shrink_to_fit();
}

bool Gateway::expected_everywhere(const Connection& connection) const noexcept {
    return std::ranges::all_of(connection.subscriptions_, [](const auto& entry) { return entry.feed->settled; });
}

bool Gateway::slip_in(Connection& connection, unsigned shard) {
    for (Connection::Subscription& subscription : connection.subscriptions_) {
        Feed& feed = *subscription.feed;
        if (feed.link->shard() != shard) continue;
        if (!feed.settled) return false;
        const auto self = std::ranges::find(feed.arriving, &connection, &Feed::Subscriber::connection);
        if (self == feed.arriving.end()) continue;
        const bool echo = self->echo;
        feed.arriving.erase(self);
        deliver_collected(feed);  // what was said before is for those who were here
        join(feed, connection, subscription, echo);
    }
    return true;
}

void Gateway::resume_moved(Connection& connection, const v1::Moved& rest) {
    connection.opened_ = true;
    ++open_;
    counters_.active.add();
    connection.still_ = false;
    connection.unpack(rest);
    if (connection.phase() == Connection::Phase::open) {
        connection.awaited_ ? connection.arm_first() : connection.arm_heartbeat();
        if (connection.probing_) connection.arm(now_ + connection.endpoint().heartbeat_timeout);
    }
    mark_dirty(connection);
}

void Connection::pack(v1::Moved& rest) {
    if (rewrites_ && !rewrite_front(SIZE_MAX)) throw std::bad_alloc();
    std::string& unsent = *rest.mutable_unsent();
    unsent.resize(queue_.bytes());
    const std::string_view bytes = queue_.next(unsent.data(), unsent.size());
    if (bytes.data() != unsent.data()) unsent = bytes;
    const TrafficBucket::Level level = bucket_.level();
    rest.set_missing_messages(level.missing_messages);
    rest.set_missing_bytes(level.missing_bytes);
    rest.set_rates_at_ms(level.at_ms);
    rest.set_last_heard_ms(last_heard_ms_);
    rest.set_probing(probing_);
    rest.set_awaiting_subscribe(awaited_);
    rest.set_expiry_told(expiry_told_);
    rest.set_greeted(greeted_);
}

void Connection::unpack(const v1::Moved& rest) {
    queue_.push_started(rest.unsent());
    if (rewrites_) committed_ = static_cast<std::uint32_t>(rest.unsent().size());
    bucket_.set_level({rest.missing_messages(), rest.missing_bytes(), rest.rates_at_ms()});
    last_heard_ms_ = rest.last_heard_ms();
    probing_ = rest.probing();
    awaited_ = rest.awaiting_subscribe();
    expiry_told_ = rest.expiry_told();
    greeted_ = rest.greeted();
}

}  // namespace weft
