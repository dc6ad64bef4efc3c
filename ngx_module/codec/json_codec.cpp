// Decoding of weft.v1.json: one walk over the message, which checks all of it and notes where the members that any
// command may have begin and end; then the command is made from those.
#include "codec/json_codec.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "codec/json_object.hpp"
#include "codec/json_scanner.hpp"
#include "codec/text_rules.hpp"

namespace weft {

namespace {

/// What the envelope and the payload may hold for us, whatever the command.
enum Field : std::uint8_t {
    kType,
    kId,
    kPayload,
    kChannel,
    kPosition,
    kEcho,
    kData,
    kMessageId,
    kName,
    kToken,
    kMethod,
    kParams,
    kAfter,
    kLimit,
    kFields,
    kUnknown = kFields,
};

constexpr std::array<std::string_view, kFields> kNames = {"type",   "id",     "payload",    "channel", "position",
                                                          "echo",   "data",   "message_id", "name",    "token",
                                                          "method", "params", "after",      "limit"};

constexpr TextRule kTypeRule{"type", 1, SIZE_MAX, TextRule::Alphabet::any, "a string"};

using Members = std::array<JsonValue, kFields>;

Field find_field(std::string_view name, Field first, Field last) noexcept {
    const auto is = [&](Field field) { return field >= first && field <= last && name == kNames[field]; };
    switch (name.size()) {
        case 2: return is(kId) ? kId : kUnknown;
        case 4: return is(kType) ? kType : is(kData) ? kData : is(kName) ? kName : is(kEcho) ? kEcho : kUnknown;
        case 5: return is(kToken) ? kToken : is(kAfter) ? kAfter : is(kLimit) ? kLimit : kUnknown;
        case 6: return is(kMethod) ? kMethod : is(kParams) ? kParams : kUnknown;
        case 7: return is(kPayload) ? kPayload : is(kChannel) ? kChannel : kUnknown;
        case 8: return is(kPosition) ? kPosition : kUnknown;
        case 10: return is(kMessageId) ? kMessageId : kUnknown;
        default: return kUnknown;
    }
}

/// Names may be spelt with escapes, too ("t\u0079pe"); longer ones than this many bytes can't be names of ours.
Field find_field(const JsonString& name, Field first, Field last) noexcept {
    char plain[64];
    if (!name.escaped) return find_field(name.raw, first, last);
    if (name.raw.size() > sizeof plain) return kUnknown;
    return find_field(unescape_json(name.raw, plain), first, last);
}

/// Reads the object at the cursor: members from `first` to `last` are noted, all are checked.
bool read_object(JsonScanner& scanner, Field first, Field last, Members& members) noexcept {
    if (!scanner.open()) return false;
    if (scanner.peek() != '}') {
        for (;;) {
            JsonString name;
            if (!scanner.name(name)) return false;
            const Field field = find_field(name, first, last);
            if (field == kUnknown) {
                if (!scanner.value()) return false;
            } else if (field == kPayload && scanner.peek() == '{' && !members[kPayload].given()) {
                const char* const start = scanner.cursor();
                if (!read_object(scanner, kChannel, kLimit, members)) return false;
                members[kPayload] = {{start, static_cast<std::size_t>(scanner.cursor() - start)}};
            } else if (!read_value(scanner, members[field])) {
                return false;
            }
            scanner.space();
            if (scanner.peek() == '}') break;
            if (scanner.peek() != ',') return scanner.fail("expected , or }");
            scanner.advance();
            scanner.space();
        }
    }
    scanner.close();
    return true;
}

}  // namespace

/// One message being decoded, and what is kept from one message to the next: room for unescaped strings.
struct JsonCodec::Parser {
    unsigned max_depth;
    Members members;
    std::string_view message;
    std::string room;      // grows to the longest message that had an escape where it matters
    std::size_t used = 0;  // of room, by this message
    std::string error;     // of the first field that was refused

    [[nodiscard]] std::string_view plain(const JsonValue& member) {
        if (!member.escaped) return member.text;
        // All unescaped strings of one message fit the message's size, so the room never moves under its views.
        if (room.size() < message.size()) room.resize(message.size());
        const std::string_view result = unescape_json(member.text, room.data() + used);
        used += result.size();
        return result;
    }

    bool refuse(Field field, const char* problem, const char* form) {
        error = refusal(kNames[field], problem, form);
        return false;
    }

    /// A string that must be there.
    bool required(Field field, const TextRule& rule, std::string_view& value) {
        if (!members[field].given()) return refuse(field, "missing", rule.form);
        return optional(field, rule, value);
    }

    /// The same, of a member that may be left out; `value` then stays as it is.
    bool optional(Field field, const TextRule& rule, std::string_view& value) {
        const JsonValue& member = members[field];
        if (!member.given()) return true;
        if (!member.is_string) return refuse(field, "not a string", rule.form);
        const std::string_view text = plain(member);
        // Not straight into `error`: that would be assigned an empty string for each field of each message.
        if (std::string problem = check_text(rule, text); !problem.empty()) {
            error = std::move(problem);
            return false;
        }
        value = text;
        return true;
    }

