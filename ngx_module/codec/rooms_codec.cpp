#include "codec/rooms_codec.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "codec/json_object.hpp"

namespace weft {

namespace {

// What we look for, in the message itself, its payload, and its metadata. The payload's members may stand in the
// message as well ("flat"), and many of them have two spellings.
enum Field : std::uint8_t {
    kType,
    kPayload,
    kMetadata,
    kRoom,
    kRoomCamel,
    kMessage,
    kText,
    kToken,
    kPosition,
    kStatus,
    kMessageId,
    kMessageIdCamel,
    kCorrelationId,
    kFields,
};

constexpr std::array<std::string_view, kFields> kNames = {
    "type",  "payload",  "metadata", "room_id",    "roomId",    "message",        "text",
    "token", "position", "status",   "message_id", "messageId", "correlation_id",
};

using Values = std::array<JsonValue, kFields>;

constexpr TextRule kRoomRule{"room_id", 1, kMaxChannelName, TextRule::Alphabet::any, "a string of 1 to 255 bytes"};
constexpr TextRule kTypeRule{"type", 1, SIZE_MAX, TextRule::Alphabet::any, "a string"};
constexpr TextRule kCorrelationRule{"correlation_id", 0, kMaxId, TextRule::Alphabet::visible,
                                    "a string of at most 64 bytes without control characters"};

/// The id of a command without one whose answer is wanted all the same. No client can say it: it is a control
/// character.
constexpr std::string_view kUnnamed = "\x01";

}  // namespace

/// One message being decoded; keeps what the command's views point to.
struct RoomsCodec::Parser {
    explicit Parser(unsigned depth) : max_depth(std::min<unsigned>(depth, kMaxDepth)) {}

    unsigned max_depth;
    Values values;
    std::string room;  // for strings without their escapes
    std::size_t used = 0;
    std::string channel;  // prefix and room
    std::string data;     // of a signal
    std::string error;

    std::string_view plain(const JsonValue& value) {
        if (!value.escaped) return value.text;
        const std::string_view result = unescape_json(value.text, room.data() + used);
        used += result.size();
        return result;
    }

    /// A string, if it was given and is one that the rule allows.
    bool text(const JsonValue& value, const TextRule& rule, std::string_view& out) {
        if (!value.given()) return true;
        if (!value.is_string) {
            error = refusal(rule.name, "not a string", rule.form);
            return false;
        }
        const std::string_view said = plain(value);
        error = check_text(rule, said);
        if (error.empty()) out = said;
        return error.empty();
    }

    bool needed(const JsonValue& value, const TextRule& rule, std::string_view& out) {
        if (value.given()) return text(value, rule, out);
        error = refusal(rule.name, "missing", rule.form);
        return false;
    }

    [[nodiscard]] const JsonValue& either(Field one, Field other) const {
        return values[one].given() ? values[one] : values[other];
    }

    bool to_channel(const std::string& prefix, std::string_view& out) {
        std::string_view name;
        if (!needed(either(kRoom, kRoomCamel), kRoomRule, name)) return false;
        channel.assign(prefix).append(name);
        out = channel;
        if (!check_text(text::kChannel, channel).empty()) {
            error = refusal("room_id", "no name of a room",
                            "at most 255 bytes of A-Z a-z 0-9 _ - . : / @ =, the prefix included");
            return false;
        }
        return true;
    }

    bool signal(const std::string& prefix, std::string_view name, Field detail, Command& command) {
        auto& signal = command.body.emplace<command::Signal>();
        signal.name = name;
        const JsonValue& said = detail == kMessageId ? either(kMessageId, kMessageIdCamel) : values[detail];
        if (detail != kFields && said.given()) {
            data.clear();
            append_object(data, [&](ObjectWriter& object) { object.json(kNames[detail], said.json()); });
            signal.data = data;
        }
        return to_channel(prefix, signal.channel);
    }

