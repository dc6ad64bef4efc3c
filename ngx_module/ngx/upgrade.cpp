// From an HTTP request to a connection of ours: origin, handshake, credentials, 101, and the request is given back.
#include <algorithm>
#include <string>

#include "ngx/connection_log.hpp"
#include "ngx/credentials.hpp"
#include "ngx/headers.hpp"
#include "ngx/response.hpp"
#include "ngx/single_use.hpp"
#include "ngx/socket.hpp"
#include "ngx/variables.hpp"
#include "ngx/weftd_request.hpp"
#include "websocket/handshake.hpp"

namespace weft {

namespace {

/// An error page of a few words: what is wrong with the request is told in its body.
ngx_int_t refuse(ngx_http_request_t* request, int status, std::string_view why) {
    request->keepalive = 0;
    if (status == 426 && !add_header(request, "Sec-WebSocket-Version", "13")) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (status == 405 && !add_header(request, "Allow", "GET")) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return respond(request, status, "text/plain", std::string(why) + "\n");
}

/// The answer to those who are refused where weft_reject says http.
ngx_int_t reject(ngx_http_request_t* request, Worker& worker, const event::Error& why) {
    worker.gateway().count_refused(why.code);
    request->keepalive = 0;
    return respond_error(request, why);
}

/// How a connection speaks, and what is answered about it.
struct Speech {
    WebSocketWire* wire;
    std::optional<websocket::DeflateParameters> deflate;
    std::string extensions;  // Sec-WebSocket-Extensions; empty for none
};

Speech choose_speech(Worker& worker, std::string_view subprotocol, const CompressionSettings& compression,
                     std::string_view offered) {
    Speech plain{&worker.wires().plain(subprotocol), std::nullopt, {}};
    if (!compression.on) return plain;
    Speech speech = plain;
    speech.deflate = websocket::negotiate_deflate(offered, compression.policy, speech.extensions);
    if (!speech.deflate) return plain;
    if (speech.deflate->server_takeover) return speech;  // compresses for itself what the wire shares
    websocket::DeflateSettings settings = compression.deflate;
    settings.window = speech.deflate->server_window;
    speech.wire = worker.wires().compressed(*plain.wire, settings);
    return speech.wire != nullptr ? speech : plain;
}

constexpr ngx_msec_t kSubrequestPoll = 10;  // milliseconds

/// What stands between the 101 and the moment in which everybody has let go of the request: the phase engine, and what
/// runs beside it in the background (a mirror's subrequest). Lives in the request's pool, and may go with it before.
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
    std::shared_ptr<const Identity> identity;
    std::optional<event::Error> refusal;
    std::uint64_t decided = 0;  // what the worker knew of decisions about clients when `identity` was
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
void hand_over(ngx_event_t* event) noexcept {
    // Moved out, as the record's memory goes before they do.
    auto& record = *static_cast<Handover*>(event->data);
    ngx_http_request_t* request = record.request;
    if (request->count > 1 && !request->connection->error) {
        // Freeing the request would cut the others off; and nginx doesn't say when they have ended.
        ngx_add_timer(event, kSubrequestPoll);
        return;
    }
    std::unique_ptr<Socket> socket = std::move(record.socket);
    std::shared_ptr<const Identity> identity = std::move(record.identity);
    const std::optional<event::Error> refusal = record.refusal;
    const std::uint64_t decided = record.decided;

    ngx_connection_t* connection = request->connection;
    ngx_http_connection_t* http = request->http_connection;
    Worker* worker = Worker::current();
    worker->wake();
    std::unique_ptr<ConnectionRecord> log = keep_record(request, *worker);
    if (request->out != nullptr || connection->error) {  // the 101 didn't leave: the client is gone or was never there
        // Its request is in the access log with status 101, so its end is to be found as well.
        if (log != nullptr) {
            log->write(worker->gateway().now(),
                       identity != nullptr ? std::string_view(identity->user) : std::string_view(), socket->client_id(),
                       ConnectionEnd::kBroken, ConnectionEnd::By::nobody);
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
    Socket::adopt(*worker, connection, std::move(socket), std::move(identity), refusal, decided, std::move(unread));
}

ngx_int_t upgrade(ngx_http_request_t* request) {
    Worker* worker = Worker::current();
    if (worker == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
    if (request != request->main) return NGX_HTTP_INTERNAL_SERVER_ERROR;  // auth_request, mirror: no socket of its own
    const LocationSettings& location = location_settings(request);

#if (NGX_COMPAT) && !(NGX_HTTP_SSL)  // nginx loads it all the same, by the signature that --with-compat gives
    if (request->connection->ssl != nullptr) {
        ngx_log_error(NGX_LOG_ALERT, request->connection->log, 0,
                      "weft: this module was built from sources that were configured without SSL, expected "
                      "--with-http_ssl_module, as this nginx has it");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
#endif
    if (request->http_version >= NGX_HTTP_VERSION_20) {  // nginx's number for HTTP/3, since 1.25, is 3000
        mask_credentials(request, location);
        const std::string version = std::to_string(request->http_version / 1000);
        return refuse(request, 400, "WebSocket needs HTTP/1.1 here, this request came by HTTP/" + version);
    }
    std::string storage[8];
    websocket::HandshakeRequest asked;
    asked.method = view(request->method_name);
    asked.http_major = static_cast<int>(request->http_major);
    asked.http_minor = static_cast<int>(request->http_minor);
    asked.upgrade = header(request, "upgrade", storage[0]);
    asked.connection = header(request, "connection", storage[1]);
    asked.key = header(request, "sec-websocket-key", storage[2]);
    asked.version = header(request, "sec-websocket-version", storage[3]);
    asked.protocols = header(request, "sec-websocket-protocol", storage[4]);
    asked.has_body = request->headers_in.content_length_n > 0 || request->headers_in.chunked;
    const bool echo = location.endpoint.echo;
    if (echo) asked.protocols = {};  // whatever is said here, it comes back
    const websocket::HandshakeAnswer answer =
        websocket::answer_handshake(asked, worker->wires().subprotocols(), storage[5]);
    if (answer.status != 101) return refuse(request, answer.status, answer.error);

    const std::string_view origin = header(request, "origin", storage[6]);
    const std::string_view host =
        request->headers_in.host != nullptr ? view(request->headers_in.host->value) : std::string_view();
    if (!location.origins->allows(origin, host)) {
        std::string shown(
            origin.substr(0, 128));  // the client chose it: bounded, and nothing that a log could choke on
        for (char& c : shown) {
            if (c < 0x20 || c > 0x7e || c == '"') c = '?';
        }
        ngx_log_error(NGX_LOG_INFO, request->connection->log, 0, "weft: origin \"%s\" is not allowed", shown.c_str());
        worker->gateway().refusals().origins.add();
        return refuse(request, 403, "this origin is not allowed");
    }

    worker->wake();
    const std::uint64_t decided = worker->gateway().decisions();
    Verdict verdict =
        echo ? Verdict{std::make_shared<const Identity>(), std::nullopt} : identify_client(request, location, answer);
    std::optional<event::Error>& refusal = verdict.refusal;  // its message is a literal
    std::shared_ptr<const Identity>& identity = verdict.identity;
    const bool reject_http = location.credentials.reject_http.value_or(false);
    // Else they are told when they are connected.
    if (reject_http && !refusal && identity) refusal = worker->gateway().banned(*identity);
    if (reject_http && refusal) return reject(request, *worker, *refusal);

    // Those who are about to be closed needn't agree on anything: what a worker has of wires is for others.
    const std::string_view extensions =
        refusal ? std::string_view() : header(request, "sec-websocket-extensions", storage[7]);
    const auto supported = worker->wires().subprotocols();
    const bool agreed = std::ranges::find(supported, answer.subprotocol) != supported.end();
    const std::string_view spoken = agreed ? answer.subprotocol : std::string_view(location.protocol);
    const Speech speech = choose_speech(*worker, spoken, location.endpoint.compression, extensions);

    auto* record = make_in_pool<Handover>(request->pool);
    auto* upgraded = make_in_pool<UpgradedRequest>(request->pool);
    if (record == nullptr || upgraded == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    record->socket = std::make_unique<Socket>(*worker, location.endpoint, *speech.wire, speech.deflate);
    if (!refusal) {
        // The user of an auth frame is counted when that has come.
        refusal = worker->admission().admit(*request->connection, identity ? identity->user : std::string_view(),
                                            location.connections.value_or(ConnectionLimits()), record->socket->hold());
    }
    if (reject_http && refusal) return reject(request, *worker, *refusal);
    if (!refusal && location.endpoint.address_rate.limited()) {
        record->socket->set_address_key(rate_key(*request->connection, rates_of(worker->settings().zone)));
    }
    mask_credentials(request, location);  // from here on nginx may log the request at any time
    upgraded->identity = identity;
    upgraded->subprotocol = answer.subprotocol;
    while (!refusal && upgraded->client_id == 0) upgraded->client_id = worker->random();
    ngx_http_set_ctx(request, upgraded, ngx_http_weft_module);
    record->request = request;
    record->socket->set_client_id(upgraded->client_id);
    record->identity = std::move(identity);
    record->refusal = refusal;
    record->decided = decided;
    record->event.data = record;
    record->event.handler = hand_over;
    record->event.log = request->connection->log;

    request->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;  // nginx adds "Connection: upgrade"
    ngx_str_set(&request->headers_out.status_line, "101 Switching Protocols");
    request->keepalive = 0;
    if (!add_header(request, "Upgrade", "websocket") || !add_header(request, "Sec-WebSocket-Accept", answer.accept) ||
        (!answer.subprotocol.empty() && !add_header(request, "Sec-WebSocket-Protocol", answer.subprotocol)) ||
        (!speech.extensions.empty() && !add_header(request, "Sec-WebSocket-Extensions", speech.extensions))) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    const ngx_int_t sent = ngx_http_send_header(request);
    if (sent == NGX_ERROR || sent > NGX_OK) return sent;
    if (ngx_http_send_special(request, NGX_HTTP_FLUSH) == NGX_ERROR) return NGX_ERROR;

    ++request->main->count;  // keeps the request until hand_over() frees it
    request->read_event_handler = ngx_http_block_reading;
    request->write_event_handler = ngx_http_request_empty_handler;
    ngx_post_event(&record->event, &ngx_posted_events);
    return NGX_DONE;
}

}  // namespace

ngx_int_t handle_upgrade(ngx_http_request_t* request) noexcept {
    try {
        return upgrade(request);
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: %s", error.what());
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

}  // namespace weft
