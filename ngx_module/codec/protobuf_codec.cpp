#include "codec/protobuf_codec.hpp"

#include <algorithm>
#include <cmath>

#include "codec/json_scanner.hpp"
#include "codec/text_rules.hpp"
#include "weft/v1/client.pb.h"

namespace weft {

namespace pb = client::v1;

namespace {

// --- decoding
// ---------------------------------------------------------------------------------------------------------

/// Makes a command of a frame; `error` says why not. Views point into the frame.
class Decoder {
public:
    explicit Decoder(unsigned max_depth) : max_depth_(max_depth) {}

    std::string error;

    bool decode(const pb::ClientFrame& frame, Command& command) {
        if (!is(text::kId, frame.id())) return false;
        command.id = frame.id();
        switch (frame.command_case()) {
            case pb::ClientFrame::kPublish: return publish(frame.publish(), command.body.emplace<command::Publish>());
            case pb::ClientFrame::kSignal: return signal(frame.signal(), command.body.emplace<command::Signal>());
            case pb::ClientFrame::kPing: return command.body.emplace<command::Ping>(), true;
            case pb::ClientFrame::kSubscribe:
                return subscribe(frame.subscribe(), command.body.emplace<command::Subscribe>());
            case pb::ClientFrame::kUnsubscribe:
                return channel(frame.unsubscribe().channel(), command.body.emplace<command::Unsubscribe>().channel);
            case pb::ClientFrame::kRpc: return rpc(frame.rpc(), command.body.emplace<command::Rpc>());
            case pb::ClientFrame::kHistory: return history(frame.history(), command.body.emplace<command::History>());
            case pb::ClientFrame::kPresence:
                return presence(frame.presence(), command.body.emplace<command::Presence>());
            case pb::ClientFrame::kAuth:
                return token(frame.auth().token(), command.body.emplace<command::Auth>().token);
            case pb::ClientFrame::kRefresh:
                return token(frame.refresh().token(), command.body.emplace<command::Refresh>().token);
            case pb::ClientFrame::COMMAND_NOT_SET: break;
        }
        error = "the frame holds no command that this server knows: expected one of those in weft/v1/client.proto";
        return false;
    }

private:
    bool is(const TextRule& rule, std::string_view value) {
        error = check_text(rule, value);
        return error.empty();
    }

    bool channel(const std::string& given, std::string_view& name) {
        name = given;
        return is(text::kChannel, given);
    }

    bool token(const std::string& given, std::string_view& token) {
        token = given;
        return is(text::kToken, given);
    }

    bool json(std::string_view field, const std::string& given, Json& value) {
        value = given;
        const std::string fault = check_json(given, max_depth_);
        if (fault.empty()) return true;
        error = '"' + std::string(field) + "\" is not JSON: " + fault;
        return false;
    }

    bool optional_json(std::string_view field, const std::string& given, Json& value) {
        return given.empty() || json(field, given, value);
    }

    bool subscribe(const pb::Subscribe& given, command::Subscribe& command) {
        if (given.has_position()) command.position = given.position();
        command.echo = !given.no_echo();
        return channel(given.channel(), command.channel);
    }

    bool publish(const pb::Publish& given, command::Publish& command) {
        command.message_id = given.message_id();
        if (!channel(given.channel(), command.channel)) return false;
        if (given.data().empty()) {
            error = refusal("data", "missing", "any JSON value");
            return false;
        }
        if (!json("data", given.data(), command.data)) return false;
        return given.message_id().empty() || is(text::kMessageId, given.message_id());
    }

    bool signal(const pb::SendSignal& given, command::Signal& command) {
        command.name = given.name();
        return channel(given.channel(), command.channel) && is(text::kSignalName, given.name()) &&
               optional_json("data", given.data(), command.data);
    }

    bool rpc(const pb::Rpc& given, command::Rpc& command) {
        command.method = given.method();
        return is(text::kMethod, given.method()) && optional_json("params", given.params(), command.params);
    }

    bool history(const pb::ReadHistory& given, command::History& command) {
        command.after = given.after();
        command.limit = given.limit();
        return channel(given.channel(), command.channel);
    }

    bool presence(const pb::ReadPresence& given, command::Presence& command) {
        command.after = given.after();
        command.limit = given.limit();
        return channel(given.channel(), command.channel) && is(text::kAfterMember, given.after());
    }

