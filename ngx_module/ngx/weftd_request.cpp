#include "ngx/weftd_request.hpp"

#include <utility>

#include "codec/json_codec.hpp"
#include "ngx/credentials.hpp"
#include "ngx/variables.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

constexpr std::string_view kJson = "application/json";

// How long weftd's answer is waited for, milliseconds: longer than weftd may be told to wait for anything, which is
// five minutes for a webhook or a service.
constexpr ngx_msec_t kPatience = 360'000;

ngx_int_t respond_answer(ngx_http_request_t* request, const ApiAnswer& answer) {
    if (answer.retry_after.count() > 0) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(answer.retry_after).count();
        add_header(request, "Retry-After", std::to_string(seconds));
    }
    if (answer.status == NGX_HTTP_UNAUTHORIZED) add_header(request, "WWW-Authenticate", "Bearer");
    return respond(request, static_cast<ngx_int_t>(answer.status), kJson, answer.json + '\n');
}

}  // namespace

ngx_int_t respond_error(ngx_http_request_t* request, const event::Error& error, std::string_view channel) {
    return respond_answer(request, api_error(error, channel));
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

void WeftdRequest::begin(ngx_http_request_t* request, bool& answered) noexcept {
    request_ = request;
    answered_ = &answered;
    waiting_ = true;
    request_->read_event_handler = ngx_http_test_reading;
    patience_.data = this;
    patience_.log = request_->connection->log;
    patience_.handler = [](ngx_event_t* event) { static_cast<WeftdRequest*>(event->data)->give_up(); };
    ngx_add_timer(&patience_, kPatience);
}

void WeftdRequest::stop_waiting() noexcept {
    if (patience_.timer_set) ngx_del_timer(&patience_);
    if (std::exchange(waiting_, false) && Worker::current() != nullptr) cancel(Worker::current()->gateway());
}

void WeftdRequest::give_up() noexcept {
    finish(api_error({Code::unavailable, "the broker did not answer in time", Gateway::kRetryAfter}));
}

void WeftdRequest::finish(const ApiAnswer& answer) {
    stop_waiting();
    const ngx_int_t result = respond_answer(request_, answer);
    ngx_connection_t* connection = request_->connection;
    // Inside the request's own handler nginx goes on with the request afterwards: it must not be gone by then.
    const bool within_handler = answered_ != nullptr;
    if (within_handler) *answered_ = true;
    ngx_http_finalize_request(request_, result);
    if (!within_handler) ngx_http_run_posted_requests(connection);
}

}  // namespace weft
