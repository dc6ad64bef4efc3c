// HTTP requests that ask weftd for something: a POST comes in, weftd is asked, its answer goes out as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/api_call.hpp"
#include "ngx/response.hpp"

namespace weft {

/// As api_error(), with Retry-After where it helps.
ngx_int_t respond_error(ngx_http_request_t* request, const event::Error& error, std::string_view channel = {});

/// The body's bytes, wherever nginx has put them. False when they can't be read.
bool read_body(ngx_http_request_t* request, std::string& body);

/// Checks the credentials that the location wants of callers: an API key where there is a weft_api_key, or a ticket
/// where `tickets`. No value: go on, upgraded_request() tells who it is (null when the location wants nothing). A
/// value: the request was answered, this is what the handler returns.
std::optional<ngx_int_t> refuse_caller(ngx_http_request_t* request, bool tickets) noexcept;

/// 405, in the form of respond_error(); `expected` is the method that would have been right.
ngx_int_t refuse_method(ngx_http_request_t* request, std::string_view expected) noexcept;

/// Waits for weftd in the place of a request whose body has been read. Lives in the request's pool: when the client
/// goes away, the request ends, and this with it.
class WeftdRequest {
public:
    virtual ~WeftdRequest() = default;
    WeftdRequest(const WeftdRequest&) = delete;
    WeftdRequest& operator=(const WeftdRequest&) = delete;

protected:
    WeftdRequest() = default;

    /// Asks weftd by `ask(waiting)`, with a new `Kind` of this that answers the request now or later.
    template <class Kind, class Ask>
    static void wait(ngx_http_request_t* request, Ask ask) {
        auto* const waiting = make_in_pool<Kind>(request->pool);
        if (waiting == nullptr) return ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
        bool answered = false;
        waiting->begin(request, answered);
        ask(*waiting);
        if (!answered) waiting->answered_ = nullptr;
    }

    /// Ends the request, and with it perhaps this.
    void finish(const ApiAnswer& answer);
    /// Each kind's destructor calls it.
    void stop_waiting() noexcept;
    /// What is waited for need not be answered any more.
    virtual void cancel(Gateway& gateway) noexcept = 0;

private:
    void begin(ngx_http_request_t* request, bool& answered) noexcept;
    void give_up() noexcept;

    ngx_http_request_t* request_ = nullptr;
    bool waiting_ = false;
    // Runs while we wait. nginx ends a worker that is told to go as soon as no such timer is left, with or without
    // an answer to this request.
    ngx_event_t patience_{};
    bool* answered_ = nullptr;  // while ask() runs: to be set, if the answer comes at once
};

/// One request to weftd, whose answer is the answer.
class OneRequest final : public WeftdRequest, public RequestObserver {
public:
    /// `ask(observer)` asks weftd, as Gateway::publish() does.
    template <class Ask>
    static void ask(ngx_http_request_t* request, Ask ask) {
        wait<OneRequest>(request, [&](OneRequest& waiting) { ask(static_cast<RequestObserver&>(waiting)); });
    }

    ~OneRequest() override { stop_waiting(); }
    void on_answer(const ServerFrame& answer) override {
        told_ = true;
        finish(api_answer(answer));
    }

private:
    // With the answer the gateway has forgotten it, and needn't look for it among all that wait.
    void cancel(Gateway& gateway) noexcept override {
        if (!told_) gateway.cancel(*this);
    }

    bool told_ = false;
};

/// Reads the body of a POST, then calls `handle`, which finalizes the request or asks weftd. Other methods get 405.
template <void (*handle)(ngx_http_request_t*)>
ngx_int_t read_post(ngx_http_request_t* request) noexcept {
    if (request->method != NGX_HTTP_POST) return refuse_method(request, "POST");
    const ngx_int_t result = ngx_http_read_client_request_body(request, [](ngx_http_request_t* read) {
        try {
            handle(read);
        } catch (const std::exception& error) {
            ngx_log_error(NGX_LOG_ERR, read->connection->log, 0, "weft: %s", error.what());
            ngx_http_finalize_request(read, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }
    });
    return result >= NGX_HTTP_SPECIAL_RESPONSE ? result : NGX_DONE;
}

}  // namespace weft