    bool body(const std::string& prefix, std::string_view type, Command& command) {
        if (type == "message") {
            auto& publish = command.body.emplace<command::Publish>();
            const JsonValue& message = either(kMessage, kText);
            if (!to_channel(prefix, publish.channel)) return false;
            if (!message.given()) {
                error = refusal("message", "missing", "any JSON value");
                return false;
            }
            publish.data = message.json();
            return text(either(kMessageId, kMessageIdCamel), text::kMessageId, publish.message_id);
        }
        if (type == "typing_start") return signal(prefix, "typing_start", kFields, command);
        if (type == "typing_stop") return signal(prefix, "typing_stop", kFields, command);
        if (type == "read_receipt") return signal(prefix, "read_receipt", kMessageId, command);
        if (type == "presence_update") return signal(prefix, "presence_update", kStatus, command);
        if (type == "ping") return command.body.emplace<command::Ping>(), true;
        if (type == "join_room") {
            auto& subscribe = command.body.emplace<command::Subscribe>();
            std::string_view position;
            if (!text(values[kPosition], text::kPosition, position)) return false;
            if (values[kPosition].given()) subscribe.position = position;
            return to_channel(prefix, subscribe.channel);
        }
        if (type == "leave_room") return to_channel(prefix, command.body.emplace<command::Unsubscribe>().channel);
        if (type == "presence_query") return to_channel(prefix, command.body.emplace<command::Presence>().channel);
        if (type == "auth") return needed(values[kToken], text::kToken, command.body.emplace<command::Auth>().token);
        error = "unknown type " + quoted(type);
        return false;
    }

    /// Members of the payload, or metadata, that the message has; those of the message itself count first.
    void look_into(Field object, Field first, Field last) {
        if (!values[object].is_object()) return;
        JsonScanner scanner(values[object].text, 0);
        const std::size_t count = static_cast<std::size_t>(last) - first + 1;
        pick_members(scanner, std::span(kNames).subspan(first, count), std::span(values).subspan(first, count));
    }

    bool decode(const std::string& prefix, std::string_view message, Command& command) {
        values = {};
        used = 0;
        error.clear();
        if (room.size() < message.size()) room.resize(message.size());
        JsonScanner scanner(message, JsonScanner::kReadBehind, max_depth);
        scanner.space();
        const bool object = scanner.peek() == '{';
        if (object ? !pick_members(scanner, kNames, values) || !scanner.finish() : !scanner.value()) {
            error = scanner.fault();
            return false;
        }
        if (!object) {
            error = "the message is not a JSON object: expected {\"type\": ..., \"payload\": {...}}";
            return false;
        }
        if (values[kPayload].given() && !values[kPayload].is_object()) {
            error = refusal("payload", "not an object", "an object");
            return false;
        }
        look_into(kPayload, kRoom, kMessageIdCamel);
        look_into(kMetadata, kMessageId, kCorrelationId);
        std::string_view type;
        if (!text(values[kCorrelationId], kCorrelationRule, command.id)) return false;
        if (!needed(values[kType], kTypeRule, type)) return false;
        if (!body(prefix, type, command)) return false;
        if (command.id.empty()) name(command);
        return true;
    }

    /// A client that gives no correlation_id knows an answer by the message that it sent, or by its type.
    void name(Command& command) {
        if (const auto* const publish = std::get_if<command::Publish>(&command.body)) {
            command.id = publish->message_id.empty() ? kUnnamed : publish->message_id;
        } else if (!std::holds_alternative<command::Signal>(command.body)) {
            command.id = kUnnamed;
        }
    }
};

RoomsCodec::RoomsCodec(std::string prefix, unsigned max_depth)
    : prefix_(std::move(prefix)), parser_(std::make_unique<Parser>(max_depth)), plain_(max_depth) {}
RoomsCodec::~RoomsCodec() = default;

tl::expected<Command, CommandError> RoomsCodec::decode(std::string_view message) {
    Command command;
    if (parser_->decode(prefix_, message, command)) return command;
    return tl::unexpected(CommandError{Code::invalid_message, std::move(parser_->error), std::string(command.id)});
}

namespace {

// --- encoding
// ---------------------------------------------------------------------------------------------------------

/// Writes one frame of the vocabulary; false for what it doesn't have.
class RoomsWriter {
public:
    RoomsWriter(std::string_view prefix, std::string_view id, std::string& out) : prefix_(prefix), id_(id), out_(out) {}

