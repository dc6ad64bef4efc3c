// Channels with presence: what weftd is told of subscribers here, and what they are told of members anywhere.
#include <algorithm>
#include <vector>

#include "codec/json_object.hpp"
#include "gateway/gateway.hpp"
#include "gateway/permission.hpp"

namespace weft {

namespace {

constexpr std::size_t kAnnounceRoom = std::size_t{1}
                                      << 20;  // bytes that may wait for weftd while members are announced

Member member_of(const v1::Member& member) {
    return {member.id(), member.client_id(), member.user(), member.info()};
}

}  // namespace

bool Gateway::hears_members(const Feed& feed, const Connection& connection) const noexcept {
    const ChannelRule* rule = nullptr;
    return permission(rules_, connection.identity_->grants, connection.user(), Action::presence, feed.name, rule) ==
           Permission::granted;
}

void Gateway::announce_later(Feed& feed) {
    if (std::exchange(feed.members->announcing, true)) return;
    feed.link->announcing.push_back(&feed);
}

void Gateway::member_joined(Feed& feed, const Connection& connection) {
    if (feed.members->rule->presence_counts) {
        feed.members->recount = true;
        return announce_later(feed);
    }
    if (!feed.link->up()) return;  // on the next link all are announced
    v1::MemberJoin& join = *outgoing_.mutable_member_join();
    const Identity& identity = *connection.identity_;
    join.set_channel(feed.name);
    join.set_client_id(connection.client_id());
    join.set_user(identity.user);
    join.set_info(identity.info ? *identity.info : std::string());
    join.set_linger_ms(static_cast<std::uint32_t>(feed.members->rule->debounce.count()));
    send_link(*feed.link, outgoing_);
}

void Gateway::member_left(Feed& feed, const Connection& connection, bool at_once) {
    if (feed.members->rule->presence_counts) {
        feed.members->recount = true;
        return announce_later(feed);
    }
    if (!feed.link->up()) return;
    v1::MemberLeave& leave = *outgoing_.mutable_member_leave();
    leave.set_channel(feed.name);
    leave.set_client_id(connection.client_id());
    leave.set_at_once(at_once || connection.close_code() == static_cast<std::uint16_t>(Code::banned) ||
                      connection.close_code() == static_cast<std::uint16_t>(Code::revoked));
    send_link(*feed.link, outgoing_);
}

void Gateway::forget_members(Feed& feed) {
    if (std::exchange(feed.members->announcing, false)) std::erase(feed.link->announcing, &feed);
    if (!feed.members->rule->presence_counts || !feed.link->up()) return;
    outgoing_.mutable_member_count()->set_channel(feed.name);
    outgoing_.mutable_member_count()->set_count(0);
    send_link(*feed.link, outgoing_);
}

void Gateway::announce_members(Feed& feed) {
    feed.members->unannounced = static_cast<std::uint32_t>(feed.subscribers.size());
    feed.members->recount = true;
    announce_later(feed);
    if (feed.members->rule->presence_counts || !feed.history) return;
    feed.history->apart.for_each([&](const Apart& apart) {
        if (apart.answered) member_joined(feed, *apart.connection);
    });
}

void Gateway::continue_announcing() {
    for (const auto& link : links_) continue_announcing(*link);
}

void Gateway::continue_announcing(ShardLink& link) {
    while (!link.announcing.empty() && link.up() && link.queued_bytes() < kAnnounceRoom) {
        Feed& feed = *link.announcing.back();
        FeedMembers& members = *feed.members;
        if (members.rule->presence_counts) {
            if (std::exchange(members.recount, false)) {
                outgoing_.mutable_member_count()->set_channel(feed.name);
                outgoing_.mutable_member_count()->set_count(feed.subscribers.size() +
                                                            (feed.history ? feed.history->apart.size() : 0));
                send_link(link, outgoing_);
            }
            members.unannounced = 0;
        }
        // From the last to the first: who leaves is replaced by the last, who has been announced then.
        members.unannounced = std::min(members.unannounced, static_cast<std::uint32_t>(feed.subscribers.size()));
        while (members.unannounced > 0 && link.queued_bytes() < kAnnounceRoom) {
            member_joined(feed, *feed.subscribers[--members.unannounced].connection);
        }
        if (members.unannounced > 0) return;
        members.announcing = false;
        link.announcing.pop_back();
    }
}

void Gateway::on_member_event(const v1::MemberEvent& event) {
    Feed* const feed = find_feed(event.channel());
    if (feed == nullptr || feed->members == nullptr) return;
    feed->members->count = event.count();
    if (!event.has_member()) return;
    ServerFrame frame;
    frame.body = event::MemberChange{feed->name, member_of(event.member()), event.left(), event.edge(), event.count()};
    tell_members(*feed, frame);
}

void Gateway::tell_members(Feed& feed, const ServerFrame& frame) {
    if (feed.history) {
        feed.history->apart.for_each([&](const Apart& apart) {
            if (apart.answered && hears_members(feed, *apart.connection)) send(*apart.connection, frame);
        });
    }
    if (feed.members->deaf == 0) return collect(feed, frame);
    if (feed.members->deaf == feed.subscribers.size()) return;
    SharedBytes encoded[Wire::kMax];
    for (const Feed::Subscriber& subscriber : feed.subscribers) {
        if (!subscriber.hears_members || subscriber.connection->phase() != Connection::Phase::open) continue;
        SharedBytes& bytes = encoded[subscriber.connection->wire_->index()];
        if (!bytes) {
            scratch_.clear();
            subscriber.connection->wire_->append(frame, scratch_);
            bytes = SharedBytes(scratch_);
        }
        push(*subscriber.connection, bytes, ChunkTag::publications(feed.id));
    }
}

void Gateway::tell_members_missed(Feed& feed) {
    if (feed.subscribers.empty() && !(feed.history && !feed.history->apart.empty())) return;
    if (feed.members->rule->presence_counts) return;
    ServerFrame frame;
    frame.body = event::PresenceGap{feed.name};
    tell_members(feed, frame);
}

void Gateway::on_members_reset(const ShardLink& link) {
    for (auto& [name, feed] : feeds_) {
        if (feed->members && feed->link == &link) tell_members_missed(*feed);
    }
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Presence& presence) {
    const ChannelRule* rule = nullptr;
    if (!allowed(connection, id, Action::presence, presence.channel, rule)) return;
    ask_members({&connection, nullptr, std::string(id), Request::Kind::members}, *rule, presence);
}

void Gateway::ask_members(Request request, const ChannelRule& rule, const command::Presence& presence) {
    if (!rule.presence) return fail(request, {Code::permission_denied, "this channel is without presence", {}});
    const auto after = presence.after.empty() ? std::optional<std::uint64_t>(0) : HexId::parse(presence.after);
    if (!after) {
        return fail(request, {Code::invalid_message, "\"after\" is not usable: expected a member's id", {}});
    }
    if (rule.presence_counts && request.kind == Request::Kind::members) request.kind = Request::Kind::member_count;
    request.channel = presence.channel;
    const Request asked{request.connection, request.observer, request.id};
    ShardLink& link = link_of(presence.channel);
    const std::uint64_t number = new_request(link, std::move(request));
    if (number == 0) return fail_unavailable(asked);
    v1::ReadMembers& read = *outgoing_.mutable_read_members();
    read.set_request(number);
    read.set_channel(presence.channel.data(), presence.channel.size());
    read.set_after(*after);
    read.set_limit(rule.presence_counts ? 1 : presence.limit);
    send_link(link, outgoing_);
}

void Gateway::on_members_page(ShardLink& link, const v1::MembersPage& page) {
    const Request request = take_request(link, page.request());
    ServerFrame frame;
    if (request.kind == Request::Kind::member_stats) {
        std::string result;
        append_object(result, [&](ObjectWriter& out) {
            out.string("channel", request.channel);
            out.number("count", page.count());
            const ChannelRule* const rule = rules_.find(request.channel);
            if (rule == nullptr || !rule->presence_counts) out.number("users", page.users());
        });
        frame.body = event::RpcResponse{result};
        return answer(request, frame);
    }
    std::vector<Member> members;
    const bool listed = request.kind == Request::Kind::members;
    if (listed) {
        members.reserve(static_cast<std::size_t>(page.members_size()));
        for (const v1::Member& member : page.members()) members.push_back(member_of(member));
    }
    frame.body = event::Members{request.channel, members, page.count(), page.users(), page.complete(), listed};
    answer(request, frame);
}

}  // namespace weft
