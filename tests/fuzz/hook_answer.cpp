// What back ends answer to webhooks: the first byte names the hook, the others are the body. What is taken must be fit
// for clients and workers, within its bounds, and mean the same once it is written down and read again.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "broker/json_string.hpp"
#include "call/hook_body.hpp"
#include "codec/json_scanner.hpp"
#include "support/require.hpp"
#include "websocket/utf8.hpp"

namespace {

using weft::Hook;
using weft::HookAnswer;

/// JSON for whichever reader: by our own scanner too, unless it is nested deeper than that one looks.
void check_value(std::string_view json) {
    REQUIRE(weft::is_json(json));
    const auto brackets = std::ranges::count_if(json, [](char c) { return c == '{' || c == '['; });
    REQUIRE(weft::check_json(json).empty() || static_cast<std::size_t>(brackets) > weft::kMaxDepth);
}

void check_refusal(const HookAnswer& answer) {
    REQUIRE(answer.outcome == weft::CallOutcome::refused);
    REQUIRE(answer.error.code >= weft::kMinCode && answer.error.code <= weft::kMaxCode);
    REQUIRE(!answer.error.message.empty() && answer.error.message.size() <= weft::kMaxErrorMessage);
    REQUIRE(weft::websocket::is_utf8(answer.error.message));
    REQUIRE(answer.error.retry_after.count() >= 0 && answer.error.retry_after <= std::chrono::hours(24));
    REQUIRE(answer.value.empty() && answer.user.empty() && answer.info.empty() && answer.grants.empty());
}

void check_permission(const HookAnswer& answer, std::size_t size) {
    if (!answer.value.empty()) check_value(answer.value);
    if (!answer.info.empty()) check_value(answer.info);
    if (!answer.grants.empty()) check_value(answer.grants);
    REQUIRE(answer.user.size() <= 255 && weft::websocket::is_utf8(answer.user));
    REQUIRE(answer.hook == Hook::rpc ? !answer.value.empty() : answer.value != "null");
    REQUIRE(answer.hook == Hook::rpc || answer.hook == Hook::publish || answer.value.empty());
    REQUIRE(answer.hook == Hook::connect || (answer.user + answer.info + answer.grants).empty());
    REQUIRE(answer.value.size() <= std::max<std::size_t>(size, 4));  // "null" is said of nothing
    REQUIRE(answer.info.size() <= size && answer.grants.size() <= size);
}

/// The body that says this and no more.
std::string body_of(const HookAnswer& answer) {
    std::string body = "{";
    const auto member = [&body](std::string_view name, std::string_view json) {
        if (json.empty()) return;
        if (body.size() > 1) body += ',';
        weft::add_json_string(body, name);
        body.append(":").append(json);
    };
    if (!answer.allowed()) {
        std::string message;
        weft::add_json_string(message, answer.error.message);
        member("error", "{\"code\":" + std::to_string(answer.error.code) + ",\"message\":" + message +
                            ",\"retry_after_ms\":" + std::to_string(answer.error.retry_after.count()) + "}");
        return body + "}";
    }
    member(answer.hook == Hook::rpc ? "result" : "data", answer.value);
    std::string user;
    if (!answer.user.empty()) weft::add_json_string(user, answer.user);
    member("user", user);
    member("info", answer.info);
    if (!answer.grants.empty()) {  // its members are members of the body
        body.append(body.size() > 1 ? "," : "").append(answer.grants, 1, answer.grants.size() - 2);
    }
    return body + "}";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) return 0;
    const Hook hook = weft::kAllHooks[bytes[0] % weft::kHooks];
    const std::string_view body(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    auto answer = weft::parse_hook_answer(hook, body);
    if (!answer) {
        REQUIRE(!answer.error().empty() && answer.error().size() < 128);
        return 0;
    }
    answer->hook = hook;  // as the caller does
    if (!answer->allowed()) {
        check_refusal(*answer);
    } else {
        check_permission(*answer, body.size());
    }
    const auto again = weft::parse_hook_answer(hook, body_of(*answer));
    REQUIRE(again && again->outcome == answer->outcome);
    REQUIRE(again->value == answer->value && again->user == answer->user);
    REQUIRE(again->info == answer->info && again->grants == answer->grants);
    if (answer->allowed()) return 0;
    REQUIRE(again->error.code == answer->error.code && again->error.message == answer->error.message);
    REQUIRE(again->error.retry_after == answer->error.retry_after);
    return 0;
}