    unsigned max_depth_;
};

// --- encoding
// ---------------------------------------------------------------------------------------------------------

void put(std::string* field, std::string_view value) {
    field->assign(value.data(), value.size());
}

std::int64_t unix_ms(WallTime time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

template <class Message>
void put_publisher(const Publisher& publisher, Message& out) {
    if (!publisher.known()) {
        out.clear_publisher();
        return;
    }
    put(out.mutable_publisher()->mutable_user(), publisher.user);
    put(out.mutable_publisher()->mutable_client_id(), HexId(publisher.client_id).view());
}

template <class Message>
void put_code(Code code, Message& out) {
    out.set_code(static_cast<std::uint32_t>(code));
    put(out.mutable_reason(), reason(code));
}

void put_member(const Member& member, pb::Member& out) {
    put(out.mutable_id(), HexId(member.id).view());
    put(out.mutable_client_id(), HexId(member.client_id).view());
    put(out.mutable_user(), member.user);
    put(out.mutable_info(), member.info);
}

void put_publication(const event::Event& event, pb::Event& out) {
    put(out.mutable_data(), event.data);
    put(out.mutable_position(), event.position);
    put(out.mutable_message_id(), event.message_id);
    out.set_timestamp_ms(unix_ms(event.timestamp));
    put_publisher(event.publisher, out);
}

void put_body(const event::Event& event, pb::ServerFrame& frame) {
    pb::Event& out = *frame.mutable_event();
    put(out.mutable_channel(), event.channel);
    put_publication(event, out);
}

void put_body(const event::Established& event, pb::ServerFrame& frame) {
    pb::ConnectionEstablished& out = *frame.mutable_connection_established();
    put(out.mutable_client_id(), HexId(event.client_id).view());
    put(out.mutable_user(), event.user);
    out.set_server_time_ms(unix_ms(event.server_time));
    out.set_heartbeat_ms(static_cast<std::uint32_t>(event.heartbeat.count()));
    const auto rate = [](double per_second) { return std::isfinite(per_second) ? std::max(per_second, 0.0) : 0.0; };
    pb::Limits& limits = *out.mutable_limits();
    limits.set_message_size(event.limits.message_size);
    limits.set_messages_per_second(rate(event.limits.messages_per_second));
    if (limits.messages_per_second() > 0) limits.set_messages_burst(event.limits.messages_burst);
    limits.set_bytes_per_second(static_cast<std::uint64_t>(std::min(rate(event.limits.bytes_per_second), 1e15)));
    limits.set_subscriptions(event.limits.subscriptions);
    limits.set_pending_rpcs(event.limits.pending_rpcs);
    if (event.expires_at) out.set_expires_at_ms(unix_ms(*event.expires_at));
    put(out.mutable_node(), event.node);
}

void put_body(const event::Subscribed& event, pb::ServerFrame& frame) {
    pb::Subscribed& out = *frame.mutable_subscribed();
    put(out.mutable_channel(), event.channel);
    put(out.mutable_position(), event.position);
    out.set_recovered(event.resumed && event.recovered);
    out.set_replay(event.replay);
    if (event.members) out.set_members(*event.members);
}

void put_body(const event::Unsubscribed& event, pb::ServerFrame& frame) {
    pb::Unsubscribed& out = *frame.mutable_unsubscribed();
    put(out.mutable_channel(), event.channel);
    if (event.code) put_code(*event.code, out);
}

void put_body(const event::Published& event, pb::ServerFrame& frame) {
    pb::Published& out = *frame.mutable_published();
    put(out.mutable_message_id(), event.message_id);
    put(out.mutable_position(), event.position);
}

void put_body(const event::History& event, pb::ServerFrame& frame) {
    pb::History& out = *frame.mutable_history();
    put(out.mutable_channel(), event.channel);
    for (const event::Event& entry : event.events) put_publication(entry, *out.add_events());
    put(out.mutable_position(), event.position);
    out.set_complete(event.complete);
    out.set_recovered(!event.lost);
}

void put_body(const event::Signal& event, pb::ServerFrame& frame) {
    pb::Signal& out = *frame.mutable_signal();
    put(out.mutable_channel(), event.channel);
    put(out.mutable_name(), event.name);
    put(out.mutable_data(), event.data);
    put_publisher(event.publisher, out);
}

void put_body(const event::RpcResponse& event, pb::ServerFrame& frame) {
    put(frame.mutable_rpc_response()->mutable_result(), event.result.empty() ? Json("null") : event.result);
}

void put_body(const event::Pong&, pb::ServerFrame& frame) {
    frame.mutable_pong();
}

void put_body(const event::Refreshed& event, pb::ServerFrame& frame) {
    frame.mutable_refreshed()->set_expires_at_ms(unix_ms(event.expires_at));
}

void put_body(const event::Gap& event, pb::ServerFrame& frame) {
    put(frame.mutable_gap()->mutable_channel(), event.channel);
}

void put_body(const event::Reconnect& event, pb::ServerFrame& frame) {
    frame.mutable_reconnect()->set_after_ms(static_cast<std::uint64_t>(event.after.count()));
    put(frame.mutable_reconnect()->mutable_reason(), event.reason);
}

void put_body(const event::Members& event, pb::ServerFrame& frame) {
    pb::Presence& out = *frame.mutable_presence();
    put(out.mutable_channel(), event.channel);
    out.set_count(event.count);
    out.set_count_only(!event.listed);
    if (!event.listed) return;
    for (const Member& member : event.members) put_member(member, *out.add_members());
    out.set_users(event.users);
    out.set_complete(event.complete);
}

void put_body(const event::MemberChange& event, pb::ServerFrame& frame) {
    pb::MemberChange& out = event.left ? *frame.mutable_leave() : *frame.mutable_join();
    put(out.mutable_channel(), event.channel);
    put_member(event.member, *out.mutable_member());
    out.set_edge(event.edge);
    out.set_count(event.count);
}

void put_body(const event::PresenceGap& event, pb::ServerFrame& frame) {
    put(frame.mutable_presence_gap()->mutable_channel(), event.channel);
}

void put_body(const event::Error& event, pb::ServerFrame& frame) {
    pb::Error& out = *frame.mutable_error();
    put_code(event.code, out);
    put(out.mutable_message(), event.message);
    out.set_retry_after_ms(static_cast<std::uint64_t>(std::max<std::int64_t>(event.retry_after.count(), 0)));
}

}  // namespace

/// What is kept from one message to the next, so that strings are allocated once; but not what a long one took.
template <class Frame>
class KeptFrame {
public:
    Frame& get(std::size_t size) {
        if (long_) frame_ = Frame();
        long_ = size > kMaxKept;
        return frame_;
    }

private:
    static constexpr std::size_t kMaxKept = std::size_t{64} * 1024;  // bytes
    Frame frame_;
    bool long_ = false;
};

struct ProtobufCodec::Frames {
    KeptFrame<pb::ClientFrame> command;
    KeptFrame<pb::ServerFrame> event;  // holds nothing but an Event, of which each field is written each time
};

ProtobufCodec::ProtobufCodec(unsigned max_depth)
    : max_depth_(std::min<unsigned>(max_depth, kMaxDepth)), frames_(std::make_unique<Frames>()) {}
ProtobufCodec::~ProtobufCodec() = default;

tl::expected<Command, CommandError> ProtobufCodec::decode(std::string_view message) {
    pb::ClientFrame& frame = frames_->command.get(message.size());
    if (!frame.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
        return tl::unexpected(
            CommandError{Code::invalid_message,
                         "the message is no ClientFrame: expected weft/v1/client.proto, strings in UTF-8",
                         {}});
    }
    Command command;
    Decoder decoder(max_depth_);
    if (decoder.decode(frame, command)) return command;
    return tl::unexpected(CommandError{Code::invalid_message, std::move(decoder.error), std::string(command.id)});
}

void ProtobufCodec::encode(const ServerFrame& frame, std::string& out) const {
    const auto write = [&](pb::ServerFrame& message) {
        put(message.mutable_id(), frame.id);
        std::visit([&](const auto& body) { put_body(body, message); }, frame.body);
        message.AppendToString(&out);
    };
    if (const auto* const event = std::get_if<event::Event>(&frame.body)) {
        write(frames_->event.get(event->data.size()));
    } else {
        pb::ServerFrame message;
        write(message);
    }
}

}  // namespace weft
