#include "call/hook_body.hpp"

#include <simdjson.h>

#include <cstdio>

#include "broker/json_string.hpp"
#include "weft/raw_member.hpp"

namespace weft {
namespace {

using simdjson::dom::element;

class Body {
public:
    Body(Hook hook, std::string_view node, const v1::Publisher& client) : json_("{") {
        string("event", name_of(hook));
        string("node", node);
        if (!client.user().empty()) string("user", client.user());
        if (client.client_id() != 0) string("client_id", client_id_text(client.client_id()));
    }
    void string(std::string_view name, std::string_view value) {
        member(name);
        add_json_string(json_, value);
    }
    void json(std::string_view name, std::string_view value) {
        if (value.empty()) return;
        member(name);
        json_ += value;
    }
    std::string end() { return std::move(json_ += '}'); }

private:
    void member(std::string_view name) {
        if (json_.size() > 1) json_ += ',';
        add_json_string(json_, name);
        json_ += ':';
    }
    std::string json_;
};

// Keeps its memory, which the bounds of answers bound; a parser a thread.
simdjson::dom::parser& parser() {
    thread_local simdjson::dom::parser parser;
    return parser;
}

tl::unexpected<std::string> wrong(std::string_view member, std::string_view expected) {
    return tl::unexpected("\"" + std::string(member) + "\" is not " + std::string(expected));
}

// What a back end says in "error".
tl::expected<CallError, std::string> parse_error(const element& value, Code code) {
    CallError error;
    error.code = static_cast<std::uint16_t>(code);
    simdjson::dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return wrong("error", "an object");
    element member;
    if (object["code"].get(member) == simdjson::SUCCESS) {
        std::int64_t number = 0;
        if (member.get(number) != simdjson::SUCCESS || number < kMinCode || number > kMaxCode) {
            return wrong("error.code", "a number from 4000 to 4999");
        }
        error.code = static_cast<std::uint16_t>(number);
    }
    if (object["message"].get(member) == simdjson::SUCCESS) {
        std::string_view text;
        if (member.get(text) != simdjson::SUCCESS) return wrong("error.message", "a string");
        error.message = cut_utf8(text, kMaxErrorMessage);
    }
    if (object["retry_after_ms"].get(member) == simdjson::SUCCESS) {
        std::int64_t number = 0;
        if (member.get(number) != simdjson::SUCCESS || number < 0 || number > 86'400'000) {
            return wrong("error.retry_after_ms", "a number from 0 to 86400000");
        }
        error.retry_after = std::chrono::milliseconds(number);
    }
    if (error.message.empty()) error.message = "refused by the application";
    return error;
}

/// What a client is told when the back end says no more than no.
Code refusal_of(Hook hook) {
    switch (hook) {
        case Hook::connect: return Code::authentication_failed;
        case Hook::rpc: return Code::unknown_error;
        default: return Code::permission_denied;
    }
}

/// `name` of the valid JSON object `json`, byte for byte; nothing for null.
std::string_view raw_value(std::string_view json, std::string_view name) {
    const std::string_view raw = raw_member(json, name);
    return raw == "null" ? std::string_view() : raw;
}

tl::expected<void, std::string> parse_connect(const simdjson::dom::object& object, std::string_view body,
                                              HookAnswer& answer) {
    element user;
    if (object["user"].get(user) == simdjson::SUCCESS && !user.is_null()) {
        std::string_view text;
        if (user.get(text) != simdjson::SUCCESS || text.empty() || text.size() > 255) {
            return wrong("user", "a string of 1 to 255 bytes");
        }
        answer.user = text;
    }
    answer.info = raw_value(body, "info");
    const std::string_view channels = raw_value(body, "channels");
    const std::string_view rpc = raw_value(body, "rpc");
    if (channels.empty() && rpc.empty()) return {};
    answer.grants = "{";
    if (!channels.empty()) answer.grants.append("\"channels\":").append(channels);
    if (!rpc.empty()) answer.grants.append(channels.empty() ? "" : ",").append("\"rpc\":").append(rpc);
    answer.grants += '}';
    return {};
}

}  // namespace

std::string_view cut_utf8(std::string_view text, std::size_t most) noexcept {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
    return text.substr(0, most);
}

std::string client_id_text(std::uint64_t id) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(id));
    return digits;
}

std::string rpc_body(const v1::Rpc& rpc, std::string_view node) {
    Body body(Hook::rpc, node, rpc.caller());
    body.string("method", rpc.method());
    body.json("params", rpc.params());
    return body.end();
}

std::string connect_body(const v1::MayConnect& connect, std::string_view node) {
    Body body(Hook::connect, node, connect.client());
    body.json("info", connect.info());
    return body.end();
}

std::string subscribe_body(const v1::MaySubscribe& subscribe, std::string_view node) {
    Body body(Hook::subscribe, node, subscribe.client());
    body.string("channel", subscribe.channel());
    return body.end();
}

std::string publish_body(const v1::Publish& publish, std::string_view node) {
    Body body(Hook::publish, node, publish.publisher());
    body.string("channel", publish.channel());
    if (!publish.message_id().empty()) body.string("message_id", publish.message_id());
    body.json("data", publish.data());
    return body.end();
}

std::string disconnect_body(const v1::Disconnected& disconnected, std::string_view node) {
    Body body(Hook::disconnect, node, disconnected.client());
    body.json("code", std::to_string(disconnected.code()));
    return body.end();
}

bool is_json(std::string_view text) {
    // Later versions of simdjson skip a byte order mark, which is no JSON to a client.
    if (text.starts_with("\xef\xbb\xbf")) return false;
    element root;
    return parser().parse(text.data(), text.size()).get(root) == simdjson::SUCCESS;
}

tl::expected<HookAnswer, std::string> parse_hook_answer(Hook hook, std::string_view body) {
    HookAnswer answer;
    if (hook == Hook::disconnect) return answer;
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
        if (hook == Hook::rpc) answer.value = "null";
        return answer;
    }
    simdjson::dom::object object;
    if (parser().parse(body.data(), body.size()).get(object) != simdjson::SUCCESS) {
        return tl::unexpected(std::string("the answer is not a JSON object"));
    }
    bool allow = true;
    element member;
    if (object["allow"].get(member) == simdjson::SUCCESS && member.get(allow) != simdjson::SUCCESS) {
        return wrong("allow", "true or false");
    }
    const bool has_error = object["error"].get(member) == simdjson::SUCCESS && !member.is_null();
    if (has_error || !allow) {
        answer.outcome = CallOutcome::refused;
        answer.error.code = static_cast<std::uint16_t>(refusal_of(hook));
        answer.error.message = "refused by the application";
        if (!has_error) return answer;
        auto error = parse_error(member, refusal_of(hook));
        if (!error) return tl::unexpected(std::move(error.error()));
        answer.error = std::move(*error);
        return answer;
    }
    switch (hook) {
        case Hook::rpc: {
            const std::string_view result = raw_member(body, "result");
            if (result.empty()) return tl::unexpected(std::string("neither \"result\" nor \"error\" is there"));
            answer.value = result;
            break;
        }
        case Hook::publish: answer.value = raw_value(body, "data"); break;
        case Hook::connect:
            if (auto read = parse_connect(object, body, answer); !read) return tl::unexpected(read.error());
            break;
        default: break;
    }
    return answer;
}

}  // namespace weft
