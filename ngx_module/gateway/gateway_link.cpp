// What a worker and weftd say to each other.
#include <algorithm>

#include "gateway/gateway.hpp"

namespace weft {

namespace {

Publisher publisher_of(const v1::Publisher& publisher) {
    return {publisher.user(), publisher.client_id()};
}

std::string shard_name(const ShardLink& link) {
    return "shard " + std::to_string(link.shard());
}

}  // namespace

std::uint64_t Gateway::send_link(ShardLink& link, const v1::Frame& frame) {
    const std::uint64_t number = link.dialer().send(frame);
    if (link.queued_bytes() > part_.congested) congested_ = true;
    if (number != 0 && !turn_scheduled_) {
        turn_scheduled_ = true;
        host_.schedule_turn_end();
    }
    return number;
}

bool Gateway::links_up() const noexcept {
    return std::ranges::all_of(links_, [](const auto& link) { return link->up(); });
}

bool Gateway::links_mark() const noexcept {
    return std::ranges::all_of(links_, [](const auto& link) { return link->up() && link->marks; });
}

void Gateway::add_link(unsigned shard, unsigned shards) {
    ShardLink::Events& events = *this;
    links_.push_back(std::make_unique<ShardLink>(
        shard, shards, ++last_link_life_, hello_, timings_, [this] { return host_.random(); }, events));
}

void Gateway::set_shards(unsigned shards) {
    if (shards == links_.size()) return;
    host_.log(Level::info, "weftd has " + std::to_string(shards) + (shards == 1 ? " shard" : " shards"));
    std::vector<Feed*> replaying, announcing;
    for (const auto& link : links_) {
        if (link != links_.front()) {
            link->dialer().close(now_);
            lose(*link);
        }
    }
    for (const auto& link : links_) {
        replaying.insert(replaying.end(), link->replaying.begin(), link->replaying.end());
        announcing.insert(announcing.end(), link->announcing.begin(), link->announcing.end());
        link->replaying.clear();
        link->announcing.clear();
    }
    while (!links_.front()->counting.empty()) forget_count(*links_.front()->counting.back());
    links_.resize(1);
    for (unsigned shard = 1; shard < shards; ++shard) add_link(shard, shards);
    part_ = {kMaxRequests / shards, kMaxLinkBytes / shards, kCongestedBytes / shards, kRelievedBytes / shards};
    for (auto& [name, feed] : feeds_) feed->link = &link_of(name);
    for (Feed* const feed : replaying) feed->link->replaying.push_back(feed);
    for (Feed* const feed : announcing) feed->link->announcing.push_back(feed);
}

void Gateway::on_link_up(ShardLink& link, const v1::Welcome& welcome) {
    const unsigned shards = std::max(welcome.shards(), 1U);
    if (shards > kMaxShards || welcome.shard() != link.shard() || (&link != &first_link() && shards != links())) {
        host_.log(Level::error, "weftd at the other end of a link is not who was expected: shard " +
                                    std::to_string(welcome.shard()) + " of " + std::to_string(shards) + ", not shard " +
                                    std::to_string(link.shard()) + " of " + std::to_string(links()));
        return link.dialer().close(now_);
    }
    host_.log(Level::info, "link to weftd is up: node \"" + welcome.node() + "\", " + welcome.software() +
                               (shards == 1 ? "" : ", " + shard_name(link)));
    if (&link == &first_link()) {
        node_ = welcome.node();
        set_shards(shards);
    }
    counters_.link_up.set(links_up() ? 1 : 0);
    link.surveys = welcome.surveys();
    link.marks = welcome.marks();
    link.clients = welcome.clients();
    // Without users a feed has no business here any more; with them it is announced anew, with its position.
    for (auto entry = feeds_.begin(); entry != feeds_.end();) {
        Feed& feed = *(entry++)->second;
        if (feed.link == &link) drop_if_unused(feed);
    }
    for (auto& [name, feed] : feeds_) {
        if (feed->link != &link) continue;
        announce(*feed);
        if (feed->members) announce_members(*feed);
        feed->told_count = 1;
        count_later(*feed);
    }
    if (&link != &first_link()) return;
    told_connections_ = 0;
    on_hooks(welcome.hooks());
    revocations_.expire(wall_);
    revocations_.for_each([&](const v1::Revocation& revocation) {  // weftd may have forgotten
        *outgoing_.mutable_revocation() = revocation;
        send_link(link, outgoing_);
    });
}

void Gateway::on_link_down(ShardLink& link, std::string_view why) {
    if (&link == &first_link()) node_.clear();
    host_.log(Level::warning,
              "link to weftd is down" + (links_.size() == 1 ? "" : ", " + shard_name(link)) + ": " + std::string(why));
    lose(link);
}

void Gateway::lose(ShardLink& link) {
    counters_.link_up.set(0);
    while (!link.counting.empty()) forget_count(*link.counting.back());  // all are, on the next link
    // Told at the end: who ends for it leaves its other channels, and those may go with it.
    std::vector<Unanswered> unanswered;
    for (auto entry = feeds_.begin(); entry != feeds_.end();) {
        Feed& feed = *(entry++)->second;
        if (feed.link != &link) continue;
        feed.settled = false;
        feed.announced = false;
        if (feed.history) interrupt_replays(feed, unanswered);
        std::vector<Feed::Waiting> waiting;
        waiting.swap(feed.waiting);
        for (Feed::Waiting& one : waiting) {
            const Connection::Subscription* const subscription = one.connection->subscription_to(feed);
            if (subscription != nullptr && subscription->slot == Connection::kWaiting) leave(feed, *one.connection);
            unanswered.push_back({one.connection, std::move(one.id)});
        }
        drop_if_unused(feed);
    }
    for (const Unanswered& one : unanswered) fail_unavailable(*one.connection, one.id);
    fail_requests(link);
    look_at_congestion();
    host_.on_link_lost();
}

void Gateway::look_at_congestion() noexcept {
    if (!congested_) return;
    congested_ = std::ranges::any_of(
        links_, [this](const auto& link) { return link->up() && link->queued_bytes() > part_.relieved; });
}

void Gateway::on_link_refused(ShardLink& link, const v1::Refused& refused) {
    host_.log(Level::error, "weftd refused the link" + (links_.size() == 1 ? "" : ", " + shard_name(link)) + ": " +
                                refused.message() + " (this module speaks link version " +
                                std::to_string(kLinkVersion) + ", weftd " + std::to_string(refused.version()) + ")");
}

void Gateway::on_link_frame(ShardLink& link, v1::Frame& frame) {
    if (!frame.has_revocation()) carry_out_decisions();
    switch (frame.body_case()) {
        case v1::Frame::kPublication: {
            const v1::Publication& publication = frame.publication();
            counters_.publications_out.add();
            Feed* feed = find_feed(publication.channel());
            if (feed == nullptr || !feed->settled) return;
            if (feed->history) return broadcast_kept(*feed, publication);
            if (publication.repeat()) return void(feed->position = publication.position());
            ServerFrame out;
            out.body = event::Event{feed->name,
                                    publication.data(),
                                    publication.position(),
                                    publication.message_id(),
                                    WallTime(std::chrono::milliseconds(publication.timestamp_ms())),
                                    publisher_of(publication.publisher())};
            broadcast(*feed, out, publication.publisher().client_id());
            feed->position = publication.position();
            return;
        }
        case v1::Frame::kSignal: {
            const v1::Signal& signal = frame.signal();
            Feed* feed = find_feed(signal.channel());
            if (feed == nullptr || !feed->settled) return;
            ServerFrame out;
            out.body = event::Signal{feed->name, signal.name(), signal.data(), publisher_of(signal.publisher())};
            broadcast(*feed, out, signal.publisher().client_id());
            if (feed->history) send_to_aparts(*feed, out);
            return;
        }
        case v1::Frame::kSubscribed: {
            if (Feed* feed = find_feed(frame.subscribed().channel())) settle(*feed, frame.subscribed());
            return;
        }
        case v1::Frame::kPublished: {
            const v1::Published& published = frame.published();
            const Request request = take_request(link, published.request());
            ServerFrame out;
            out.id = request.id;
            out.body = event::Published{published.message_id(), published.position()};
            if (request.observer != nullptr) return request.observer->on_answer(out);
            if (request.connection == nullptr || request.id.empty()) return;
            send_late(*request.connection, out);  // its position covers what was published before it
            return;
        }
        case v1::Frame::kRpcResult: {
            const Request request = take_request(link, frame.rpc_result().request());
            ServerFrame out;
            out.body = event::RpcResponse{frame.rpc_result().result()};
            return answer(request, out);
        }
        case v1::Frame::kFailed: {
            const v1::Failed& failed = frame.failed();
            const event::Error error{static_cast<Code>(failed.code()), failed.message(),
                                     std::chrono::milliseconds(failed.retry_after_ms())};
            if (!failed.channel().empty()) {
                if (Feed* feed = find_feed(failed.channel())) refuse_feed(*feed, error);
                return;
            }
            const Request request = take_request(link, failed.request());
            if (request.kind == Request::Kind::replay || request.kind == Request::Kind::catch_up) {
                return on_read_failed(link, request.kind, failed.request(), error);
            }
            if (request.kind == Request::Kind::connect) {
                if (request.connection != nullptr) turn_away(*request.connection, error);
                return;
            }
            return fail(request, error);
        }
        case v1::Frame::kGap: {
            Feed* feed = find_feed(frame.gap().channel());
            if (feed == nullptr || !feed->settled) return;
            if (feed->history) return on_kept_gap(*feed, frame.gap());
            feed->position = frame.gap().position();
            ServerFrame out;
            out.body = event::Gap{feed->name};
            broadcast(*feed, out, 0);
            return;
        }
        case v1::Frame::kAllowed: return on_allowed(link, frame.allowed());
        case v1::Frame::kRevocation: on_revocation(frame.revocation()); return;
        case v1::Frame::kHistoryPage: return on_page(link, frame.history_page());
        case v1::Frame::kMemberEvent: return on_member_event(frame.member_event());
        case v1::Frame::kMembersPage: return on_members_page(link, frame.members_page());
        case v1::Frame::kMarked: return host_.on_marked(link.shard(), frame.marked());
        case v1::Frame::kReadClients: return on_read_clients(link, frame.read_clients());
        case v1::Frame::kChannelsPage:
        case v1::Frame::kClientsPage:
        case v1::Frame::kNodesPage: return on_survey_part(link, frame);
        case v1::Frame::kMembersReset: return on_members_reset(link);
        default: return;  // a frame of a later version, or none
    }
}

}  // namespace weft
