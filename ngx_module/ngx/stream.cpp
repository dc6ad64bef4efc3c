// weft_sse, weft_stream and weft_poll: an HTTP request that listens to channels.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "gateway/permission.hpp"
#include "ngx/cors.hpp"
#include "ngx/credentials.hpp"
#include "ngx/door.hpp"
#include "ngx/handover.hpp"
#include "ngx/headers.hpp"
#include "ngx/request_carrier.hpp"
#include "ngx/response.hpp"
#include "ngx/weftd_request.hpp"

namespace weft {

namespace {

using Kind = StreamWire::Kind;

/// The values of an argument of the query, in their order, decoded.
std::vector<std::string> arguments(ngx_http_request_t* request, std::string_view name) {
    std::vector<std::string> values;
    for (std::string_view rest = view(request->args); !rest.empty();) {
        const std::string_view one = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(one.size() + 1, rest.size()));
        if (!one.starts_with(name) || one.size() == name.size() || one[name.size()] != '=') continue;
        const std::string_view text = one.substr(name.size() + 1);
        std::string value(text.size(), '\0');
        auto* to = reinterpret_cast<u_char*>(value.data());
        auto* from = reinterpret_cast<u_char*>(const_cast<char*>(text.data()));
        ngx_unescape_uri(&to, &from, text.size(), 0);
        value.resize(static_cast<std::size_t>(to - reinterpret_cast<u_char*>(value.data())));
        values.push_back(std::move(value));
    }
    return values;
}

/// Where the client says that it stands; no value: nowhere. A browser says it by itself.
std::optional<std::string> said_position(ngx_http_request_t* request) {
    std::string storage;
    bool said = false;
    each_header(request, [&](const ngx_table_elt_t& one) { said = said || is_header(one, "last-event-id"); });
    if (said) return std::string(header(request, "last-event-id", storage));
    for (const std::string_view name : {"position", "last_event_id"}) {
        if (auto values = arguments(request, name); !values.empty()) return std::move(values.front());
    }
    return std::nullopt;
}

/// What a listener asked for, and may have.
struct Wish {
    std::shared_ptr<const Identity> identity;
    std::vector<std::string> channels;
    std::optional<ChannelPositions> positions;
};

event::Error wrong(std::string_view why) {
    return {Code::invalid_message, why, {}};
}

/// The channels that the location or the request names.
tl::expected<std::vector<std::string>, event::Error> wished_channels(ngx_http_request_t* request,
                                                                     const LocationSettings& location) {
    if (!location.entrance.empty()) return entrance_channels(request, location);
    std::vector<std::string> channels;
    for (std::string& name : arguments(request, "channel")) {
        if (!is_channel_name(name)) {
            return tl::unexpected(
                wrong("\"channel\" in the query is no channel's name, expected 1 to 255 bytes of A-Z "
                      "a-z 0-9 _ - . : / @ ="));
        }
        if (std::ranges::find(channels, name) == channels.end()) channels.push_back(std::move(name));
    }
    return channels;
}

/// Why a client may not listen to a channel; its own words where it could do something about it.
std::optional<event::Error> forbidden(const Worker& worker, const Identity& identity, const std::string& channel) {
    const ChannelRule* rule = nullptr;
    switch (permission(worker.rules(), identity.grants, identity.user, Action::subscribe, channel, rule)) {
        case Permission::granted: return std::nullopt;
        case Permission::no_channel:
            return event::Error{Code::channel_not_found, "no weft_channel rule matches this channel", {}};
        case Permission::somebody_elses:
            return event::Error{Code::permission_denied, "this channel belongs to another user", {}};
        default:
            return event::Error{Code::permission_denied, "the ticket doesn't grant \"subscribe\" on this channel", {}};
    }
}

tl::expected<Wish, event::Error> read_wish(ngx_http_request_t* request, const LocationSettings& location,
                                           Worker& worker) {
    Verdict verdict = identify_client(request, location, {});
    if (verdict.refusal) return tl::unexpected(*verdict.refusal);
    if (!verdict.identity) {  // a first message would say who it is, but there are none
        return tl::unexpected(event::Error{Code::authentication_required, "no credentials came with the request", {}});
    }
    if (const auto ban = worker.gateway().banned(*verdict.identity)) return tl::unexpected(*ban);
    Wish wish{std::move(verdict.identity), {}, std::nullopt};
    auto channels = wished_channels(request, location);
    if (!channels) return tl::unexpected(channels.error());
    wish.channels = std::move(*channels);
    if (wish.channels.empty()) return tl::unexpected(wrong("the request names no channel, expected ?channel=NAME"));
    if (wish.channels.size() > location.endpoint.max_subscriptions) {
        return tl::unexpected(
            event::Error{Code::too_many_subscriptions, "the request names more channels than one may be in", {}});
    }
    for (const std::string& channel : wish.channels) {
        if (const auto denied = forbidden(worker, *wish.identity, channel)) {
            worker.gateway().refusals().denied.add();
            return tl::unexpected(*denied);
        }
    }
    if (const auto said = said_position(request)) {
        auto positions = ChannelPositions::parse(*said, wish.channels);
        if (!positions) {
            return tl::unexpected(
                wrong("the position is none that a server gave, expected what the last answer or "
                      "event had"));
        }
        wish.positions = std::move(*positions);
    }
    return wish;
}

/// The channels, with where the client stands in them.
std::unique_ptr<Entrance> entrance_of(const Wish& wish, const LocationSettings& location) {
    auto entrance = make_entrance(wish.channels, location);
    for (Entrance::Channel& channel : entrance->channels) {
        const auto position = wish.positions ? wish.positions->find(channel.name) : std::nullopt;
        if (position) channel.position.emplace(*position);
    }
    return entrance;
}

bool add_stream_headers(ngx_http_request_t* request, Kind kind) {
    request->headers_out.status = NGX_HTTP_OK;
    request->headers_out.content_length_n = -1;
    if (kind == Kind::sse) {
        ngx_str_set(&request->headers_out.content_type, "text/event-stream");
    } else {
        ngx_str_set(&request->headers_out.content_type, "application/x-ndjson");
    }
    request->headers_out.content_type_len = request->headers_out.content_type.len;
    // The second is for an nginx in front of this one, which would collect what is to arrive at once.
    return add_header(request, "Cache-Control", "no-store") && add_header(request, "X-Accel-Buffering", "no");
}

/// A client that only listens isn't heard of when it is gone: TCP gives it up when it doesn't take a heartbeat in time.
void watch_peer(const ngx_connection_t& connection, const EndpointSettings& endpoint) noexcept {
#ifdef TCP_USER_TIMEOUT
    const auto timeout = static_cast<unsigned>(endpoint.heartbeat_timeout.count());
    if (connection.sockaddr->sa_family == AF_UNIX) return;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
#endif
}

/// Has nginx send the head alone, and of what follows neither chunks nor compressed bytes: what is written to the
/// socket later is the stream as it is, and it ends with the connection, as answers to HTTP/1.0 do.
void leave_body_to_us(ngx_http_request_t* request) noexcept {
    request->http_version = NGX_HTTP_VERSION_10;
    request->header_only = 1;
    request->keepalive = 0;
}

ngx_int_t listen(ngx_http_request_t* request, Kind kind) {
    Worker* worker = Worker::current();
    if (worker == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
    if (request != request->main) return NGX_HTTP_INTERNAL_SERVER_ERROR;  // auth_request, mirror: nobody listens
    const LocationSettings& location = location_settings(request);
    worker->wake();
    const auto reject = [&](const event::Error& why) {
        worker->gateway().count_refused(why.code);
        mask_credentials(request, location);
        return respond_error(request, why);
    };
    if (!origin_allowed(request, location, *worker)) {
        return reject({Code::origin_not_allowed, "this origin is not allowed", {}});
    }
    if (!add_cors_headers(request)) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (request->method == NGX_HTTP_OPTIONS) return answer_preflight(request, "GET");
    if (request->method != NGX_HTTP_GET) return refuse_method(request, "GET");
    if (ngx_http_discard_request_body(request) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;

    const std::uint64_t decided = worker->gateway().decisions();
    auto wish = read_wish(request, location, *worker);
    if (!wish) return reject(wish.error());
    StreamWire* const wire = worker->wires().stream(kind, location.protocol);
    if (wire == nullptr || (kind != Kind::sse && !worker->gateway().links_up())) {
        // An EventSource doesn't come again after that, but after an answer that ends.
        return reject(
            {Code::unavailable, "the broker can't be reached at the moment, try again", Gateway::kRetryAfter});
    }
    const bool poll = kind == Kind::poll;
    const bool own_socket = !poll && request->http_version < NGX_HTTP_VERSION_20;
    std::unique_ptr<ChannelPositions> rewritten;
    if (kind == Kind::sse && wish->channels.size() > 1) {
        rewritten = std::make_unique<ChannelPositions>(wish->positions.value_or(ChannelPositions()));
    }
    std::unique_ptr<Socket> socket;
    std::unique_ptr<RequestCarrier> carrier;
    if (own_socket) {
        socket = std::make_unique<SocketOf<StreamConnection>>(*worker, location.endpoint, *wire, std::move(rewritten));
    } else if (poll) {
        const auto hold = arguments(request, "hold");
        if (!hold.empty() && hold.front() != "0") {
            return reject(wrong("\"hold\" in the query is none that there is, expected 0: to be answered at once"));
        }
        PollConnection::Terms terms{wish->channels.size(), wish->positions.value_or(ChannelPositions()), !hold.empty()};
        carrier = std::make_unique<PollRequest>(*worker, request, location.endpoint, *wire, std::move(terms));
    } else {
        carrier = std::make_unique<StreamRequest>(*worker, request, location.endpoint, *wire, std::move(rewritten));
    }
    Carrier& carried = own_socket ? static_cast<Carrier&>(*socket) : *carrier;
    if (const auto full =
            worker->admission().admit(*request->connection, wish->identity->user,
                                      location.connections.value_or(ConnectionLimits()), carried.hold())) {
        return reject(*full);
    }
    prepare(request, location, *worker, carried.client());
    carried.client().enter_by(entrance_of(*wish, location));
    if (poll) {
        if (!add_header(request, "Cache-Control", "no-store")) return NGX_HTTP_INTERNAL_SERVER_ERROR;
        return RequestCarrier::hold(std::move(carrier), std::move(wish->identity), decided);
    }
    if (!add_stream_headers(request, kind)) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (own_socket) {
        leave_body_to_us(request);
        watch_peer(*request->connection, location.endpoint);
        return hand_over(request, std::move(socket), {std::move(wish->identity), std::nullopt, decided}, {});
    }
    const ngx_int_t sent = ngx_http_send_header(request);
    if (sent == NGX_ERROR || sent > NGX_OK) return sent;
    if (ngx_http_send_special(request, NGX_HTTP_FLUSH) == NGX_ERROR) return NGX_ERROR;
    return RequestCarrier::hold(std::move(carrier), std::move(wish->identity), decided);
}

template <Kind kind>
ngx_int_t handle(ngx_http_request_t* request) noexcept {
    try {
        return listen(request, kind);
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: %s", error.what());
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

}  // namespace

ngx_int_t handle_sse(ngx_http_request_t* request) noexcept {
    return handle<Kind::sse>(request);
}

ngx_int_t handle_stream(ngx_http_request_t* request) noexcept {
    return handle<Kind::lines>(request);
}

ngx_int_t handle_poll(ngx_http_request_t* request) noexcept {
    return handle<Kind::poll>(request);
}

}  // namespace weft
