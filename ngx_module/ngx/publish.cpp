// weft_publish: one POST, one publication.
#include <openssl/evp.h>

#include <algorithm>
#include <string>

#include "codec/json_codec.hpp"
#include "codec/json_scanner.hpp"
#include "gateway/permission.hpp"
#include "ngx/credentials.hpp"
#include "ngx/headers.hpp"
#include "ngx/variables.hpp"
#include "ngx/weftd_request.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

/// The media type, lower case, without parameters.
std::string media_type(ngx_http_request_t* request) {
    if (request->headers_in.content_type == nullptr) return {};
    std::string type(view(request->headers_in.content_type->value));
    type.resize(std::min(type.find_first_of("; \t"), type.size()));
    for (char& c : type) c = static_cast<char>(ngx_tolower(c));
    return type;
}

/// A publication's data from a body: JSON stays what it is, text becomes a JSON string, other bytes a JSON string of
/// their base64. What curl -d sends is taken for JSON. The error is a sentence.
tl::expected<std::string, std::string> to_json(const std::string& type, std::string body, unsigned max_depth) {
    const bool json = type.empty() || type == "application/json" || type.ends_with("+json") ||
                      type == "application/x-www-form-urlencoded";
    if (json) {
        std::string wrong = check_json(body, max_depth);
        if (!wrong.empty()) {
            return tl::unexpected("the body is not JSON: " + wrong +
                                  "; expected one JSON value, or text with \"Content-Type: text/plain\"");
        }
        return body;
    }
    std::string data;
    if (type.starts_with("text/")) {
        if (!websocket::is_utf8(body)) return tl::unexpected(std::string("the body is not UTF-8, expected UTF-8 text"));
        append_json_string(data, body);
        return data;
    }
    data.resize(body.size() / 3 * 4 + 8);
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(data.data() + 1),
                        reinterpret_cast<const unsigned char*>(body.data()), static_cast<int>(body.size()));
    data[0] = '"';
    data.resize(static_cast<std::size_t>(size) + 1);
    data += '"';
    return data;
}

/// Why a known caller may not publish to this channel; no value when they may.
std::optional<event::Error> forbidden(const UpgradedRequest& caller, std::string_view channel,
                                      const ChannelRules& rules) {
    const Identity& identity = *caller.identity;
    const event::Error denied{Code::permission_denied, "the credentials don't grant \"publish\" on this channel", {}};
    if (caller.back_end) {  // the rule is for clients
        if (identity.grants.allows(Action::publish, channel, identity.user)) return std::nullopt;
        return denied;
    }
    const ChannelRule* rule = nullptr;
    switch (permission(rules, identity.grants, identity.user, Action::publish, channel, rule)) {
        case Permission::granted:
        case Permission::no_channel: return std::nullopt;  // publishing will say so
        case Permission::rule_forbids:
            return event::Error{Code::permission_denied, "clients may not publish to this channel", {}};
        default: return denied;
    }
}

/// Whether an Idempotency-Key can be a message_id: as long as the client protocol has them, and visible ASCII.
bool is_message_id(std::string_view text) noexcept {
    return text.size() <= 64 && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

void publish_body(ngx_http_request_t* request) {
    Worker& worker = *Worker::current();
    worker.wake();
    ngx_str_t channel;
    if (ngx_http_complex_value(request, location_settings(request).publish_channel, &channel) != NGX_OK) {
        ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }
    if (!is_channel_name(view(channel))) {
        ngx_http_finalize_request(request,
                                  respond_error(request, {Code::invalid_message,
                                                          "this is no channel name, expected 1 to 255 bytes of "
                                                          "A-Z a-z 0-9 _ - . : / @ =",
                                                          {}}));
        return;
    }
    // A request that needs no credentials has none: it comes from whoever nginx lets through.
    const UpgradedRequest* known = upgraded_request(request);
    Publisher by;
    if (known != nullptr) {
        if (const auto error = forbidden(*known, view(channel), worker.settings().rules)) {
            ngx_http_finalize_request(request, respond_error(request, *error));
            return;
        }
        if (!known->back_end) {
            by.user = known->identity->user;
            while (by.client_id == 0) by.client_id = worker.random();
        }
    }
    std::string body;
    if (!read_body(request, body)) {
        ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }
    const auto data = to_json(media_type(request), std::move(body), worker.json_depth());
    if (!data) {
        ngx_http_finalize_request(request, respond_error(request, {Code::invalid_message, data.error(), {}}));
        return;
    }
    std::string joined;
    const std::string_view message_id = header(request, "idempotency-key", joined);
    if (!is_message_id(message_id)) {
        ngx_http_finalize_request(
            request,
            respond_error(request, {Code::invalid_message,
                                    "the Idempotency-Key is no message_id, expected 1 to 64 visible ASCII characters",
                                    {}}));
        return;
    }
    OneRequest::ask(request, [&](RequestObserver& answer) {
        worker.gateway().publish(view(channel), *data, message_id, answer, by);
    });
}

}  // namespace

ngx_int_t handle_publish(ngx_http_request_t* request) noexcept {
    if (Worker::current() == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
    if (const auto refused = refuse_caller(request, location_settings(request).publish_needs_ticket)) return *refused;
    return read_post<publish_body>(request);
}

}  // namespace weft
