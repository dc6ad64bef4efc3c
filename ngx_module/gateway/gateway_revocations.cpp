// Clients that an operator or a back end wants gone, and what is remembered of that.
#include <algorithm>
#include <unordered_map>

#include "auth/grants_text.hpp"
#include "gateway/gateway.hpp"

namespace weft {

namespace {

constexpr std::string_view kBanned = "this user or ticket is banned";

}  // namespace

std::optional<event::Error> Gateway::banned(const Identity& identity) const {
    const WallTime until = revocations_.banned_until(identity.user, identity.ticket, wall_);
    if (until <= wall_) return std::nullopt;
    return event::Error{Code::banned, kBanned, until - wall_};
}

void Gateway::revoke(const v1::Revocation& revocation, std::chrono::seconds lasts, RequestObserver& observer,
                     std::string_view id) {
    const Request asked{nullptr, &observer, std::string(id)};
    const std::uint64_t number = new_request(first_link(), {nullptr, &observer, std::string(id)});
    if (number == 0) return fail_unavailable(asked);
    v1::Revoke& revoke = *outgoing_.mutable_revoke();
    revoke.set_request(number);
    *revoke.mutable_revocation() = revocation;
    revoke.set_seconds(static_cast<std::uint32_t>(lasts.count()));
    send_link(first_link(), outgoing_);
}

void Gateway::on_revocation(const v1::Revocation& revocation) {
    if (revocations_.add(revocation, wall_) == Revocations::Added::known || revocation.lifted()) return;
    decided_.push_back(revocation);
    if (decided_.size() == kMaxDecided) return carry_out_decisions();
    if (!turn_scheduled_) {
        turn_scheduled_ = true;
        host_.schedule_turn_end();
    }
}

void Gateway::carry_out_decisions() {
    if (decided_.empty()) return;
    std::vector<v1::Revocation> decided;
    decided.swap(decided_);
    std::unordered_multimap<std::string_view, const v1::Revocation*> users;
    std::unordered_multimap<std::uint64_t, const v1::Revocation*> tickets, clients;
    for (const v1::Revocation& one : decided) {
        if (!one.user().empty()) {
            users.emplace(one.user(), &one);
        } else if (!one.ticket().empty()) {
            tickets.emplace(Revocations::ticket_hash(one.ticket()), &one);
        } else {
            clients.emplace(one.client_id(), &one);
        }
    }
    host_.visit([&](Connection& connection) {
        if (connection.identity_ == nullptr) return;
        const auto all_of = [&](const auto& map, const auto& subject) {
            const auto [begin, end] = map.equal_range(subject);
            for (auto one = begin; one != end; ++one) carry_out(*one->second, connection);
        };
        if (!users.empty()) all_of(users, connection.user());
        if (!tickets.empty()) all_of(tickets, connection.identity_->ticket);
        if (!clients.empty()) all_of(clients, connection.client_id());
    });
}

void Gateway::carry_out(const v1::Revocation& revocation, Connection& connection) {
    if (connection.phase() != Connection::Phase::open) return;
    const WallTime issued(std::chrono::milliseconds(revocation.issued_ms()));
    const bool ban = revocation.kind() == v1::Revocation::BAN;
    if (revocation.late() && !ban && connection.identity_->since > issued) return;
    switch (revocation.kind()) {
        case v1::Revocation::BAN:
            counters_.revoked.add();
            if (!connection.endpoint().echo) {
                const auto left = WallTime(std::chrono::milliseconds(revocation.until_ms())) - wall_;
                fail(connection, {}, {Code::banned, kBanned, left});
            }
            connection.end(Code::banned);
            return;
        case v1::Revocation::DISCONNECT:
            counters_.revoked.add();
            if (!connection.endpoint().echo) {
                fail(connection, {}, {Code::revoked, "disconnected by the server", {}});
            }
            connection.end(Code::revoked);
            return;
        case v1::Revocation::UNSUBSCRIBE: expel(connection, revocation.channel()); return;
        case v1::Revocation::GRANT: grant(revocation, connection); return;
        default: return;
    }
}

void Gateway::grant(const v1::Revocation& revocation, Connection& connection) {
    if (connection.asked_) return;  // a back end is about to say what it may do
    const Identity& before = *connection.identity_;
    auto now = std::make_shared<Identity>();
    now->user = before.user;
    now->grants = before.grants;
    now->expires_at = before.expires_at;
    now->ticket = before.ticket;
    now->since = before.since;
    if (before.info) now->info = std::make_unique<const std::string>(*before.info);
    if (!revocation.grants().empty()) {
        auto grants = parse_grants(revocation.grants());
        if (!grants) {  // a worker of another version let it pass
            return host_.log(Level::error, "can't read the grants of a refresh: " + grants.error());
        }
        grants->share();
        now->grants = std::move(*grants);
    }
    if (revocation.expires_ms() != 0) now->expires_at = WallTime(std::chrono::milliseconds(revocation.expires_ms()));
    adopt(connection, std::move(now));
}

void Gateway::expel(Connection& connection, const std::string& channel) {
    Feed* const feed = find_feed(channel);
    if (feed == nullptr) return;
    if (connection.subscription_to(*feed) == nullptr) return;
    counters_.revoked.add();
    if (feed->members) member_left(*feed, connection, true);
    put_out(*feed, connection, {Code::revoked, "taken out of this channel by the server", {}});
    drop_if_unused(*feed);
}

}  // namespace weft
