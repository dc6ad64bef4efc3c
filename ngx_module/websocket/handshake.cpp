#include "websocket/handshake.hpp"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>

#include "websocket/header_text.hpp"

namespace weft::websocket {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
constexpr std::string_view kBearer = "bearer.";
constexpr std::string_view kPair = "bearer";  // the next element is the token

std::string_view trim(std::string_view text) noexcept {
    const auto first = text.find_first_not_of(kBlanks);
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The next element of a comma-separated list, trimmed, off the front of `list`; empty elements are passed over (RFC
// 9110 §5.6.1). Empty at the list's end.
std::string_view next_element(std::string_view& list) noexcept {
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        const auto element = trim(list.substr(0, comma));
        list.remove_prefix(std::min(comma + 1, list.size()));
        if (!element.empty()) return element;
    }
    return {};
}

// `wanted` is in lower case.
bool lists(std::string_view list, std::string_view wanted) noexcept {
    for (auto element = next_element(list); !element.empty(); element = next_element(list)) {
        if (std::ranges::equal(element, wanted, {}, lower)) return true;
    }
    return false;
}

// A token of RFC 9110 §5.6.2, which is what §4.1 wants a subprotocol's name to be.
bool is_token(std::string_view text) noexcept {
    return std::ranges::all_of(text, is_token_character);
}

// Whether `key` is base64 of 16 bytes (§4.2.1): 22 digits and "==". The last digit's four idle bits are not looked
// at: clients that make up digits instead of encoding bytes leave something in them.
bool is_key(std::string_view key) noexcept {
    constexpr std::size_t kDigits = 22;
    if (key.size() != kDigits + 2 || !key.ends_with("==")) return false;
    return std::ranges::all_of(key.substr(0, kDigits),
                               [](char c) { return is_alphanumeric(c) || c == '+' || c == '/'; });
}

HandshakeAnswer refuse(int status, std::string_view error) {
    HandshakeAnswer answer;
    answer.status = status;
    answer.error = error;
    return answer;
}

std::string unsupported(std::span<const std::string_view> supported) {
    std::string text = "None of the offered WebSocket subprotocols is spoken here, expected ";
    for (std::size_t i = 0; i < supported.size(); ++i) {
        if (i > 0) text += i + 1 == supported.size() ? " or " : ", ";
        text += supported[i];
    }
    if (supported.empty()) text += "none";
    return text;
}

}  // namespace

HandshakeAnswer answer_handshake(const HandshakeRequest& request, std::span<const std::string_view> supported,
                                 std::string& storage) {
    if (request.method != "GET") return refuse(405, "A WebSocket handshake must be a GET request");
    if (request.http_major != 1 || request.http_minor < 1) {
        return refuse(400, "A WebSocket handshake must be an HTTP/1.1 request");
    }
    if (!lists(request.upgrade, "websocket")) return refuse(400, "The Upgrade header must name websocket");
    if (!lists(request.connection, "upgrade")) return refuse(400, "The Connection header must name Upgrade");
    // Before the key: the key belongs to a version, and drafts before 13 had others.
    if (trim(request.version) != "13") return refuse(426, "Sec-WebSocket-Version must be 13");
    const auto key = trim(request.key);
    if (!is_key(key)) return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64, once");
    if (request.has_body) return refuse(400, "A WebSocket handshake can't have a body");

    HandshakeAnswer answer;
    bool offered = false;
    bool pair = false;
    auto list = request.protocols;
    for (auto name = next_element(list); !name.empty(); name = next_element(list)) {
        if (name.starts_with(kBearer)) {
            if (!answer.bearer) answer.token = name.substr(kBearer.size());
            answer.bearer = true;
            continue;
        }
        if (name == kPair) {
            const auto token = next_element(list);
            if (!answer.bearer) answer.token = token;
            answer.bearer = true;
            pair = true;
            continue;
        }
        if (!is_token(name)) return refuse(400, "Sec-WebSocket-Protocol must be a list of tokens");
        offered = true;
        if (!answer.subprotocol.empty()) continue;
        // The server's own bytes, so that what is answered outlives the request.
        const auto found = std::ranges::find(supported, name);
        if (found != supported.end()) answer.subprotocol = *found;
    }
    if (offered && answer.subprotocol.empty()) {
        storage = unsupported(supported);
        return refuse(400, storage);
    }
    if (!offered && pair) answer.subprotocol = kPair;
    answer.accept = accept_for(key);
    return answer;
}

std::string accept_for(std::string_view key) {
    std::string text;
    text.reserve(key.size() + kGuid.size());
    text.append(key).append(kGuid);
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    unsigned char encoded[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];  // EVP_EncodeBlock ends it with a zero byte
    const int size = EVP_EncodeBlock(encoded, digest, SHA_DIGEST_LENGTH);
    return {reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size)};
}

}  // namespace weft::websocket
