// weft_publish: one POST, one publication.
#include <openssl/evp.h>

#include <string>

#include "ngx/credentials.hpp"
#include "ngx/response.hpp"
#include "ngx/variables.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

struct Publishing final : PublishObserver {
    ngx_http_request_t* request = nullptr;
    bool waiting = false;      // for weftd
    bool* answered = nullptr;  // while Gateway::publish runs: to be set, if the answer comes at once

    ~Publishing() override {
        if (waiting && Worker::current() != nullptr) Worker::current()->gateway().cancel(*this);
    }
    void on_published(std::string_view message_id, std::string_view position) override;
    void on_failed(const event::Error& error) override;

private:
    void finish(ngx_int_t result);
};

ngx_int_t status_of(Code code) noexcept {
    switch (code) {
        case Code::channel_not_found: return NGX_HTTP_NOT_FOUND;
        case Code::permission_denied: return NGX_HTTP_FORBIDDEN;
        case Code::authentication_required:
        case Code::authentication_failed: return NGX_HTTP_UNAUTHORIZED;
        case Code::message_too_large: return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        case Code::invalid_message: return NGX_HTTP_BAD_REQUEST;
        case Code::rate_limited: return NGX_HTTP_TOO_MANY_REQUESTS;
        case Code::unavailable: return NGX_HTTP_SERVICE_UNAVAILABLE;
        default: return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

constexpr std::string_view kJson = "application/json";

ngx_int_t respond_error(ngx_http_request_t* request, const event::Error& error) {
    std::string json = "{\"code\":" + std::to_string(static_cast<unsigned>(error.code)) + ",\"reason\":";
    append_json_string(json, reason(error.code));
    json += ",\"message\":";
    append_json_string(json, error.message);
    if (error.retry_after.count() > 0) {
        json += ",\"retry_after_ms\":" + std::to_string(error.retry_after.count());
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry_after).count();
        add_header(request, "Retry-After", std::to_string(seconds));
    }
    json += "}\n";
    if (status_of(error.code) == NGX_HTTP_UNAUTHORIZED) add_header(request, "WWW-Authenticate", "Bearer");
    return respond(request, status_of(error.code), kJson, json);
}

/// Ends the request, and with it perhaps this.
void Publishing::finish(ngx_int_t result) {
    waiting = false;
    ngx_connection_t* connection = request->connection;
    // Inside the request's own handler nginx goes on with the request afterwards: it must not be gone by then.
    const bool within_handler = answered != nullptr;
    if (within_handler) *answered = true;
    ngx_http_finalize_request(request, result);
    if (!within_handler) ngx_http_run_posted_requests(connection);
}

void Publishing::on_published(std::string_view message_id, std::string_view position) {
    std::string json = "{\"message_id\":";
    append_json_string(json, message_id);
    json += ",\"position\":";
    append_json_string(json, position);
    json += "}\n";
    finish(respond(request, 202, kJson, json));
}

void Publishing::on_failed(const event::Error& error) {
    finish(respond_error(request, error));
}

/// The body's bytes, wherever nginx has put them.
bool read_body(ngx_http_request_t* request, std::string& body) {
    if (request->request_body == nullptr) return true;
    for (ngx_chain_t* link = request->request_body->bufs; link != nullptr; link = link->next) {
        ngx_buf_t* buffer = link->buf;
        if (!buffer->in_file) {
            body.append(reinterpret_cast<char*>(buffer->pos), static_cast<std::size_t>(buffer->last - buffer->pos));
            continue;
        }
        const auto size = static_cast<std::size_t>(buffer->file_last - buffer->file_pos);
        const std::size_t before = body.size();
        body.resize(before + size);
        const ssize_t got =
            ngx_read_file(buffer->file, reinterpret_cast<u_char*>(body.data() + before), size, buffer->file_pos);
        if (got != static_cast<ssize_t>(size)) return false;
    }
    return true;
}

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
tl::expected<std::string, std::string> to_json(const std::string& type, std::string body, JsonCodec& codec) {
    const bool json = type.empty() || type == "application/json" || type.ends_with("+json") ||
                      type == "application/x-www-form-urlencoded";
    if (json) {
        std::string wrong = codec.check(body);
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
    if (!caller.identity->grants.allows(Action::publish, channel)) {
        return event::Error{Code::permission_denied, "the credentials don't grant \"publish\" on this channel", {}};
    }
    const ChannelRule* rule = rules.find(channel);
    if (!caller.back_end && rule != nullptr && !rule->publish) {
        return event::Error{Code::permission_denied, "clients may not publish to this channel", {}};
    }
    return std::nullopt;
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
    const auto data = to_json(media_type(request), std::move(body), worker.json_codec());
    if (!data) {
        ngx_http_finalize_request(request, respond_error(request, {Code::invalid_message, data.error(), {}}));
        return;
    }
    auto* publishing = make_in_pool<Publishing>(request->pool);
    if (publishing == nullptr) {
        ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }
    publishing->request = request;
    publishing->waiting = true;
    // When the client goes away the request ends, and with its pool the Publishing.
    request->read_event_handler = ngx_http_test_reading;
    bool answered = false;
    publishing->answered = &answered;
    worker.gateway().publish(view(channel), *data, {}, *publishing, by);
    if (!answered) publishing->answered = nullptr;
}

void on_body(ngx_http_request_t* request) noexcept {
    try {
        publish_body(request);
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: %s", error.what());
        ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}

}  // namespace

ngx_int_t handle_publish(ngx_http_request_t* request) noexcept {
    if (Worker::current() == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
    if (request->method != NGX_HTTP_POST) {
        if (ngx_http_discard_request_body(request) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
        add_header(request, "Allow", "POST");
        return respond(request, NGX_HTTP_NOT_ALLOWED, kJson,
                       "{\"code\":4006,\"reason\":\"invalid_message\",\"message\":\"expected POST\"}\n");
    }
    const LocationSettings& location = location_settings(request);
    if (location.publish_needs_ticket || location.credentials.api_keys) {
        try {
            const HttpVerdict verdict = identify_caller(request, location, location.publish_needs_ticket);
            if (verdict.refusal) {
                if (ngx_http_discard_request_body(request) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
                return respond_error(request, *verdict.refusal);
            }
            auto* known = make_in_pool<UpgradedRequest>(request->pool);
            if (known == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
            known->identity = verdict.identity;
            known->back_end = verdict.back_end;
            ngx_http_set_ctx(request, known, ngx_http_weft_module);
        } catch (const std::exception& error) {
            ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: %s", error.what());
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    const ngx_int_t result = ngx_http_read_client_request_body(request, on_body);
    return result >= NGX_HTTP_SPECIAL_RESPONSE ? result : NGX_DONE;
}

}  // namespace weft
