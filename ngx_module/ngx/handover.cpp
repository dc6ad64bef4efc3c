#include "ngx/handover.hpp"

#include <string>

#include "ngx/credentials.hpp"
#include "ngx/variables.hpp"

namespace weft {

namespace {

constexpr ngx_msec_t kSubrequestPoll = 10;  // milliseconds

/// What stands between the answer's head and the moment in which everybody has let go of the request: the phase engine,
/// and what runs beside it in the background (a mirror's subrequest). Lives in the request's pool, and may go with it
/// before.
struct Handover {
    Handover() = default;
    Handover(const Handover&) = delete;
    Handover& operator=(const Handover&) = delete;
    ~Handover() {
        if (event.posted) {
            ngx_delete_posted_event(&event);
        }
        if (event.timer_set) ngx_del_timer(&event);
    }

    ngx_event_t event{};
    ngx_http_request_t* request = nullptr;
    std::unique_ptr<Socket> socket;
    HandoverTerms terms;
};

/// Frees the memory that held the request's head: it stays with the connection otherwise.
void free_header_buffers(ngx_connection_t* connection, ngx_http_connection_t* http) noexcept {
    for (ngx_chain_t* list : {http->free, http->busy}) {
        while (list != nullptr) {
            ngx_chain_t* next = list->next;
            ngx_pfree(connection->pool, list->buf->start);
            ngx_free_chain(connection->pool, list);
            list = next;
        }
    }
    http->free = nullptr;
    http->busy = nullptr;
    http->nbusy = 0;
    if (connection->buffer != nullptr && ngx_pfree(connection->pool, connection->buffer->start) == NGX_OK) {
        connection->buffer->start = nullptr;
        connection->buffer->pos = nullptr;
        connection->buffer->last = nullptr;
        connection->buffer->end = nullptr;
    }
}

/// What the connection's log lines will need of the request; null when there will be none.
std::unique_ptr<ConnectionRecord> keep_record(ngx_http_request_t* request, Worker& worker) noexcept {
    ConnectionLogs* logs = location_settings(request).logs.get();
    if (logs == nullptr) return nullptr;
    try {
        return ConnectionRecord::keep(request, *logs, worker.gateway().now());
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: a connection can't be logged: %s", error.what());
        return nullptr;
    }
}

// Runs in a posted event, behind the handler. Freeing the request writes its line of the access log and gives back its
// pool; nginx does the same when it turns a connection to keep-alive.
void take_over(ngx_event_t* event) noexcept {
    // Moved out, as the record's memory goes before they do.
    auto& record = *static_cast<Handover*>(event->data);
    ngx_http_request_t* request = record.request;
    if (request->count > 1 && !request->connection->error) {
        // Freeing the request would cut the others off; and nginx doesn't say when they have ended.
        ngx_add_timer(event, kSubrequestPoll);
        return;
    }
    std::unique_ptr<Socket> socket = std::move(record.socket);
    HandoverTerms terms = std::move(record.terms);

    ngx_connection_t* connection = request->connection;
    ngx_http_connection_t* http = request->http_connection;
    Worker* worker = Worker::current();
    worker->wake();
    std::unique_ptr<ConnectionRecord> log = keep_record(request, *worker);
    if (request->out != nullptr || connection->error) {  // the head didn't leave: the client is gone or was never there
        // Its request is in the access log with its status, so its end is to be found as well.
        if (log != nullptr) {
            log->write(worker->gateway().now(),
                       terms.identity != nullptr ? std::string_view(terms.identity->user) : std::string_view(),
                       socket->client().client_id(), ConnectionEnd::kBroken, ConnectionEnd::By::nobody);
        }
        socket.reset();
        ngx_http_free_request(request, 0);
        ngx_http_close_connection(connection);
        return;
    }
    std::string unread;
    if (request->header_in->pos < request->header_in->last) {
        unread.assign(request->header_in->pos, request->header_in->last);
    }
    ngx_http_free_request(request, 0);
    free_header_buffers(connection, http);
#if (NGX_HTTP_SSL)
    if (over_tls(connection)) ngx_ssl_free_buffer(connection);
#endif
    socket->keep_record(std::move(log));
    Socket::adopt(*worker, connection, std::move(socket), std::move(terms), std::move(unread));
}

}  // namespace

ngx_int_t hand_over(ngx_http_request_t* request, std::unique_ptr<Socket> socket, HandoverTerms terms,
                    std::string_view subprotocol) {
    Worker& worker = *Worker::current();
    auto* record = make_in_pool<Handover>(request->pool);
    auto* upgraded = make_in_pool<UpgradedRequest>(request->pool);
    if (record == nullptr || upgraded == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    mask_credentials(request, location_settings(request));  // from here on nginx may log the request at any time
    upgraded->identity = terms.identity;
    upgraded->subprotocol = subprotocol;
    while (!terms.refusal && upgraded->client_id == 0) upgraded->client_id = worker.random();
    ngx_http_set_ctx(request, upgraded, ngx_http_weft_module);
    socket->client().set_client_id(upgraded->client_id);
    record->request = request;
    record->socket = std::move(socket);
    record->terms = std::move(terms);
    record->event.data = record;
    record->event.handler = take_over;
    record->event.log = request->connection->log;

    const ngx_int_t sent = ngx_http_send_header(request);
    if (sent == NGX_ERROR || sent > NGX_OK) return sent;
    if (ngx_http_send_special(request, NGX_HTTP_FLUSH) == NGX_ERROR) return NGX_ERROR;

    ++request->main->count;  // keeps the request until take_over() frees it
    request->read_event_handler = ngx_http_block_reading;
    request->write_event_handler = ngx_http_request_empty_handler;
    ngx_post_event(&record->event, &ngx_posted_events);
    return NGX_DONE;
}

}  // namespace weft