    bool payload_given() { return members[kPayload].given() || refuse(kPayload, "missing", "an object"); }

    bool channel(std::string_view& name) { return payload_given() && required(kChannel, text::kChannel, name); }

    bool flag(Field field, bool& value) {
        const JsonValue& member = members[field];
        if (!member.given()) return true;
        if (member.is_string || (member.text != "true" && member.text != "false")) {
            return refuse(field, "not a boolean", "true or false");
        }
        value = member.text == "true";
        return true;
    }

    bool subscribe(command::Subscribe& command) {
        std::string_view position;
        if (!channel(command.channel) || !optional(kPosition, text::kPosition, position)) return false;
        if (members[kPosition].given()) command.position = position;
        return flag(kEcho, command.echo);
    }

    bool publish(command::Publish& command) {
        if (!channel(command.channel)) return false;
        if (!members[kData].given()) return refuse(kData, "missing", "any JSON value");
        command.data = members[kData].json();
        return optional(kMessageId, text::kMessageId, command.message_id);
    }

    bool signal(command::Signal& command) {
        command.data = members[kData].json();
        return channel(command.channel) && required(kName, text::kSignalName, command.name);
    }

    bool rpc(command::Rpc& command) {
        command.params = members[kParams].json();
        return payload_given() && required(kMethod, text::kMethod, command.method);
    }

    bool token(std::string_view& token) { return payload_given() && required(kToken, text::kToken, token); }
    bool history(command::History& command) {
        if (!channel(command.channel) || !optional(kAfter, text::kAfter, command.after)) return false;
        return count(kLimit, command.limit);
    }

    bool count(Field field, std::uint32_t& value) {
        const JsonValue& limit = members[field];
        if (!limit.given()) return true;
        const char* const end = limit.text.data() + limit.text.size();
        const auto [stop, fault] = std::from_chars(limit.text.data(), end, value);
        if (!limit.is_string && fault == std::errc() && stop == end && value >= 1) return true;
        return refuse(field, "not a count", "a whole number from 1 to 4294967295");
    }

    bool presence(command::Presence& command) {
        return channel(command.channel) && optional(kAfter, text::kAfterMember, command.after) &&
               count(kLimit, command.limit);
    }

    /// Makes the body from the members; false with `error` set.
    bool body(std::string_view type, Command& command) {
        if (type == "publish") return publish(command.body.emplace<command::Publish>());
        if (type == "ping") return command.body.emplace<command::Ping>(), true;
        if (type == "signal") return signal(command.body.emplace<command::Signal>());
        if (type == "subscribe") return subscribe(command.body.emplace<command::Subscribe>());
        if (type == "unsubscribe") return channel(command.body.emplace<command::Unsubscribe>().channel);
        if (type == "rpc") return rpc(command.body.emplace<command::Rpc>());
        if (type == "history") return history(command.body.emplace<command::History>());
        if (type == "auth") return token(command.body.emplace<command::Auth>().token);
        if (type == "refresh") return token(command.body.emplace<command::Refresh>().token);
        if (type == "presence") return presence(command.body.emplace<command::Presence>());
        error = "unknown type " + quoted(type);
        return false;
    }

    /// False with `error` set; command.id is set wherever it could be read, so that the error can be answered to it.
    bool decode(std::string_view json, Command& command) {
        members = {};
        message = json;
        used = 0;
        error.clear();
        JsonScanner scanner(json, JsonScanner::kReadBehind, max_depth);
        scanner.space();
        const bool object = scanner.peek() == '{';
        if (object ? !read_object(scanner, kType, kPayload, members) || !scanner.finish() : !scanner.value()) {
            error = scanner.fault();
            command.id = readable_id();
            return false;
        }
        if (!object) {
            error = "the message is not a JSON object: expected {\"type\": ..., \"payload\": {...}}";
            return false;
        }
        if (!optional(kId, text::kId, command.id)) return false;
        std::string_view type;
        if (!required(kType, kTypeRule, type)) return false;
        const JsonValue& payload = members[kPayload];
        if (payload.given() && !payload.is_object()) {
            return refuse(kPayload, "not an object", "an object");
        }
        return body(type, command);
    }

    /// The id of a message that is broken somewhere behind it; empty when there is none that could be echoed.
    std::string_view readable_id() {
        const JsonValue& id = members[kId];
        if (!id.given() || !id.is_string) return {};
        const std::string_view text = plain(id);
        return text.size() <= kMaxId && simdjson::validate_utf8(text) ? text : std::string_view();
    }
};

JsonCodec::JsonCodec(unsigned max_depth) : parser_(std::make_unique<Parser>()) {
    parser_->max_depth = std::min<unsigned>(max_depth, kMaxDepth);
}
JsonCodec::~JsonCodec() = default;

tl::expected<Command, CommandError> JsonCodec::decode(std::string_view message) {
    Command command;
    if (parser_->decode(message, command)) return command;
    return tl::unexpected(CommandError{Code::invalid_message, std::move(parser_->error), std::string(command.id)});
}

}  // namespace weft
