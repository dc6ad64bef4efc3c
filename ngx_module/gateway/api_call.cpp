#include "gateway/api_call.hpp"

#include <algorithm>
#include <charconv>

#include "codec/json_object.hpp"
#include "weft/raw_member.hpp"

namespace weft {

namespace {

constexpr unsigned kOk = 200;
constexpr unsigned kAccepted = 202;
constexpr unsigned kUnavailable = 503;

/// Which action of a channel a command is; none for those that keys grant as methods.
std::optional<Action> action_of(const ApiCommand& command) noexcept {
    if (std::holds_alternative<api::Publish>(command.body)) return Action::publish;
    if (std::holds_alternative<api::History>(command.body)) return Action::history;
    if (std::holds_alternative<api::Presence>(command.body)) return Action::presence;
    if (std::holds_alternative<api::PresenceStats>(command.body)) return Action::presence;
    return std::nullopt;
}

void write_part(JsonOutput& out, std::string_view channel, const ApiAnswer& answer) {
    ObjectWriter object(out);
    if (!channel.empty()) object.string("channel", channel);
    object.number("status", answer.status);
    object.json(answer.status < 300 ? "answer" : "error", answer.json);
    object.end();
}

/// {"failed":…,"answers":[…]} of what `write(i, out)` writes for each.
template <class Failed, class Write>
ApiAnswer write_list(std::size_t count, Failed failed, Write write) {
    ApiAnswer all{kOk, {}, {}};
    std::size_t failures = 0;
    for (std::size_t i = 0; i < count; ++i) failures += failed(i) ? 1 : 0;
    append_object(all.json, [&](ObjectWriter& object) {
        object.number("failed", failures);
        JsonOutput& list = object.member("answers");
        list += '[';
        for (std::size_t i = 0; i < count; ++i) {
            if (i != 0) list += ',';
            write(i, list);
        }
        list += ']';
    });
    return all;
}

}  // namespace

unsigned http_status(Code code) noexcept {
    switch (code) {
        case Code::channel_not_found:
        case Code::method_not_found: return 404;
        case Code::authentication_required:
        case Code::authentication_failed: return 401;
        case Code::permission_denied:
        case Code::origin_not_allowed:
        case Code::banned: return 403;
        case Code::message_too_large: return 413;
        case Code::too_many_subscriptions:
        case Code::invalid_message: return 400;
        case Code::rate_limited: return 429;
        case Code::too_many_connections:
        case Code::unavailable: return kUnavailable;
        default: return 500;
    }
}

ApiAnswer api_error(const event::Error& error, std::string_view channel) {
    ApiAnswer answer{http_status(error.code), {}, error.retry_after};
    append_object(answer.json, [&](ObjectWriter& out) {
        out.code(error.code);
        out.string("message", error.message);
        if (!channel.empty()) out.string("channel", channel);
        if (error.retry_after.count() > 0) out.number("retry_after_ms", error.retry_after.count());
    });
    return answer;
}

ApiAnswer api_answer(const ServerFrame& answer) {
    if (const auto* error = std::get_if<event::Error>(&answer.body)) return api_error(*error);
    if (const auto* result = std::get_if<event::RpcResponse>(&answer.body))
        return {kOk, std::string(result->result), {}};
    if (const auto* published = std::get_if<event::Published>(&answer.body)) {
        if (published->message_id.empty()) return {kAccepted, R"({"accepted":true})", {}};
    }
    std::string frame;
    JsonCodec().encode(answer, frame);
    const bool changed = std::holds_alternative<event::Published>(answer.body);
    return {changed ? kAccepted : kOk, std::string(raw_member(frame, "payload")), {}};
}

void ApiCall::run(const ApiRequest& request, const Identity* key) {
    batch_ = request.batch;
    open_ = request.operations();
    parts_.reserve(open_);
    running_ = true;
    for (const ApiCommand& command : request.commands) start(command, key);
    running_ = false;
    if (open_ == 0) owner_.on_api_answer(whole());
}

bool ApiCall::refuse(std::size_t part, const ApiCommand& command, const Identity* key, std::string_view channel) {
    if (key == nullptr) return false;
    std::string why;
    if (const auto action = action_of(command)) {
        if (key->grants.allows(*action, channel, key->user)) return false;
        why = "the credentials don't grant \"" + std::string(name_of(*action)) + "\" on this channel";
    } else {
        const std::string method = "weft." + std::string(command.name);
        if (key->grants.allows_rpc(method)) return false;
        why = "the API key doesn't grant \"rpc\" of " + method;
    }
    settle(part, api_error({Code::permission_denied, why, {}}));
    return true;
}

void ApiCall::start(const ApiCommand& command, const Identity* key) {
    const std::size_t first = parts_.size();
    const auto* const publish = std::get_if<api::Publish>(&command.body);
    const std::size_t count = publish == nullptr ? 1 : publish->channels.size();
    commands_.push_back({count, publish != nullptr && publish->broadcast});
    for (std::size_t i = 0; i < count; ++i) {
        parts_.push_back({commands_.back().broadcast ? publish->channels[i] : std::string(), {}});
    }
    const auto id = [](std::size_t part) { return std::to_string(part); };
    if (publish != nullptr) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::string& channel = publish->channels[i];
            if (refuse(first + i, command, key, channel)) continue;
            gateway_.publish(channel, publish->data, publish->message_id, *this, {}, id(first + i));
        }
    } else if (const auto* history = std::get_if<api::History>(&command.body)) {
        if (refuse(first, command, key, history->channel)) return;
        gateway_.read_history({history->channel, history->after, history->limit}, *this, id(first));
    } else if (const auto* presence = std::get_if<api::Presence>(&command.body)) {
        if (refuse(first, command, key, presence->channel)) return;
        gateway_.read_members({presence->channel, presence->after, presence->limit}, *this, id(first));
    } else if (const auto* stats = std::get_if<api::PresenceStats>(&command.body)) {
        if (refuse(first, command, key, stats->channel)) return;
        gateway_.read_member_stats(stats->channel, *this, id(first));
    } else if (refuse(first, command, key, {})) {
        return;
    } else if (const auto* revoke = std::get_if<api::Revoke>(&command.body)) {
        gateway_.revoke(revoke->revocation, revoke->lasts, *this, id(first));
    } else {
        gateway_.survey(std::get<Survey>(command.body), *this, id(first));
    }
}

