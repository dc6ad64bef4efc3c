// From an HTTP request to a WebSocket: origin, handshake, credentials, 101, and the request is given back.
#include <algorithm>
#include <string>

#include "gateway/websocket_connection.hpp"
#include "ngx/credentials.hpp"
#include "ngx/door.hpp"
#include "ngx/handover.hpp"
#include "ngx/headers.hpp"
#include "ngx/response.hpp"
#include "ngx/single_use.hpp"
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
    std::string storage[7];
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

    if (!origin_allowed(request, location, *worker)) return refuse(request, 403, "this origin is not allowed");

    worker->wake();
    const std::uint64_t decided = worker->gateway().decisions();
    Verdict verdict =
        echo ? Verdict{std::make_shared<const Identity>(), std::nullopt} : identify_client(request, location, answer);
    std::optional<event::Error>& refusal = verdict.refusal;  // its message is a literal
    std::shared_ptr<const Identity>& identity = verdict.identity;
    const bool reject_http = location.credentials.reject_http.value_or(false);
    const auto channels = entrance_channels(request, location);
    if (!refusal && !channels) refusal = channels.error();
    // Else they are told when they are connected.
    if (reject_http && !refusal && identity) refusal = worker->gateway().banned(*identity);
    if (reject_http && refusal) return reject(request, *worker, *refusal);

    // Those who are about to be closed needn't agree on anything: what a worker has of wires is for others.
    const std::string_view extensions =
        refusal ? std::string_view() : header(request, "sec-websocket-extensions", storage[6]);
    const auto supported = worker->wires().subprotocols();
    const bool agreed = std::ranges::find(supported, answer.subprotocol) != supported.end();
    const std::string_view spoken = agreed ? answer.subprotocol : std::string_view(location.protocol);
    const Speech speech = choose_speech(*worker, spoken, location.endpoint.compression, extensions);

    static_assert(sizeof(SocketOf<WebSocketConnection>) <= Connection::kFetched);
    auto socket =
        std::make_unique<SocketOf<WebSocketConnection>>(*worker, location.endpoint, *speech.wire, speech.deflate);
    if (!refusal) {
        // The user of an auth frame is counted when that has come.
        refusal = worker->admission().admit(*request->connection, identity ? identity->user : std::string_view(),
                                            location.connections.value_or(ConnectionLimits()), socket->hold());
    }
    if (reject_http && refusal) return reject(request, *worker, *refusal);
    if (!refusal) {
        prepare(request, location, *worker, *socket);
        socket->enter_by(make_entrance(*channels, location));
    }

    request->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;  // nginx adds "Connection: upgrade"
    ngx_str_set(&request->headers_out.status_line, "101 Switching Protocols");
    request->keepalive = 0;
    if (!add_header(request, "Upgrade", "websocket") || !add_header(request, "Sec-WebSocket-Accept", answer.accept) ||
        (!answer.subprotocol.empty() && !add_header(request, "Sec-WebSocket-Protocol", answer.subprotocol)) ||
        (!speech.extensions.empty() && !add_header(request, "Sec-WebSocket-Extensions", speech.extensions))) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return hand_over(request, std::move(socket), {std::move(identity), refusal, decided}, answer.subprotocol);
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
