// Channels with history: how subscribers get what they missed, from a feed that others go on sharing.
//
// A reader that lacks something, be it a client or, after a loss of the link, the feed as a whole, asks weftd for pages
// of history until one is complete. At that point of the link's sequence it has what weftd has, and goes on with what
// comes after. weftd keeps nothing of a reader, and a reader that doesn't take its page isn't sent another.
#include <algorithm>
#include <cassert>

#include "gateway/gateway.hpp"

namespace weft {

namespace {

constexpr std::uint64_t kNoRoom = ~std::uint64_t{0};  // a request that could not be made

event::Event event_of(std::string_view channel, const v1::Publication& publication, std::string_view position) {
    return {channel,
            publication.data(),
            position,
            publication.message_id(),
            WallTime(std::chrono::milliseconds(publication.timestamp_ms())),
            {publication.publisher().user(), publication.publisher().client_id()}};
}

/// Positions come from weftd, or were looked at before.
Position parse(std::string_view text) {
    auto position = Position::parse(text);
    return position ? std::move(*position) : Position();
}

}  // namespace

std::uint64_t Gateway::read_history(ShardLink& link, Request request, std::string_view channel,
                                    const std::string& after, std::uint32_t limit, bool latest) {
    const std::uint64_t number = new_request(link, std::move(request));
    if (number == 0) return 0;
    v1::ReadHistory& read = *outgoing_.mutable_read_history();
    read.set_request(number);
    read.set_channel(channel.data(), channel.size());
    read.set_after(after);
    read.set_limit(limit);
    read.set_latest(latest);
    send_link(link, outgoing_);
    return number;
}

void Gateway::resume(Feed& feed, Connection& connection, std::string_view id, bool echo, std::string_view position) {
    fail_unanswered(feed, connection, "subscribed anew before it was answered");
    leave_apart(feed, connection);
    const Position theirs = parse(position);
    const Position ours = parse(feed.position);
    if (theirs.includes(ours) && ours.includes(theirs)) {
        deliver_collected(feed);
        join(feed, connection, echo);
        ServerFrame frame;
        frame.id = id;
        frame.body = event::Subscribed{feed.name, feed.position, true, true, 0, members_for(feed, connection)};
        send(connection, frame);
        return;
    }
    if (Apart* const apart = set_apart(feed, connection, id, echo, std::string(position), false)) {
        apart->standing.told = theirs;
    }
}

void Gateway::give_latest(Feed& feed, Connection& connection, std::string_view id, bool echo) {
    fail_unanswered(feed, connection, "subscribed anew before it was answered");
    leave_apart(feed, connection);
    if (Apart* const apart = set_apart(feed, connection, id, echo, {}, true)) apart->latest = true;
}

Apart* Gateway::set_apart(Feed& feed, Connection& connection, std::string_view id, bool echo, const std::string& after,
                          bool latest) {
    Connection::Subscription* const subscription = connection.subscription_to(feed);
    assert(subscription != nullptr && "a connection stands apart in what it subscribed to");
    if (subscription == nullptr) return nullptr;
    leave_shared(feed, *subscription);
    const std::uint64_t request =
        read_history(*feed.link, {nullptr, nullptr, {}, Request::Kind::replay}, feed.name, after, 0, latest);
    if (request == 0) {
        leave(feed, connection);
        fail_unavailable(connection, id);
        return nullptr;  // whoever called looks whether the feed is still used
    }
    count_later(feed);
    Apart& apart = feed.history->apart.add(connection, id, echo);
    feed.history->apart.ask(apart, request);
    return &apart;
}

void Gateway::settle_kept(Feed& feed, const v1::Subscribed& subscribed) {
    if (!feed.history) feed.history = std::make_unique<FeedHistory>();
    FeedHistory& history = *feed.history;
    history.node = subscribed.position();
    const Position node = parse(history.node);
    if (feed.position.empty()) {  // nobody was here before
        feed.position = history.node;
        return finish_settling(feed);
    }
    if (history.request != 0) return;  // on its way already
    if (!history.ahead) history.standing = {parse(feed.position), {}};
    if (history.standing.same(node)) {
        feed.position = history.node;
        history.ahead = false;
        return finish_settling(feed);
    }
    Position after = history.standing.told;
    after.merge(history.standing.beyond);
    history.request =
        read_history(*feed.link, {nullptr, nullptr, {}, Request::Kind::catch_up}, feed.name, after.text(), 0);
    if (history.request == 0) {
        history.request = kNoRoom;
        on_read_failed(*feed.link, Request::Kind::catch_up, kNoRoom, {Code::unavailable, {}, {}});
    }
}

void Gateway::finish_settling(Feed& feed) {
    deliver_collected(feed);
    feed.settled = true;
    std::vector<Feed::Waiting> waiting;
    waiting.swap(feed.waiting);
    for (const Feed::Waiting& one : waiting) {
        if (one.connection->subscription_to(feed) == nullptr) {  // a command of its before this failed for want of room
            fail_unavailable(*one.connection, one.id);
        } else if (one.resume) {
            resume(feed, *one.connection, one.id, one.echo, one.position);
        } else if (one.latest) {
            give_latest(feed, *one.connection, one.id, one.echo);
        } else {
            fail_unanswered(feed, *one.connection, "subscribed anew before it was answered");
            leave_apart(feed, *one.connection);
            join(feed, *one.connection, one.echo);
            answer_subscribe(feed, *one.connection, one.id, false, {});
        }
    }
    if (!feed.history->apart.empty()) feed.link->replaying.push_back(&feed);
    drop_if_unused(feed);
}

void Gateway::forget_history(Feed& feed) {
    std::erase(feed.link->replaying, &feed);
    const std::unique_ptr<FeedHistory> history = std::move(feed.history);
    history->apart.for_each([&](const Apart& apart) {
        join(feed, *apart.connection, apart.echo);
        ServerFrame frame;
        frame.body = event::Gap{feed.name};
        if (!apart.answered) {
            frame.id = apart.id;
            frame.body =
                event::Subscribed{feed.name, feed.position, false, true, 0, members_for(feed, *apart.connection)};
        }
        send(*apart.connection, frame);
    });
}

void Gateway::on_page(ShardLink& link, const v1::HistoryPage& page) {
    const Request request = take_request(link, page.request());
    if (request.kind == Request::Kind::history) return answer_history(request, page);
    Feed* const feed = find_feed(page.channel());
    if (feed == nullptr || !feed->history) return;
    FeedHistory& history = *feed->history;
    if (request.kind == Request::Kind::catch_up) {
        if (history.request == page.request()) catch_up(*feed, page);
        return;
    }
    if (request.kind != Request::Kind::replay) return;
    if (Apart* const apart = history.apart.find(page.request())) replay(*feed, *apart, page);
}

void Gateway::on_read_failed(const ShardLink& link, Request::Kind kind, std::uint64_t number,
                             const event::Error& error) {
    for (auto& [name, feed] : feeds_) {
        if (!feed->history || feed->link != &link) continue;
        FeedHistory& history = *feed->history;
        if (kind == Request::Kind::catch_up && history.request == number && !feed->settled && feed->announced) {
            // Rather a gap that is told than a wait for nobody knows what.
            history.request = 0;
            history.ahead = false;
            feed->position = history.node;
            ServerFrame frame;
            frame.body = event::Gap{feed->name};
            broadcast(*feed, frame, 0);
            return finish_settling(*feed);
        }
        if (kind != Request::Kind::replay) continue;
        Apart* const apart = history.apart.find(number);
        if (apart == nullptr) continue;
        if (apart->answered) {
            history.apart.ask(*apart, 0);  // it will again
            feed->link->replaying.push_back(feed.get());
            return;
        }
        const Apart gone = std::move(*apart);
        leave(*feed, *gone.connection);
        fail(*gone.connection, gone.id, error);
        return drop_if_unused(*feed);
    }
}

void Gateway::answer_history(const Request& request, const v1::HistoryPage& page) {
    if (request.connection == nullptr && request.observer == nullptr) return;
    Position at = parse(page.start());
    std::vector<std::string> positions;
    std::vector<event::Event> events;
    positions.reserve(static_cast<std::size_t>(page.events_size()));
    events.reserve(static_cast<std::size_t>(page.events_size()));
    for (const v1::Publication& publication : page.events()) {
        at.set(publication.stream(), publication.number());
        if (publication.repeat()) continue;
        positions.push_back(at.text());
        events.push_back(event_of(page.channel(), publication, positions.back()));
    }
    const std::string position = at.text();
    ServerFrame frame;
    frame.body = event::History{page.channel(), events, position, page.complete(), page.lost()};
    answer(request, frame);
}

void Gateway::catch_up(Feed& feed, const v1::HistoryPage& page) {
    FeedHistory& history = *feed.history;
    history.request = 0;
    Standing& standing = history.standing;
    Position after = standing.told;
    after.merge(standing.beyond);
    standing.begin(after, parse(page.start()));
    ServerFrame frame;
    if (page.lost()) {
        feed.position = standing.told.text();
        frame.body = event::Gap{feed.name};
        broadcast(feed, frame, 0);
    }
    for (const v1::Publication& publication : page.events()) {
        if (!standing.takes(publication.stream(), publication.number())) continue;
        feed.position = standing.told.text();
        if (publication.repeat()) continue;
        frame.body = event_of(feed.name, publication, feed.position);
        broadcast(feed, frame, publication.publisher().client_id());
    }
    feed.position = standing.told.text();
    if (!page.complete() && page.events_size() > 0) {
        history.request =
            read_history(*feed.link, {nullptr, nullptr, {}, Request::Kind::catch_up}, feed.name, feed.position, 0);
        if (history.request == 0) {
            history.request = kNoRoom;
            on_read_failed(*feed.link, Request::Kind::catch_up, kNoRoom, {Code::unavailable, {}, {}});
        }
        return;
    }
    history.ahead = !page.node().empty();
    finish_settling(feed);
}

void Gateway::replay(Feed& feed, Apart& apart, const v1::HistoryPage& page) {
    feed.history->apart.ask(apart, 0);
    Position after = apart.standing.told;
    after.merge(apart.standing.beyond);
    apart.standing.begin(after, parse(page.start()));
    if (!apart.answered) {
        apart.answered = true;
        const std::string position = apart.standing.told.text();
        ServerFrame frame;
        frame.id = apart.id;
        frame.body = event::Subscribed{feed.name,
                                       position,
                                       !page.lost(),
                                       !apart.latest,
                                       static_cast<std::uint32_t>(page.remaining()),
                                       members_for(feed, *apart.connection)};
        send(*apart.connection, frame);
        if (feed.members) member_joined(feed, *apart.connection);
        std::string().swap(apart.id);
    } else if (page.lost()) {  // it went while this reader took its time
        ServerFrame frame;
        frame.body = event::Gap{feed.name};
        send(*apart.connection, frame);
    }
    for (const v1::Publication& publication : page.events()) send_kept(feed, apart, publication, true);
    if (!page.complete() && page.events_size() > 0) {
        feed.link->replaying.push_back(&feed);
        return;
    }
    feed.history->apart.catch_up(apart);
    // What nobody else knows is kept for so many of those who stand apart for it, so that takes a look at them.
    if (!apart.standing.beyond.empty()) return rejoin(feed);
    rejoin(feed, apart, parse(feed.position));
}

void Gateway::broadcast_kept(Feed& feed, const v1::Publication& publication) {
    FeedHistory& history = *feed.history;
    bool news = true;
    if (history.ahead) [[unlikely]] {
        const Position node = parse(publication.position());
        news = history.standing.takes(publication.stream(), publication.number());
        history.standing.told.merge(node);
        history.ahead = !history.standing.same(node);
        feed.position = history.standing.told.text();
    } else {
        feed.position = publication.position();
    }
    for (Apart& apart : history.apart.caught_up()) send_kept(feed, apart, publication, false);
    if (news && !publication.repeat()) {
        ServerFrame frame;
        frame.body = event_of(feed.name, publication, feed.position);
        broadcast(feed, frame, publication.publisher().client_id());
    }
    if (!history.apart.caught_up().empty()) rejoin(feed);
}

void Gateway::send_kept(Feed& feed, Apart& apart, const v1::Publication& publication, bool replayed) {
    if (!apart.standing.takes(publication.stream(), publication.number()) || publication.repeat()) return;
    // In a replay they are counted, and so they come.
    if (!replayed && !apart.echo && publication.publisher().client_id() == apart.connection->client_id()) return;
    const std::string position = apart.standing.told.text();
    ServerFrame frame;
    frame.body = event_of(feed.name, publication, position);
    scratch_.clear();
    apart.connection->wire_->append(frame, scratch_);
    if (apart.connection->phase() != Connection::Phase::open) return;
    push(*apart.connection, SharedBytes(scratch_), ChunkTag::publications(feed.id));
}

void Gateway::on_kept_gap(Feed& feed, const v1::Gap& gap) {
    FeedHistory& history = *feed.history;
    const Position node = parse(gap.position());
    if (history.ahead) {
        history.standing.told.merge(node);
        history.ahead = !history.standing.same(node);
        feed.position = history.standing.told.text();
    } else {
        feed.position = gap.position();
    }
    ServerFrame frame;
    frame.body = event::Gap{feed.name};
    broadcast(feed, frame, 0);
    for (Apart& apart : history.apart.caught_up()) {  // to the others their next page says so
        apart.standing.told.merge(node);
        send(*apart.connection, frame);
    }
    rejoin(feed);
}

void Gateway::send_to_aparts(Feed& feed, const ServerFrame& frame) {
    feed.history->apart.for_each([&](const Apart& apart) {
        if (apart.answered) send(*apart.connection, frame);
    });
}

void Gateway::rejoin(Feed& feed) {
    const Position here = parse(feed.position);
    std::size_t beyond = 0;
    Aparts::List& caught_up = feed.history->apart.caught_up();
    for (auto next = caught_up.begin(); next != caught_up.end();) {
        Apart& apart = *next++;
        if (!apart.standing.beyond.empty() && ++beyond > FeedHistory::kMaxBeyond) apart.standing.beyond = Position();
        rejoin(feed, apart, here);
    }
}

void Gateway::rejoin(Feed& feed, const Apart& apart, const Position& here) {
    if (!apart.standing.same(here)) return;
    Connection& connection = *apart.connection;
    const bool echo = apart.echo;
    feed.history->apart.erase(connection);
    deliver_collected(feed);  // it has that
    join(feed, connection, echo);
}

void Gateway::leave_apart(Feed& feed, const Connection& connection) noexcept {
    if (feed.history) feed.history->apart.erase(connection);
}

void Gateway::fail_unanswered(Feed& feed, Connection& connection, std::string_view why) {
    const Apart* const apart = feed.history ? feed.history->apart.find(connection) : nullptr;
    if (apart != nullptr && !apart->answered) overtake(connection, apart->id, why);
}

void Gateway::interrupt_replays(Feed& feed, std::vector<Unanswered>& unanswered) {
    FeedHistory& history = *feed.history;
    history.request = 0;
    history.apart.begin_anew();  // also those that were ahead: what comes next, they ask for
    Aparts::List& pausing = history.apart.pausing();
    for (auto next = pausing.begin(); next != pausing.end();) {
        Apart& apart = *next++;
        if (apart.answered) continue;
        unanswered.push_back({apart.connection, std::move(apart.id)});
        leave(feed, *apart.connection);
    }
}

void Gateway::continue_replays() {
    for (const auto& link : links_) {
        if (!link->replaying.empty() && link_ready(*link)) continue_replays(*link);
    }
}

void Gateway::continue_replays(ShardLink& link) {
    std::vector<Feed*> feeds;
    feeds.swap(link.replaying);
    std::sort(feeds.begin(), feeds.end(), [](const Feed* a, const Feed* b) { return a->id < b->id; });
    feeds.erase(std::unique(feeds.begin(), feeds.end()), feeds.end());
    for (Feed* const feed : feeds) {
        if (!feed->settled || !feed->history) continue;  // it comes again when it is
        Aparts::List& pausing = feed->history->apart.pausing();
        for (auto next = pausing.begin(); next != pausing.end();) {
            Apart& apart = *next++;
            if (apart.connection->queue().bytes() > kReplayRoom) continue;
            Position after = apart.standing.told;
            after.merge(apart.standing.beyond);
            feed->history->apart.ask(
                apart, read_history(link, {nullptr, nullptr, {}, Request::Kind::replay}, feed->name, after.text(), 0));
        }
        if (!pausing.empty()) link.replaying.push_back(feed);
    }
}

}  // namespace weft