void ApiCall::on_answer(const ServerFrame& answer) {
    std::size_t part = 0;
    std::from_chars(answer.id.data(), answer.id.data() + answer.id.size(), part);
    settle(part, api_answer(answer));
    if (open_ == 0 && !running_) owner_.on_api_answer(whole());
}

void ApiCall::settle(std::size_t part, ApiAnswer answer) {
    if (batch_ && answer.status == kOk && bytes_ + answer.json.size() > kMaxAnswer) {
        answer = api_error({Code::message_too_large,
                            "the answers to this batch are longer than 1 MiB together, ask for less at a time",
                            {}});
    }
    bytes_ += answer.json.size();
    parts_[part].answer = std::move(answer);
    --open_;
}

ApiAnswer ApiCall::whole() const {
    // Where nothing at all could be asked, the request as a whole is to be repeated.
    const bool away = std::ranges::all_of(parts_, [](const Part& part) { return part.answer.status == kUnavailable; });
    if (away || (!batch_ && !commands_.front().broadcast)) return parts_.front().answer;
    const auto broadcast = [this](std::size_t first, std::size_t count) {
        return write_list(
            count, [&](std::size_t i) { return parts_[first + i].answer.status >= 300; },
            [&](std::size_t i, JsonOutput& out) {
                write_part(out, parts_[first + i].channel, parts_[first + i].answer);
            });
    };
    if (!batch_) return broadcast(0, parts_.size());
    std::vector<ApiAnswer> answers;
    answers.reserve(commands_.size());
    std::size_t first = 0;
    for (const Command& command : commands_) {
        answers.push_back(command.broadcast ? broadcast(first, command.parts) : parts_[first].answer);
        first += command.parts;
    }
    return write_list(
        answers.size(), [&](std::size_t i) { return answers[i].status >= 300; },
        [&](std::size_t i, JsonOutput& out) { write_part(out, {}, answers[i]); });
}

}  // namespace weft
