// Who somebody is, by whatever they show: the one place where credentials are looked for and verified, for upgrades,
// for auth and refresh frames, and for HTTP. The order is that of PROTOCOL, "Credentials".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "auth/api_key.hpp"
#include "codec/message.hpp"
#include "gateway/connection.hpp"
#include "ngx/ngx.hpp"
#include "websocket/handshake.hpp"

namespace weft {

/// The keys of a weft_api_key file, and who they stand for; by the same index.
struct ApiKeyFile {
    ApiKeys keys;
    std::vector<std::shared_ptr<const Identity>> identities;  // the user is the key's name
};

/// What a location says of credentials, besides weft_ticket.
struct CredentialSettings {
    std::optional<std::string> cookie;           // its name; empty: none
    ngx_http_complex_value_t* user = nullptr;    // weft_user
    ngx_http_complex_value_t* grants = nullptr;  // weft_grants
    std::optional<ngx_msec_t> auth_timeout;      // 0: no auth frame is waited for
    std::optional<ngx_msec_t> expiry_notice;     // 0: none
    std::optional<bool> reject_http;             // refused credentials are answered 401, without an upgrade
    std::shared_ptr<const ApiKeyFile> api_keys;  // null: not said here
    std::shared_ptr<const Identity> anonymous;   // who comes without credentials; null: nobody may
    std::optional<bool> anonymous_said;

    void inherit(const CredentialSettings& from);
};

struct LocationSettings;

/// What came of looking for credentials.
struct Verdict {
    std::shared_ptr<const Identity> identity;  // null: refused; or nobody so far, and an auth frame is to come
    std::optional<event::Error> refusal;       // for the client: its message is a literal and says nothing of why
};

/// Who asks for an upgrade. What is wrong with refused credentials goes to the error log, without any of their bytes.
/// Whoever shows several is who the first says, and refused if that isn't good, whatever the others are.
Verdict identify_client(ngx_http_request_t* request, const LocationSettings& location,
                        const websocket::HandshakeAnswer& handshake);

/// Whose token this is, by the location's weft_ticket.
tl::expected<std::shared_ptr<const Identity>, event::Error> identify_token(std::string_view token,
                                                                           const LocationSettings& location,
                                                                           ngx_log_t* log);

/// Who sends an HTTP request that a location wants credentials for: an API key (X-API-Key or Authorization: Bearer)
/// where there is a weft_api_key, a ticket (Authorization: Bearer) where `tickets`. No cookies and no query: what a
/// browser can be made to send along is no proof here.
struct HttpVerdict : Verdict {
    bool back_end = false;  // it was an API key
};
HttpVerdict identify_caller(ngx_http_request_t* request, const LocationSettings& location, bool tickets);

/// Hides what identify_client() and identify_caller() look for from whoever logs the request later, in place.
void mask_credentials(ngx_http_request_t* request, const LocationSettings& location) noexcept;

/// Checks what nginx.conf says of credentials in a location with weft_websocket. The error is a sentence.
std::optional<std::string> check_credentials(const LocationSettings& location);

// What directives say.
char* read_cookie(ngx_conf_t* cf, CredentialSettings& settings) noexcept;
char* read_user(ngx_conf_t* cf, CredentialSettings& settings) noexcept;
char* read_grants(ngx_conf_t* cf, CredentialSettings& settings) noexcept;
char* read_anonymous(ngx_conf_t* cf, CredentialSettings& settings) noexcept;
char* read_auth_timeout(ngx_conf_t* cf, CredentialSettings& settings) noexcept;
char* read_expiry_notice(ngx_conf_t* cf, CredentialSettings& settings) noexcept;
char* read_reject(ngx_conf_t* cf, CredentialSettings& settings) noexcept;
char* read_api_keys(ngx_conf_t* cf, CredentialSettings& settings) noexcept;

}  // namespace weft
