// The header fields of an upgrade request, one a line: method, Upgrade, Connection, Sec-WebSocket-Key, -Version,
// -Protocol. An empty line stands for the good value, so that what lies behind the first checks is reached.
#include "websocket/handshake.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace weft::websocket;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

std::string_view next_line(std::string_view& rest, std::string_view otherwise) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    return line.empty() ? otherwise : line;
}

bool within(std::string_view part, std::string_view whole) {
    return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

bool is_sixteen_bytes(std::string_view key) {
    const auto trimmed = key.substr(std::min(key.find_first_not_of(" \t"), key.size()));
    if (trimmed.size() < 24 || trimmed.find_first_not_of(" \t", 24) != trimmed.npos) return false;
    unsigned char decoded[18];
    return trimmed.substr(22, 2) == "==" && trimmed.find('=') == 22 &&
           EVP_DecodeBlock(decoded, reinterpret_cast<const unsigned char*>(trimmed.data()), 24) == 18;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::string_view kSupported[] = {"weft.v1.json", "weft.v1.protobuf"};
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    HandshakeRequest request;
    request.method = next_line(rest, "GET");
    request.upgrade = next_line(rest, "websocket");
    request.connection = next_line(rest, "Upgrade");
    request.key = next_line(rest, "dGhlIHNhbXBsZSBub25jZQ==");
    request.version = next_line(rest, "13");
    request.protocols = next_line(rest, "");

    std::string storage;
    const auto answer = answer_handshake(request, kSupported, storage);
    if (answer.status != 101) {
        require(answer.status == 400 || answer.status == 405 || answer.status == 426, "a status of its own");
        require(!answer.error.empty() && answer.accept.empty(), "a refusal that is none");
        require(answer.error.find_first_of("\r\n") == answer.error.npos, "an error that breaks a header");
        return 0;
    }
    require(answer.error.empty() && answer.accept.size() == 28, "an acceptance that is none");
    require(request.method == "GET" && is_sixteen_bytes(request.key), "a request that isn't to be accepted");
    const bool spoken = std::ranges::find(kSupported, answer.subprotocol) != std::end(kSupported);
    // Who offers the pair ["bearer", TOKEN] alone is answered the first of it, since browsers insist on one.
    const bool pair = answer.subprotocol == "bearer" && answer.bearer;
    require(answer.subprotocol.empty() || spoken || pair, "a subprotocol that isn't spoken");
    require(request.protocols.find(answer.subprotocol) != request.protocols.npos, "a subprotocol that wasn't offered");
    require(answer.token.empty() || within(answer.token, request.protocols), "a token from somewhere else");
    require(answer.token.find(',') == answer.token.npos, "a token that is two");
    return 0;
}