    bool operator()(const event::Established& frame) {
        return write(id_.empty() ? "connection_established" : "auth_response", [&](ObjectWriter& payload) {
            if (!id_.empty()) payload.boolean("success", true);
            payload.client_id(frame.client_id);
            payload.string("user_id", frame.user);
            payload.time("server_time", frame.server_time);
            payload.number("heartbeat_ms", frame.heartbeat.count());
        });
    }
    bool operator()(const event::Subscribed& frame) {
        return write("room_joined", [&](ObjectWriter& payload) {
            room(payload, frame.channel);
            payload.string("position", frame.position);
            payload.boolean("recovered", frame.resumed && frame.recovered);
            if (frame.members) payload.number("members", *frame.members);
        });
    }
    bool operator()(const event::Unsubscribed& frame) {
        return write("room_left", [&](ObjectWriter& payload) {
            room(payload, frame.channel);
            if (frame.code) payload.code(*frame.code);
        });
    }
    bool operator()(const event::Published& frame) {
        message_id_ = frame.message_id;
        return write("message_sent", [&](ObjectWriter& payload) {
            payload.string("message_id", frame.message_id);
            payload.string("position", frame.position);
        });
    }
    bool operator()(const event::Event& frame) {
        message_id_ = frame.message_id;
        time_ = frame.timestamp;
        return write("chat_message", [&](ObjectWriter& payload) {
            room(payload, frame.channel);
            if (frame.publisher.known()) {
                payload.string("sender_id", frame.publisher.user);
                payload.client_id(frame.publisher.client_id);
            }
            payload.json("message", frame.data);
            payload.string("message_id", frame.message_id);
            payload.time("timestamp", frame.timestamp);
            payload.string("position", frame.position);
        });
    }
    bool operator()(const event::Signal& frame) {
        const bool receipt = frame.name == "read_receipt";
        if (!receipt && frame.name != "typing_start" && frame.name != "typing_stop" &&
            frame.name != "presence_update") {
            return false;
        }
        return write(frame.name, [&](ObjectWriter& payload) {
            room(payload, frame.channel);
            who(payload, frame.publisher.user, frame.publisher.client_id);
            detail(payload, receipt ? "message_id" : "status", frame.data);
        });
    }
    bool operator()(const event::Members& frame) {
        return write("room_members", [&](ObjectWriter& payload) {
            room(payload, frame.channel);
            JsonOutput& out = payload.member("members");
            out += '[';
            for (const Member& member : frame.members) {
                if (&member != frame.members.data()) out += ',';
                ObjectWriter object(out);
                who(object, member.user, member.client_id);
                if (!member.info.empty()) object.json("info", member.info);
                object.end();
            }
            out += ']';
            payload.number("count", frame.count);
        });
    }
    bool operator()(const event::MemberChange& frame) {
        return write("presence_update", [&](ObjectWriter& payload) {
            room(payload, frame.channel);
            who(payload, frame.member.user, frame.member.client_id);
            payload.string("status", frame.left ? "offline" : "online");
            payload.number("count", frame.count);
        });
    }
    bool operator()(const event::Pong&) {
        return write("pong", [](ObjectWriter&) {});
    }
    bool operator()(const event::Error& frame) {
        return write("error", [&](ObjectWriter& payload) {
            payload.string("message", frame.message);
            payload.code(frame.code);
            if (frame.retry_after.count() > 0) payload.number("retry_after_ms", frame.retry_after.count());
        });
    }
    template <class Other>
    bool operator()(const Other&) {
        return false;
    }

private:
    template <class Write>
    bool write(std::string_view type, Write payload_of) {
        append_object(out_, [&](ObjectWriter& envelope) {
            envelope.string("type", type);
            ObjectWriter payload(envelope.member("payload"));
            payload_of(payload);
            payload.end();
            write_metadata(envelope);
        });
        return true;
    }

    void write_metadata(ObjectWriter& envelope) {
        const bool named = !id_.empty() && id_ != kUnnamed;
        if (!named && message_id_.empty() && !time_) return;
        ObjectWriter metadata(envelope.member("metadata"));
        if (!message_id_.empty()) metadata.string("message_id", message_id_);
        if (time_) metadata.time("timestamp", *time_);
        if (named) metadata.string("correlation_id", id_);
        metadata.end();
    }

    void room(ObjectWriter& payload, std::string_view channel) {
        if (channel.starts_with(prefix_)) channel.remove_prefix(prefix_.size());
        payload.string("room_id", channel);
    }

    static void who(ObjectWriter& payload, std::string_view user, std::uint64_t client_id) {
        if (client_id == 0) return;
        payload.string("user_id", user);
        payload.client_id(client_id);
    }

    /// One member of what somebody said, and no others: they could say that they are somebody else.
    static void detail(ObjectWriter& payload, std::string_view name, Json data) {
        if (!data.starts_with('{')) return;
        JsonScanner scanner(data, 0);
        JsonValue value;
        if (pick_members(scanner, {&name, 1}, {&value, 1}) && value.given()) payload.json(name, value.json());
    }

    std::string_view prefix_;
    std::string_view id_;
    std::string& out_;
    std::string_view message_id_;
    std::optional<WallTime> time_;
};

}  // namespace

void RoomsCodec::encode(const ServerFrame& frame, std::string& out) const {
    if (std::visit(RoomsWriter(prefix_, frame.id, out), frame.body)) return;
    if (frame.id != kUnnamed) return plain_.encode(frame, out);
    ServerFrame unnamed = frame;
    unnamed.id = {};
    plain_.encode(unnamed, out);
}

}  // namespace weft
