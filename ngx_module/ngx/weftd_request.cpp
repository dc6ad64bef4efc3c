#include "ngx/weftd_request.hpp"

#include <utility>

#include "codec/json_codec.hpp"
#include "ngx/credentials.hpp"
#include "ngx/variables.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

constexpr std::string_view kJson = "application/json";

// How long weftd's answer is waited for, milliseconds: longer than weftd waits for anything.
constexpr ngx_msec_t kPatience = 60'000;

ngx_int_t status_of(Code code) noexcept {
    switch (code) {
        case Code::channel_not_found:
        case Code::method_not_found: return NGX_HTTP_NOT_FOUND;
        case Code::authentication_required:
        case Code::authentication_failed: return NGX_HTTP_UNAUTHORIZED;
        case Code::permission_denied:
        case Code::origin_not_allowed:
        case Code::banned: return NGX_HTTP_FORBIDDEN;
        case Code::message_too_large: return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        case Code::too_many_subscriptions:
        case Code::invalid_message: return NGX_HTTP_BAD_REQUEST;
        case Code::rate_limited: return NGX_HTTP_TOO_MANY_REQUESTS;
        case Code::too_many_connections:
        case Code::unavailable: return NGX_HTTP_SERVICE_UNAVAILABLE;
        default: return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

}  // namespace

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

std::optional<ngx_int_t> refuse_caller(ngx_http_request_t* request, bool tickets) noexcept {
    const LocationSettings& location = location_settings(request);
    if (!tickets && !location.credentials.api_keys) return std::nullopt;
    try {
        HttpVerdict verdict = identify_caller(request, location, tickets);
        if (!verdict.refusal && !verdict.back_end) {  // it is a client: with a ticket, and perhaps banned
            Worker& worker = *Worker::current();
            worker.wake();
            verdict.refusal = worker.gateway().banned(*verdict.identity);
            if (verdict.refusal) worker.gateway().count_refused(verdict.refusal->code);
        }
        if (verdict.refusal) {
            if (ngx_http_discard_request_body(request) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
            return respond_error(request, *verdict.refusal);
        }
        auto* known = make_in_pool<UpgradedRequest>(request->pool);
        if (known == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
        known->identity = verdict.identity;
        known->back_end = verdict.back_end;
        ngx_http_set_ctx(request, known, ngx_http_weft_module);
        return std::nullopt;
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: %s", error.what());
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

ngx_int_t refuse_method(ngx_http_request_t* request, std::string_view expected) noexcept {
    if (ngx_http_discard_request_body(request) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    add_header(request, "Allow", expected);
    return respond(request, NGX_HTTP_NOT_ALLOWED, kJson,
                   R"({"code":4006,"reason":"invalid_message","message":"expected )" + std::string(expected) + "\"}\n");
}

WeftdRequest* WeftdRequest::begin(ngx_http_request_t* request) noexcept {
    auto* waiting = make_in_pool<WeftdRequest>(request->pool);
    if (waiting == nullptr) {
        ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return nullptr;
    }
    waiting->request_ = request;
    waiting->waiting_ = true;
    request->read_event_handler = ngx_http_test_reading;
    waiting->patience_.data = waiting;
    waiting->patience_.log = request->connection->log;
    waiting->patience_.handler = [](ngx_event_t* event) { static_cast<WeftdRequest*>(event->data)->give_up(); };
    ngx_add_timer(&waiting->patience_, kPatience);
    return waiting;
}

WeftdRequest::~WeftdRequest() {
    stop_waiting();
}

void WeftdRequest::stop_waiting() noexcept {
    if (patience_.timer_set) ngx_del_timer(&patience_);
    if (std::exchange(waiting_, false) && Worker::current() != nullptr) Worker::current()->gateway().cancel(*this);
}

void WeftdRequest::give_up() noexcept {
    stop_waiting();
    on_failed({Code::unavailable, "the broker did not answer in time", {}});
}

/// Ends the request, and with it perhaps this.
void WeftdRequest::finish(ngx_int_t result) {
    waiting_ = false;
    stop_waiting();
    ngx_connection_t* connection = request_->connection;
    // Inside the request's own handler nginx goes on with the request afterwards: it must not be gone by then.
    const bool within_handler = answered_ != nullptr;
    if (within_handler) *answered_ = true;
    ngx_http_finalize_request(request_, result);
    if (!within_handler) ngx_http_run_posted_requests(connection);
}

void WeftdRequest::on_published(std::string_view message_id, std::string_view position) {
    std::string json = "{\"accepted\":true}\n";
    if (!message_id.empty()) {
        json = "{\"message_id\":";
        append_json_string(json, message_id);
        json += ",\"position\":";
        append_json_string(json, position);
        json += "}\n";
    }
    finish(respond(request_, 202, kJson, json));
}

void WeftdRequest::on_failed(const event::Error& error) {
    finish(respond_error(request_, error));
}

}  // namespace weft
