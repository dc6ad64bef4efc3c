// What clients and back ends may ask of a worker.
#include <algorithm>

#include "gateway/gateway.hpp"
#include "gateway/permission.hpp"
#include "weft/position.hpp"

namespace weft {

namespace {

void set_publisher(v1::Publisher& publisher, const Connection& connection) {
    publisher.mutable_user()->assign(connection.user());
    publisher.set_client_id(connection.client_id());
}

bool counts_as_call(const LinkRequest& request) noexcept {
    return request.kind == LinkRequest::Kind::rpc || request.kind == LinkRequest::Kind::member_stats;
}

}  // namespace

void Gateway::execute(Connection& connection, const Command& command) {
    if (!connection.authenticated()) {
        execute_unknown(connection, command);
        return;
    }
    std::visit([&](const auto& body) { execute(connection, command.id, body); }, command.body);
}

bool Gateway::allowed(Connection& connection, std::string_view id, Action action, std::string_view channel,
                      const ChannelRule*& rule) {
    switch (permission(rules_, connection.identity_->grants, connection.user(), action, channel, rule)) {
        case Permission::granted: return true;
        case Permission::no_channel:
            fail(connection, id, {Code::channel_not_found, "no weft_channel rule matches this channel", {}});
            return false;
        case Permission::rule_forbids: {
            std::string message = "this channel's rule allows no client to \"";
            message.append(name_of(action)).append("\"");
            return deny(connection, id, message);
        }
        case Permission::somebody_elses: return deny(connection, id, "this channel belongs to another user");
        case Permission::not_granted: {
            std::string message = "the ticket doesn't grant \"";
            message.append(name_of(action)).append("\" on this channel");
            return deny(connection, id, message);
        }
    }
    return false;
}

bool Gateway::deny(Connection& connection, std::string_view id, std::string_view why) {
    refusals().denied.add();
    fail(connection, id, {Code::permission_denied, why, {}});
    return false;
}

bool Gateway::within_size(Connection& connection, std::string_view id, const ChannelRule& rule, Json data) {
    if (rule.max_size == 0 || data.size() <= rule.max_size) return true;
    const std::string why =
        "the data is longer than this channel takes, expected at most " + std::to_string(rule.max_size) + " bytes";
    refuse(connection, id, {Code::message_too_large, why, {}}, refusals().payload);
    return false;
}

bool Gateway::within_channel_rate(Connection& connection, std::string_view id, const ChannelRule& rule,
                                  std::string_view channel) {
    if (!rule.rate.limited() || shared_.rates == nullptr) return true;
    const auto wait = shared_.rates->take(shared_.rates->key(SharedRates::Kind::channel, channel), rule.rate, now_);
    if (wait.count() == 0) return true;
    counters_.rate_limited.add();
    refuse(connection, id, {Code::rate_limited, "more publications than this channel takes", wait}, refusals().channel);
    return false;
}

bool Gateway::enter_channel(Connection& connection, std::string_view id, const ChannelRule& rule,
                            std::string_view channel) {
    if (rule.max_members == 0 || shared_.members == nullptr) return true;
    if (shared_.members->enter(channel, rule.max_members)) return true;
    refuse(connection, id, {Code::channel_full, "this channel has as many members as it may have", kRetryAfter},
           refusals().members);
    return false;
}

void Gateway::fail_unavailable(Connection& connection, std::string_view id) {
    fail_unavailable({&connection, nullptr, std::string(id)});
}

void Gateway::answer(const Request& request, ServerFrame& frame) {
    frame.id = request.id;
    if (request.observer != nullptr) request.observer->on_answer(frame);
    if (request.connection != nullptr) send(*request.connection, frame);
}

void Gateway::fail(const Request& request, const event::Error& error) {
    if (request.survey) return fail_survey(request, error);
    if (request.connection != nullptr) return fail(*request.connection, request.id, error);
    ServerFrame frame;
    frame.body = error;
    answer(request, frame);
}

void Gateway::fail_unavailable(const Request& request) {
    fail(request, {Code::unavailable, "the broker can't be reached at the moment, try again", kRetryAfter});
}

std::uint64_t Gateway::new_request(ShardLink& link, Request request) {
    if (!link_ready(link) || link.requests.size() >= part_.requests) return 0;
    if (request.connection != nullptr) {
        ++request.connection->requests_;
        if (counts_as_call(request)) ++request.connection->rpcs_;
    }
    counters_.pending.add();
    return link.requests.add(std::move(request));
}

void Gateway::forget(const Request& request) noexcept {
    if (request.connection == nullptr) return;
    --request.connection->requests_;
    if (counts_as_call(request)) --request.connection->rpcs_;
}

Gateway::Request Gateway::take_request(ShardLink& link, std::uint64_t number) {
    Request request = link.requests.take(number);
    if (!request.open) return request;
    counters_.pending.subtract();
    forget(request);
    if (request.kind == Request::Kind::subscribe) forget_question(request.connection, link, number);
    return request;
}

void Gateway::fail_requests(ShardLink& link) {
    // One by one: an observer may cancel another that is still behind it.
    for (const std::uint64_t number : link.requests.numbers()) {
        const Request request = take_request(link, number);
        if (request.kind == Request::Kind::connect) {  // asked again when weftd is back
            if (request.connection == nullptr) continue;
            asking_.at(request.connection).request = 0;
            ++unsent_questions_;
            continue;
        }
        fail_unavailable(request);
    }
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Subscribe& subscribe) {
    this->subscribe(connection, id, subscribe, false);
}

void Gateway::subscribe(Connection& connection, std::string_view id, const command::Subscribe& subscribe, bool asked) {
    const ChannelRule* rule = nullptr;
    if (!allowed(connection, id, Action::subscribe, subscribe.channel, rule)) return;
    if (subscribe.position) {
        if (const auto position = Position::parse(*subscribe.position); !position) {
            fail(connection, id,
                 {Code::invalid_message, "\"position\" is none that a server gave: " + position.error(), {}});
            return;
        }
    }
    Feed* feed = find_feed(subscribe.channel);
    const ShardLink& link = feed == nullptr ? link_of(subscribe.channel) : *feed->link;
    if (!link.up() || (feed == nullptr && !link_ready(link))) {  // what is known here needs no room on the link
        fail_unavailable(connection, id);
        return;
    }
    const bool already =
        feed != nullptr && std::any_of(connection.subscriptions_.begin(), connection.subscriptions_.end(),
                                       [feed](const auto& entry) { return entry.feed == feed; });
    const std::size_t places =
        connection.subscriptions_.size() + (questions_.empty() ? 0 : questions_.count(&connection));
    if (!already && places >= connection.endpoint().max_subscriptions) {
        refuse(connection, id,
               {Code::too_many_subscriptions, "this connection is in as many channels as it may be", {}},
               refusals().subscriptions);
        return;
    }
    if (feed != nullptr && already && !feed->settled &&
        std::count_if(feed->waiting.begin(), feed->waiting.end(), [&connection](const auto& waiting) {
            return waiting.connection == &connection;
        }) >= static_cast<std::ptrdiff_t>(kMaxWaiting)) {
        fail(connection, id,
             {Code::rate_limited, "subscribing to this channel several times over, unanswered yet", kRetryAfter});
        return;
    }
    if (!already && !asked && asks_about(subscribe.channel)) return ask_to_subscribe(connection, id, subscribe);
    if (!already && !enter_channel(connection, id, *rule, subscribe.channel)) return;
    if (feed == nullptr) feed = &make_feed(subscribe.channel);
    if (!already) connection.subscriptions_.push_back({feed, Connection::kWaiting});
    if (connection.awaited_) connection.subscribed_first();
    const bool resume = subscribe.position.has_value();
    const std::string_view position = subscribe.position.value_or(std::string_view());
    if (feed->settled) {
        if (feed->history && resume) {
            this->resume(*feed, connection, id, subscribe.echo, position);
            drop_if_unused(*feed);
            return;
        }
        if (feed->history && rule->latest) {
            give_latest(*feed, connection, id, subscribe.echo);
            drop_if_unused(*feed);
            return;
        }
        fail_unanswered(*feed, connection, "subscribed anew before it was answered");
        leave_apart(*feed, connection);
        // What was collected before counts as delivered to those who were there, and is behind this one's position.
        deliver_collected(*feed);
        join(*feed, connection, subscribe.echo);
        answer_subscribe(*feed, connection, id, resume, position);
        return;
    }
    feed->waiting.push_back(
        {&connection, std::string(id), subscribe.echo, resume, rule->latest, std::string(position)});
    announce(*feed);
}

void Gateway::overtake(Connection& connection, std::string_view id, std::string_view why) {
    if (id == kEntryId) return on_entered(connection);
    fail(connection, id, {Code::not_subscribed, why, {}});
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Unsubscribe& unsubscribe) {
    Feed* feed = find_feed(unsubscribe.channel);
    const auto& subscriptions = connection.subscriptions_;
    const bool asked = cancel_question(connection, unsubscribe.channel);
    if (feed == nullptr || std::none_of(subscriptions.begin(), subscriptions.end(),
                                        [feed](const auto& entry) { return entry.feed == feed; })) {
        if (asked) {
            ServerFrame frame;
            frame.id = id;
            frame.body = event::Unsubscribed{unsubscribe.channel, std::nullopt};
            send(connection, frame);
            return;
        }
        fail(connection, id, {Code::not_subscribed, "this connection isn't in that channel", {}});
        return;
    }
    for (const Feed::Waiting& waiting : feed->waiting) {
        if (waiting.connection == &connection) {
            overtake(connection, waiting.id, "unsubscribed before it was answered");
        }
    }
    fail_unanswered(*feed, connection, "unsubscribed before it was answered");
    const std::string name = feed->name;
    leave(*feed, connection);
    drop_if_unused(*feed);
    ServerFrame frame;
    frame.id = id;
    frame.body = event::Unsubscribed{name, std::nullopt};
    send(connection, frame);
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Publish& publish) {
    if (publish.channel.empty()) {
        const Entrance* const entrance = connection.entrance();
        if (entrance == nullptr || entrance->home.empty()) {
            fail(connection, id, {Code::not_subscribed, "messages of this connection go to no channel", {}});
            return;
        }
        return execute(connection, id, command::Publish{entrance->home, publish.data, publish.message_id});
    }
    const ChannelRule* rule = nullptr;
    if (!allowed(connection, id, Action::publish, publish.channel, rule)) return;
    if (!within_size(connection, id, *rule, publish.data)) return;
    if (!within_channel_rate(connection, id, *rule, publish.channel)) return;
    ShardLink& link = link_of(publish.channel);
    const std::uint64_t number = new_request(link, {&connection, nullptr, std::string(id)});
    if (number == 0) {
        fail_unavailable(connection, id);
        return;
    }
    counters_.publications_in.add();
    v1::Publish& out = *outgoing_.mutable_publish();
    out.set_request(number);
    out.set_channel(publish.channel.data(), publish.channel.size());
    out.set_data(publish.data.data(), publish.data.size());
    out.set_message_id(publish.message_id.data(), publish.message_id.size());
    set_publisher(*out.mutable_publisher(), connection);
    send_link(link, outgoing_);
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Signal& signal) {
    const ChannelRule* rule = nullptr;
    if (!allowed(connection, id, Action::signal, signal.channel, rule)) return;
    if (!within_size(connection, id, *rule, signal.data)) return;
    ShardLink& link = link_of(signal.channel);
    // It is of the moment, and gives way to what isn't.
    if (id.empty() && link_ready(link) && link.queued_bytes() > part_.relieved) return counters_.signals_dropped.add();
    std::uint64_t number = 0;
    if (!id.empty()) number = new_request(link, {&connection, nullptr, std::string(id)});
    if (!link_ready(link) || (!id.empty() && number == 0)) {
        fail_unavailable(connection, id);
        return;
    }
    v1::SendSignal& out = *outgoing_.mutable_send_signal();
    out.set_request(number);
    out.set_channel(signal.channel.data(), signal.channel.size());
    out.set_name(signal.name.data(), signal.name.size());
    out.set_data(signal.data.data(), signal.data.size());
    set_publisher(*out.mutable_publisher(), connection);
    send_link(link, outgoing_);
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Rpc& rpc) {
    if (!connection.identity_->grants.allows_rpc(rpc.method)) {
        deny(connection, id, "the ticket doesn't grant this method");
        return;
    }
    if (connection.rpcs_ >= connection.endpoint().max_rpcs) {
        refuse(connection, id,
               {Code::rate_limited, "as many calls of this connection wait for an answer as may", kRetryAfter},
               refusals().rpcs);
        return;
    }
    if (call_own_method(connection, id, rpc)) return;
    ShardLink& link = first_link();
    const std::uint64_t number = new_request(link, {&connection, nullptr, std::string(id), Request::Kind::rpc});
    if (number == 0) {
        fail_unavailable(connection, id);
        return;
    }
    v1::Rpc& out = *outgoing_.mutable_rpc();
    out.set_request(number);
    out.set_method(rpc.method.data(), rpc.method.size());
    out.set_params(rpc.params.data(), rpc.params.size());
    set_publisher(*out.mutable_caller(), connection);
    send_link(link, outgoing_);
}

void Gateway::execute(Connection& connection, std::string_view id, const command::History& history) {
    const ChannelRule* rule = nullptr;
    if (!allowed(connection, id, Action::history, history.channel, rule)) return;
    ask_history({&connection, nullptr, std::string(id), Request::Kind::history}, history);
}

void Gateway::execute(Connection& connection, std::string_view id, const command::Ping&) {
    ServerFrame frame;
    frame.id = id;
    frame.body = event::Pong{};
    send(connection, frame);
}

}  // namespace weft
