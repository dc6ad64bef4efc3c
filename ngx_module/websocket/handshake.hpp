// The opening handshake, RFC 6455 §4: what a request must say, and what is answered.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft::websocket {

/// What the HTTP layer knows of the request; views into its headers. A header that is absent is empty; header fields
/// that came several times are joined with ", ".
struct HandshakeRequest {
    std::string_view method;  // "GET"
    int http_major = 1;
    int http_minor = 1;
    std::string_view upgrade;     // a list of tokens, "websocket" among them in any case
    std::string_view connection;  // a list of tokens, "upgrade" among them in any case
    std::string_view key;
    std::string_view version;
    std::string_view protocols;  // Sec-WebSocket-Protocol
    bool has_body = false;       // Content-Length above 0 or Transfer-Encoding
};

struct HandshakeAnswer {
    int status = 101;              // or 400, 405, 426
    std::string accept;            // Sec-WebSocket-Accept, when 101
    std::string_view subprotocol;  // the chosen one, empty for none: no Sec-WebSocket-Protocol header then
    std::string_view token;        // from "bearer.<token>" or "bearer, <token>"; never echoed
    bool bearer = false;           // whether there was either, though the token may be empty
    std::string_view error;        // a sentence, when not 101
};

/// Decides. `supported` are the subprotocols that this server speaks; the client's order decides between them, since
/// clients list what they prefer first. A client that offers subprotocols (besides bearer tokens) of which none is
/// supported is answered 400, and `error` names the supported ones; one that offers none, or nothing but
/// "bearer.<token>", gets none and speaks the default. One that offers nothing but the pair "bearer, <token>" is
/// answered "bearer" and speaks the default too: browsers refuse an answer that takes nothing of their offer. A wrong
/// version is 426 (the caller adds Sec-WebSocket-Version: 13), a wrong method 405, the rest 400. The text of `error`
/// may live in `storage`.
HandshakeAnswer answer_handshake(const HandshakeRequest& request, std::span<const std::string_view> supported,
                                 std::string& storage);

/// base64(SHA-1(key + GUID)), §4.2.2.
std::string accept_for(std::string_view key);

}  // namespace weft::websocket
