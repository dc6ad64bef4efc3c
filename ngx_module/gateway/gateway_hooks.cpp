// What back ends are asked about clients, where weftd's configuration has hooks for it: whether a connection is let in,
// and whether it may subscribe; and what they are told: that a connection has ended.
#include <algorithm>
#include <utility>

#include "auth/grants_text.hpp"
#include "gateway/gateway.hpp"
#include "websocket/frame_parser.hpp"

namespace weft {

namespace {

// Beyond the hook's own time: what weftd's answer may take to come, or a weftd that is restarted to be back.
constexpr std::chrono::milliseconds kDecisionGrace{5'000};

void set_client(v1::Publisher& client, const Connection& connection) {
    client.set_user(std::string(connection.user()));
    client.set_client_id(connection.client_id());
}

}  // namespace

void Gateway::on_hooks(const v1::Hooks& hooks) {
    asks_to_connect_ = hooks.connect();
    decision_timeout_ = std::chrono::milliseconds(hooks.connect_timeout_ms()) + kDecisionGrace;
    tells_disconnects_ = hooks.disconnect();
    asks_to_subscribe_.clear();
    for (const std::string& text : hooks.subscribe()) {
        if (auto pattern = ChannelPattern::parse(text)) asks_to_subscribe_.push_back(std::move(*pattern));
    }
    // Whoever came before this worker knew that it has to ask could do nothing without weftd so far.
    host_.visit([this](Connection& connection) {
        if (!asks_to_connect_ || !connection.greeted_ || connection.vouched_ || connection.asked_ ||
            connection.phase() != Connection::Phase::open) {
            return;
        }
        ask_about(connection, {});
        asking_.at(&connection).greeted = true;
    });
    send_questions();
}

void Gateway::let_in(Connection& connection, std::string_view id) {
    if (asks_to_connect_) return ask_about(connection, id);
    if (!connection.draining_) connection.arm_first();
    greet(connection, id);
}

void Gateway::ask_about(Connection& connection, std::string_view id) {
    connection.asked_ = true;
    ++unsent_questions_;
    Asking& asking = asking_[&connection];
    asking.id = id;
    if (!connection.draining_) wheel_.arm(connection, now_ + decision_timeout_);
    send_question(connection, asking);
}

void Gateway::send_question(Connection& connection, Asking& asking) {
    const std::uint64_t number = new_request(first_link(), {&connection, nullptr, {}, Request::Kind::connect});
    if (number == 0) return;  // it waits until there is a link, and room on it
    asking.request = number;
    --unsent_questions_;
    v1::Frame frame;
    v1::MayConnect& question = *frame.mutable_may_connect();
    question.set_request(number);
    set_client(*question.mutable_client(), connection);
    if (connection.identity_->info) question.set_info(*connection.identity_->info);
    send_link(first_link(), frame);
}

void Gateway::send_questions() {
    if (unsent_questions_ == 0) return;
    if (!asks_to_connect_ && first_link().up()) {  // nobody is to be asked any more
        std::vector<Connection*> waiting;
        for (auto& [connection, asking] : asking_) {
            if (asking.request == 0) waiting.push_back(connection);
        }
        for (Connection* const connection : waiting) admit(*connection, {});
        return;
    }
    for (auto& [connection, asking] : asking_) {
        if (!link_ready(first_link())) return;
        if (asking.request == 0) send_question(*connection, asking);
    }
}

void Gateway::hold(Connection& connection, std::string_view message) {
    Asking& asking = asking_.at(&connection);
    asking.early_bytes += message.size();
    if (asking.early_bytes > kMaxEarly) {
        return turn_away(connection, {Code::rate_limited, "more messages than may come before the greeting", {}});
    }
    // With the room behind it that a codec may read.
    std::string& kept = asking.early.emplace_back();
    kept.reserve(message.size() + websocket::kPadding);
    kept.append(message).append(websocket::kPadding, '\0');
}

void Gateway::give_up_asking(Connection& connection) {
    turn_away(connection,
              {Code::unavailable, "whether this connection is let in was not decided in time, try again", kRetryAfter});
}

void Gateway::turn_away(Connection& connection, const event::Error& why) {
    const std::string id = asking_.at(&connection).id;
    count_refused(why.code);
    fail(connection, id, why);
    connection.end(why.code);
}

void Gateway::on_allowed(ShardLink& link, const v1::Allowed& allowed) {
    const Request request = take_request(link, allowed.request());
    if (request.connection == nullptr) return;
    Connection& connection = *request.connection;
    if (request.kind == Request::Kind::connect) return admit(connection, allowed);
    if (request.kind != Request::Kind::subscribe) return;
    command::Subscribe command{};
    command.channel = request.channel;
    if (request.subscribe->position) command.position = *request.subscribe->position;
    command.echo = request.subscribe->echo;
    subscribe(connection, request.id, command, true);
}

void Gateway::admit(Connection& connection, const v1::Allowed& allowed) {
    if (!allowed.user().empty() || !allowed.info().empty() || !allowed.grants().empty()) {
        const Identity& before = *connection.identity_;
        auto identity = std::make_shared<Identity>();
        identity->user = allowed.user().empty() ? before.user : allowed.user();
        identity->grants = before.grants;
        identity->expires_at = before.expires_at;
        identity->ticket = before.ticket;
        identity->since = before.since;
        if (!allowed.info().empty()) {
            identity->info = std::make_unique<const std::string>(allowed.info());
        } else if (before.info) {
            identity->info = std::make_unique<const std::string>(*before.info);
        }
        if (!allowed.grants().empty()) {
            auto grants = parse_grants(allowed.grants());
            if (!grants) {
                host_.log(Level::error, "the connect hook gave grants that are none: " + grants.error());
                return turn_away(connection,
                                 {Code::unavailable, "the application gave no valid answer, try again", kRetryAfter});
            }
            identity->grants = std::move(*grants);
            identity->grants.share();
        }
        connection.identity_ = std::move(identity);
    }
    if (const auto ban = banned(*connection.identity_)) return turn_away(connection, *ban);
    const auto place = asking_.find(&connection);
    const Asking asking = std::move(place->second);
    if (asking.request == 0) --unsent_questions_;
    asking_.erase(place);
    connection.asked_ = false;
    connection.vouched_ = true;
    if (!connection.draining_) asking.greeted ? connection.arm_heartbeat() : connection.arm_first();
    if (!asking.greeted) greet(connection, asking.id);
    for (const std::string& message : asking.early) {
        if (connection.phase() != Connection::Phase::open) return;
        connection.take_early(std::string_view(message).substr(0, message.size() - websocket::kPadding));
    }
}

bool Gateway::asks_about(std::string_view channel) const noexcept {
    return !asks_to_subscribe_.empty() &&
           std::ranges::any_of(asks_to_subscribe_, [channel](const auto& one) { return one.matches(channel); });
}

void Gateway::ask_to_subscribe(Connection& connection, std::string_view id, const command::Subscribe& subscribe) {
    Request request{&connection, nullptr, std::string(id), Request::Kind::subscribe};
    request.channel = subscribe.channel;
    std::optional<std::string> position;
    if (subscribe.position) position.emplace(*subscribe.position);
    request.subscribe =
        std::make_unique<const Request::Subscribe>(Request::Subscribe{std::move(position), subscribe.echo});
    ShardLink& link = link_of(subscribe.channel);
    const std::uint64_t number = new_request(link, std::move(request));
    if (number == 0) return fail_unavailable(connection, id);
    questions_.emplace(&connection, Question{&link, number});
    if (connection.awaited_) connection.subscribed_first();
    v1::Frame frame;
    v1::MaySubscribe& question = *frame.mutable_may_subscribe();
    question.set_request(number);
    question.set_channel(subscribe.channel.data(), subscribe.channel.size());
    set_client(*question.mutable_client(), connection);
    send_link(link, frame);
}

void Gateway::forget_question(Connection* connection, const ShardLink& link, std::uint64_t request) {
    const auto [begin, end] = questions_.equal_range(connection);
    const auto place = std::find_if(
        begin, end, [&](const auto& one) { return one.second.link == &link && one.second.request == request; });
    if (place != end) questions_.erase(place);
}

bool Gateway::cancel_question(Connection& connection, std::string_view channel) {
    if (questions_.empty()) return false;
    std::vector<Question> about;
    const auto [begin, end] = questions_.equal_range(&connection);
    for (auto one = begin; one != end; ++one) {
        if (one->second.link->requests.find(one->second.request)->channel == channel) about.push_back(one->second);
    }
    std::ranges::sort(about, {}, &Question::request);  // all of one link, which is the channel's
    for (const Question& question : about) {
        const Request request = take_request(*question.link, question.request);
        overtake(connection, request.id, "unsubscribed before it was answered");
    }
    return !about.empty();
}

void Gateway::tell_disconnected(const Connection& connection) {
    if (!link_ready(first_link())) return;
    v1::Frame frame;
    v1::Disconnected& out = *frame.mutable_disconnected();
    set_client(*out.mutable_client(), connection);
    out.set_code(connection.close_code() != 0 ? connection.close_code() : 1006);
    send_link(first_link(), frame);
}

}  // namespace weft
