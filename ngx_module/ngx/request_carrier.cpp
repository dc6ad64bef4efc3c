#include "ngx/request_carrier.hpp"

#include <cstring>

#include "ngx/credentials.hpp"
#include "ngx/response.hpp"
#include "ngx/variables.hpp"

namespace weft {

ngx_int_t RequestCarrier::hold(std::unique_ptr<RequestCarrier> owned, std::shared_ptr<const Identity> identity,
                               std::uint64_t decided) {
    ngx_http_request_t* const request = owned->request_;
    Worker& worker = owned->worker_;
    auto* known = make_in_pool<UpgradedRequest>(request->pool);
    ngx_pool_cleanup_t* const cleanup = ngx_pool_cleanup_add(request->pool, 0);
    if (known == nullptr || cleanup == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    mask_credentials(request, location_settings(request));
    known->identity = identity;
    while (known->client_id == 0) known->client_id = worker.random();
    known->carrier = owned.get();
    ngx_http_set_ctx(request, known, ngx_http_weft_module);
    owned->client().set_client_id(known->client_id);
    if (ConnectionLogs* const logs = location_settings(request).logs.get()) {
        owned->keep_record(ConnectionRecord::keep(request, *logs, worker.gateway().now()));
    }

    RequestCarrier& carrier = *owned.release();  // the request's from here on
    cleanup->data = &carrier;
    cleanup->handler = [](void* data) {
        auto* const gone = static_cast<RequestCarrier*>(data);
        gone->leave();
        delete gone;
    };
    worker.add_request(carrier);
    ++request->main->count;
    request->read_event_handler = ngx_http_test_reading;
    request->write_event_handler = [](ngx_http_request_t* writable) {
        upgraded_request(writable)->carrier->on_writable();
    };
    // The peer's end may have come with its request, and epoll doesn't tell twice.
    if (request->connection->read->ready) {
        ngx_post_event(request->connection->read, &ngx_posted_events);
    } else if (ngx_handle_read_event(request->connection->read, 0) != NGX_OK) {
        carrier.client().on_broken();
        return NGX_DONE;
    }
    worker.gateway().open(carrier.client(), std::move(identity), decided);
    if (ngx_exiting) {
        worker.drain(carrier.client());
    }
    return NGX_DONE;
}

void RequestCarrier::leave() noexcept {
    Connection& connection = client();
    worker_.wake();
    try {
        if (!answered_) connection.on_end_of_input();  // the request ends, and we didn't end it
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, connection_->log, 0, "weft: %s", error.what());
    }
    log_end();
    worker_.gateway().remove(connection);
    worker_.remove_request(*this);
    worker_.on_connection_gone();
}

void RequestCarrier::finish(ngx_int_t result) noexcept {
    if (answered_) return;
    answered_ = true;
    ngx_connection_t* const connection = connection_;
    ngx_http_finalize_request(request_, result);
    ngx_http_run_posted_requests(connection);
}

void StreamRequest::flush() {
    if (answered()) return;
    if (phase() == Phase::aborted) return finish(NGX_HTTP_CLOSE);
    const bool written = write_queue();
    if (phase() == Phase::aborted) return finish(NGX_HTTP_CLOSE);
    if (written && phase() == Phase::finished) finish(ngx_http_send_special(request_, NGX_HTTP_LAST));
}

bool StreamRequest::write_queue() {
    while (!queue().empty()) {
        if (!idle()) {
            on_blocked();
            return false;
        }
        if (!buffer_) buffer_ = std::make_unique<char[]>(kBuffer);
        const std::string_view bytes = next_bytes(worker_.write_buffer(), kBuffer);
        if (bytes.empty()) {
            on_broken();
            return false;
        }
        const std::size_t size = std::min(bytes.size(), kBuffer);
        std::memcpy(buffer_.get(), bytes.data(), size);
        on_written(size);
        ngx_memzero(&buf_, sizeof(buf_));
        buf_.start = buf_.pos = reinterpret_cast<u_char*>(buffer_.get());
        buf_.last = buf_.pos + size;
        buf_.end = buf_.pos + kBuffer;
        buf_.temporary = 1;
        buf_.flush = 1;
        ngx_chain_t out{&buf_, nullptr};
        if (ngx_http_output_filter(request_, &out) == NGX_ERROR) {
            on_broken();
            return false;
        }
    }
    if (!idle()) return false;
    buffer_.reset();
    return true;
}

void StreamRequest::on_writable() noexcept {
    Worker& worker = worker_;
    worker.wake();
    if (ngx_http_output_filter(request_, nullptr) == NGX_ERROR) on_broken();
    if (phase() == Phase::aborted || idle()) flush();  // may end the request, and this with it
    worker.resume_paused();
}

void PollRequest::flush() {
    if (answered()) return;
    if (phase() == Phase::aborted) return finish(NGX_HTTP_CLOSE);
    if (!collect()) return;
    const std::string where = position();
    if (!where.empty()) add_header(request_, "Weft-Position", where);
    ngx_int_t result;
    if (news()) {
        result = respond(request_, NGX_HTTP_OK, "application/json", answer());
    } else {
        request_->headers_out.status = NGX_HTTP_NO_CONTENT;
        request_->headers_out.content_length_n = 0;
        request_->header_only = 1;
        result = ngx_http_send_header(request_);
    }
    on_answered();
    finish(result);
}

}  // namespace weft
