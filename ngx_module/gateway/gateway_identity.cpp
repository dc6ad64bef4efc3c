// Who a client is, where that is told or changed by a message: auth and refresh.
#include <algorithm>

#include "gateway/gateway.hpp"
#include "gateway/permission.hpp"

namespace weft {

void Gateway::await_auth(Connection& connection) {
    count_in(connection);
    wheel_.arm(connection, now_ + connection.endpoint().auth_timeout);
}

void Gateway::give_up_waiting(Connection& connection) {
    refuse_unknown(connection, {}, {Code::authentication_required, "no credentials came in time", {}});
}

void Gateway::refuse_unknown(Connection& connection, std::string_view id, const event::Error& why) {
    counters_.refused.add();
    fail(connection, id, why);
    connection.end(why.code);
}

void Gateway::execute_unknown(Connection& connection, const Command& command) {
    const auto* auth = std::get_if<command::Auth>(&command.body);
    if (auth == nullptr) {
        refuse_unknown(connection, command.id,
                       {Code::authentication_required, "expected \"auth\" as the first message", {}});
        return;
    }
    carry_out_decisions();
    auto identity = host_.identify(connection, auth->token);
    if (!identity) {
        if (identity.error().code == Code::too_many_connections) {
            counters_.too_many.add();
            fail(connection, command.id, identity.error());
            connection.end(identity.error().code);
        } else {
            refuse_unknown(connection, command.id, identity.error());
        }
        return;
    }
    if (const auto ban = banned(**identity)) {
        counters_.banned.add();
        fail(connection, command.id, *ban);
        connection.end(ban->code);
        return;
    }
    connection.identity_ = std::move(*identity);
    let_in(connection, command.id);
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Auth&) {
    fail(connection, id, {Code::invalid_message, "this connection has credentials already: expected \"refresh\"", {}});
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Refresh& refresh) {
    if (connection.identity_->expires_at == Identity::kNever) {
        fail(connection, id, {Code::invalid_message, "this connection wasn't opened with a ticket", {}});
        return;
    }
    carry_out_decisions();  // by the ticket that they were made about
    if (connection.phase() != Connection::Phase::open) return;
    auto identity = host_.identify(connection, refresh.token);
    if (!identity) {
        fail(connection, id, identity.error());
        return;
    }
    if (const auto ban = banned(**identity)) {
        fail(connection, id, *ban);
        connection.end(ban->code);
        return;
    }
    if ((*identity)->user != connection.user()) {  // said no more precisely than of any other that isn't good here
        fail(connection, id, {Code::authentication_failed, "the credentials were not accepted", {}});
        return;
    }
    adopt(connection, std::move(*identity));
    ServerFrame frame;
    frame.id = id;
    frame.body = event::Refreshed{connection.identity_->expires_at};
    send(connection, frame);
}

void Gateway::adopt(Connection& connection, std::shared_ptr<const Identity> identity) {
    connection.identity_ = std::move(identity);
    connection.expiry_told_ = false;
    if (!connection.draining_) connection.awaited_ ? connection.arm_first() : connection.arm_heartbeat();
    leave_what_is_not_granted(connection);
}

void Gateway::leave_what_is_not_granted(Connection& connection) {
    // From behind: leaving puts the last subscription in the place of the one that goes.
    for (std::size_t i = connection.subscriptions_.size(); i-- > 0;) {
        const auto [feed, slot] = connection.subscriptions_[i];
        if (may_stay(rules_, connection.identity_->grants, connection.user(), feed->name)) {
            if (!feed->members || slot == Connection::kWaiting) continue;
            Feed::Subscriber& subscriber = feed->subscribers[slot];
            feed->members->deaf -= subscriber.hears_members ? 0 : 1;
            subscriber.hears_members = hears_members(*feed, connection);
            feed->members->deaf += subscriber.hears_members ? 0 : 1;
            continue;
        }
        put_out(*feed, connection,
                {Code::permission_denied, "the ticket doesn't grant \"subscribe\" on this channel any more", {}});
        drop_if_unused(*feed);
        if (connection.phase() != Connection::Phase::open) return;  // and in no channel any more
    }
}

}  // namespace weft
