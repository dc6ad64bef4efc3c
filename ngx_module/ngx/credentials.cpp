#include "ngx/credentials.hpp"

#include "auth/cookie.hpp"
#include "auth/credential_mask.hpp"
#include "auth/grants_text.hpp"
#include "auth/ticket_mask.hpp"
#include "ngx/headers.hpp"
#include "ngx/settings.hpp"
#include "ngx/single_use.hpp"
#include "ngx/worker.hpp"
#include "websocket/utf8.hpp"

namespace weft {

namespace {

event::Error missing() noexcept {
    return {Code::authentication_required, "no credentials came with the request", {}};
}

event::Error refused() noexcept {
    return {Code::authentication_failed, "the credentials were not accepted", {}};
}

/// What stands behind "Bearer" in the value of an Authorization header; none for another scheme. A tab in the place of
/// the space is wrong, but no reason to take the client for one that shows nothing.
std::optional<std::string_view> behind_bearer(std::string_view authorization) noexcept {
    constexpr std::string_view kBearer = "bearer";
    if (authorization.size() < kBearer.size() ||
        ngx_strncasecmp(reinterpret_cast<u_char*>(const_cast<char*>(authorization.data())),
                        reinterpret_cast<u_char*>(const_cast<char*>(kBearer.data())), kBearer.size()) != 0) {
        return std::nullopt;
    }
    authorization.remove_prefix(kBearer.size());
    if (!authorization.empty() && authorization.front() != ' ' && authorization.front() != '\t') return std::nullopt;
    while (authorization.starts_with(' ') || authorization.starts_with('\t')) authorization.remove_prefix(1);
    return authorization;
}

std::optional<std::string> find_bearer(ngx_http_request_t* request) {
    std::string storage;
    const auto token = behind_bearer(header(request, "authorization", storage));
    if (!token) return std::nullopt;
    return std::string(*token);
}

std::optional<std::string> find_argument(ngx_http_request_t* request) {
    ngx_str_t value;
    ngx_str_t name = ngx_string("ticket");
    if (ngx_http_arg(request, name.data, name.len, &value) != NGX_OK) return std::nullopt;
    std::string decoded(value.len, '\0');
    auto* to = reinterpret_cast<u_char*>(decoded.data());
    u_char* from = value.data;
    ngx_unescape_uri(&to, &from, value.len, NGX_UNESCAPE_URI);
    decoded.resize(static_cast<std::size_t>(to - reinterpret_cast<u_char*>(decoded.data())));
    return decoded;
}

/// An empty cookie counts as none: it is what is left of one that was taken back.
std::optional<std::string> find_cookie_token(ngx_http_request_t* request, const CredentialSettings& settings) {
    if (settings.cookie.value_or(std::string()).empty()) return std::nullopt;
    std::optional<std::string> found;
    each_header(request, [&](const ngx_table_elt_t& one) {
        if (found || !is_header(one, "cookie")) return;
        const auto value = find_cookie(view(one.value), *settings.cookie);
        if (value && !value->empty()) found.emplace(*value);
    });
    return found;
}

/// The first token that the request offers; no value for none.
std::optional<std::string> find_token(ngx_http_request_t* request, const CredentialSettings& settings,
                                      const websocket::HandshakeAnswer& handshake) {
    if (auto token = find_bearer(request)) return token;
    if (handshake.bearer) return std::string(handshake.token);
    if (auto token = find_argument(request)) return token;
    return find_cookie_token(request, settings);
}

Verdict refuse(event::Error why) {
    return {nullptr, why};
}

/// Whether a user may be called so: what a ticket's `sub` may be.
bool is_user(std::string_view user) noexcept {
    if (user.size() > kMaxUser || !websocket::is_utf8(user)) return false;
    for (char c : user) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    }
    return true;
}

/// Who this is by what nginx knows (weft_user); no value when it knows nobody.
std::optional<Verdict> known_to_nginx(ngx_http_request_t* request, const CredentialSettings& settings) {
    if (settings.user == nullptr) return std::nullopt;
    ngx_str_t user;
    if (ngx_http_complex_value(request, settings.user, &user) != NGX_OK) throw std::bad_alloc();
    if (user.len == 0) return std::nullopt;
    const auto bad = [&](const char* directive, const std::string& why) {
        ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: the value of \"%s\" is refused: %s", directive,
                      why.c_str());
        return refuse(refused());
    };
    if (!is_user(view(user))) {
        return bad("weft_user", "expected at most 255 bytes of UTF-8 without control characters");
    }
    Identity identity;
    identity.since = wall_now();
    identity.user = view(user);
    ngx_str_t text = ngx_null_string;
    if (settings.grants != nullptr && ngx_http_complex_value(request, settings.grants, &text) != NGX_OK) {
        throw std::bad_alloc();
    }
    if (text.len > 0) {
        auto grants = parse_grants(view(text));
        if (!grants) return bad("weft_grants", grants.error());
        identity.grants = std::move(*grants);
        identity.grants.share();
    }
    return Verdict{std::make_shared<const Identity>(std::move(identity)), std::nullopt};
}

