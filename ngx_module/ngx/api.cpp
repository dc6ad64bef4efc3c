// weft_api: what back ends and operators ask of Weft by HTTP. The last segment of the path names the command, its
// parameters are a JSON object in the body of a POST.
#include <simdjson.h>

#include <charconv>
#include <string>

#include "ngx/variables.hpp"
#include "ngx/weftd_request.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::size_t kMaxBan = 366 * 86400;  // seconds

/// A parameter that is wrong; the text is for the caller.
struct BadParameter {
    std::string what;
};

/// The member as a string; empty when it isn't there.
std::string text(const object& parameters, const char* name) {
    element value;
    if (parameters.at_key(name).get(value) != simdjson::SUCCESS) return {};
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS || text.empty()) {
        throw BadParameter{"\"" + std::string(name) + "\" is no text, expected a string that isn't empty"};
    }
    return std::string(text);
}

std::uint64_t client_id(const std::string& hex) {
    std::uint64_t id = 0;
    const char* const end = hex.data() + hex.size();
    if (const auto read = std::from_chars(hex.data(), end, id, 16);
        hex.size() != 16 || read.ec != std::errc() || read.ptr != end || id == 0) {
        throw BadParameter{"\"client\" is no client id, expected 16 hexadecimal digits as in connection_established"};
    }
    return id;
}

/// Whom a command is about.
void read_subject(const object& parameters, v1::Revocation& revocation) {
    revocation.set_user(text(parameters, "user"));
    revocation.set_ticket(text(parameters, "ticket"));
    const std::string client = text(parameters, "client");
    if (!client.empty()) revocation.set_client_id(client_id(client));
}

std::chrono::seconds read_seconds(const object& parameters) {
    element value;
    std::uint64_t seconds = 0;
    if (parameters.at_key("seconds").get(value) != simdjson::SUCCESS ||
        value.get_uint64().get(seconds) != simdjson::SUCCESS || seconds == 0 || seconds > kMaxBan) {
        throw BadParameter{"\"seconds\" says how long a ban holds, expected a whole number from 1 to " +
                           std::to_string(kMaxBan)};
    }
    return std::chrono::seconds(seconds);
}

/// False: there is no such command.
bool read_command(std::string_view name, const object& parameters, v1::Revocation& revocation,
                  std::chrono::seconds& ban) {
    if (name == "disconnect") {
        revocation.set_kind(v1::Revocation::DISCONNECT);
    } else if (name == "ban") {
        revocation.set_kind(v1::Revocation::BAN);
        ban = read_seconds(parameters);
    } else if (name == "unban") {
        revocation.set_kind(v1::Revocation::BAN);
        revocation.set_lifted(true);
    } else if (name == "unsubscribe") {
        revocation.set_kind(v1::Revocation::UNSUBSCRIBE);
        revocation.set_channel(text(parameters, "channel"));
    } else {
        return false;
    }
    read_subject(parameters, revocation);
    if (const std::string_view wrong = Revocations::check(revocation); !wrong.empty()) {
        throw BadParameter{std::string(name) + ": " + std::string(wrong)};
    }
    return true;
}

void run_command(ngx_http_request_t* request) {
    Worker& worker = *Worker::current();
    worker.wake();
    const auto refuse = [&](Code code, const std::string& why) {
        ngx_http_finalize_request(request, respond_error(request, {code, why, {}}));
    };
    std::string body;
    if (!read_body(request, body)) return ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
    simdjson::dom::parser parser;
    object parameters;
    if (const auto wrong = parser.parse(body).get_object().get(parameters); wrong != simdjson::SUCCESS) {
        return refuse(Code::invalid_message,
                      std::string("the body is no JSON object: ") + simdjson::error_message(wrong));
    }
    std::string_view name = view(request->uri);
    name.remove_prefix(name.rfind('/') + 1);
    const UpgradedRequest* const caller = upgraded_request(request);
    if (caller != nullptr && !caller->identity->grants.allows_rpc("weft." + std::string(name))) {
        return refuse(Code::permission_denied, "the API key doesn't grant \"rpc\" of weft." + std::string(name));
    }
    v1::Revocation revocation;
    std::chrono::seconds ban{0};
    try {
        if (!read_command(name, parameters, revocation, ban)) {
            return refuse(Code::method_not_found,
                          "there is no such command, expected disconnect, ban, unban or unsubscribe at the path's end");
        }
    } catch (const BadParameter& bad) {
        return refuse(Code::invalid_message, bad.what);
    }
    ngx_log_error(NGX_LOG_NOTICE, request->connection->log, 0, "weft: api command %s", std::string(name).c_str());
    WeftdRequest::ask(request, [&](PublishObserver& answer) { worker.gateway().revoke(revocation, ban, answer); });
}

}  // namespace

ngx_int_t handle_api(ngx_http_request_t* request) noexcept {
    if (Worker::current() == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
    if (const auto refused = refuse_caller(request, false)) return *refused;
    return read_post<run_command>(request);
}

}  // namespace weft