Verdict verdict_on(std::string_view token, const LocationSettings& location, ngx_log_t* log) {
    auto identity = identify_token(token, location, log);
    if (!identity) return refuse(identity.error());
    return {std::move(*identity), std::nullopt};
}

std::span<char> writable(const ngx_str_t& text) noexcept {
    return {reinterpret_cast<char*>(text.data), text.len};
}

}  // namespace

void CredentialSettings::inherit(const CredentialSettings& from) {
    if (!cookie) cookie = from.cookie;
    if (user == nullptr) {  // grants are those of a user
        user = from.user;
        if (grants == nullptr) grants = from.grants;
    }
    if (!auth_timeout) auth_timeout = from.auth_timeout;
    if (!expiry_notice) expiry_notice = from.expiry_notice;
    if (!reject_http) reject_http = from.reject_http;
    if (!api_keys) api_keys = from.api_keys;
    if (!anonymous_said) {
        anonymous_said = from.anonymous_said;
        anonymous = from.anonymous;
    }
}

tl::expected<std::shared_ptr<const Identity>, event::Error> identify_token(std::string_view token,
                                                                           const LocationSettings& location,
                                                                           ngx_log_t* log) {
    if (!location.tickets) return tl::unexpected(refused());
    auto ticket = location.tickets->verify(token, wall_now());
    if (!ticket) {
        ngx_log_error(NGX_LOG_INFO, log, 0, "weft: ticket refused: %s", ticket.error().detail.c_str());
        return tl::unexpected(refused());
    }
    if (auto used = use_once(Worker::current()->settings().ticket_zone, *location.tickets, *ticket, wall_now(), log)) {
        return tl::unexpected(*used);
    }
    ticket->grants.share();
    auto info = ticket->info.empty() ? nullptr : std::make_unique<const std::string>(std::move(ticket->info));
    return std::make_shared<const Identity>(Identity{std::move(ticket->user), std::move(ticket->grants),
                                                     ticket->expires_at, Revocations::ticket_hash(ticket->id),
                                                     wall_now(), std::move(info)});
}

Verdict identify_client(ngx_http_request_t* request, const LocationSettings& location,
                        const websocket::HandshakeAnswer& handshake) {
    const CredentialSettings& settings = location.credentials;
    if (location.tickets) {  // without, what looks like a token is somebody else's matter
        if (const auto token = find_token(request, settings, handshake)) {
            return verdict_on(*token, location, request->connection->log);
        }
    }
    if (auto known = known_to_nginx(request, settings)) return std::move(*known);
    if (settings.auth_timeout.value_or(0) > 0) return {};
    if (settings.anonymous) return {settings.anonymous, std::nullopt};
    return refuse(missing());
}

HttpVerdict identify_caller(ngx_http_request_t* request, const LocationSettings& location, bool tickets) {
    const auto& file = location.credentials.api_keys;
    std::string storage;
    std::optional<std::string> shown;
    if (file) {
        each_header(request, [&](const ngx_table_elt_t& one) {
            if (!shown && is_header(one, "x-api-key")) shown.emplace(view(one.value));
        });
    }
    if (!shown) {
        shown = find_bearer(request);
        // A ticket has dots, and a key has none.
        if (shown && tickets && (!file || shown->find('.') != std::string::npos)) {
            return {verdict_on(*shown, location, request->connection->log), false};
        }
    }
    if (!shown) return {refuse(missing()), false};
    const auto index = file ? file->keys.find(*shown) : std::nullopt;
    if (!index) {
        ngx_log_error(NGX_LOG_INFO, request->connection->log, 0, "weft: API key refused: it is none of the file's");
        return {refuse(refused()), false};
    }
    return {{file->identities[*index], std::nullopt}, true};
}

void mask_credentials(ngx_http_request_t* request, const LocationSettings& location) noexcept {
    for (const ngx_str_t& text : {request->request_line, request->unparsed_uri, request->args}) {
        mask_ticket_argument(writable(text));
    }
    each_header(request, [&](const ngx_table_elt_t& one) {
        if (is_header(one, "authorization")) {
            const auto token = behind_bearer(view(one.value));
            if (token) mask_all(writable(one.value).last(token->size()));
        }
        if (is_header(one, "x-api-key")) mask_all(writable(one.value));
        if (is_header(one, "sec-websocket-protocol")) {
            mask_bearer_protocol(writable(one.value));
            mask_bearer_pair(writable(one.value));
        }
        if (is_header(one, "cookie") && !location.credentials.cookie.value_or(std::string()).empty()) {
            mask_cookie(writable(one.value), *location.credentials.cookie);
        }
    });
}

}  // namespace weft
