#include "websocket/handshake.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace weft::websocket {
namespace {

constexpr std::string_view kSupported[] = {"weft.v1.json", "weft.v1.protobuf"};

HandshakeRequest good() {  // §1.3
    HandshakeRequest request;
    request.method = "GET";
    request.upgrade = "websocket";
    request.connection = "Upgrade";
    request.key = "dGhlIHNhbXBsZSBub25jZQ==";
    request.version = "13";
    return request;
}

HandshakeRequest offering(std::string_view protocols) {
    auto request = good();
    request.protocols = protocols;
    return request;
}

TEST(Handshake, AcceptsTheExampleOfTheRfc) {  // §1.3
    std::string storage;
    const auto answer = answer_handshake(good(), kSupported, storage);
    EXPECT_EQ(answer.status, 101) << answer.error;
    EXPECT_EQ(answer.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_EQ(answer.subprotocol, "");
    EXPECT_EQ(answer.token, "");
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(accept_for("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Handshake, AnswersEachRequestWithItsStatus) {  // §4.2.1
    using Change = std::function<void(HandshakeRequest&)>;
    const struct {
        const char* what;
        Change change;
        int status;
        std::string_view named;  // what the error speaks of
    } cases[] = {
        {"POST", [](auto& r) { r.method = "POST"; }, 405, "GET"},
        {"method in lower case", [](auto& r) { r.method = "get"; }, 405, "GET"},
        {"no method", [](auto& r) { r.method = ""; }, 405, "GET"},
        {"HTTP/1.0", [](auto& r) { r.http_minor = 0; }, 400, "HTTP/1.1"},
        {"HTTP/2", [](auto& r) { r.http_major = 2, r.http_minor = 0; }, 400, "HTTP/1.1"},
        {"HTTP/0.9", [](auto& r) { r.http_major = 0, r.http_minor = 9; }, 400, "HTTP/1.1"},
        {"no Upgrade", [](auto& r) { r.upgrade = ""; }, 400, "Upgrade"},
        {"Upgrade to something else", [](auto& r) { r.upgrade = "h2c"; }, 400, "Upgrade"},
        {"Upgrade that only contains the word", [](auto& r) { r.upgrade = "websockets"; }, 400, "Upgrade"},
        {"Upgrade in capitals", [](auto& r) { r.upgrade = "WebSocket"; }, 101, ""},
        {"Upgrade in a list", [](auto& r) { r.upgrade = "h2c, , websocket"; }, 101, ""},
        {"no Connection", [](auto& r) { r.connection = ""; }, 400, "Connection"},
        {"Connection without Upgrade", [](auto& r) { r.connection = "keep-alive"; }, 400, "Connection"},
        {"Connection in a list", [](auto& r) { r.connection = "keep-alive,UPGRADE"; }, 101, ""},
        {"Connection with blanks", [](auto& r) { r.connection = " keep-alive\t,\tupgrade "; }, 101, ""},
        {"no version", [](auto& r) { r.version = ""; }, 426, "13"},
        {"version 8", [](auto& r) { r.version = "8"; }, 426, "13"},
        {"version 013", [](auto& r) { r.version = "013"; }, 426, "13"},
        {"version 130", [](auto& r) { r.version = "130"; }, 426, "13"},
        {"two versions", [](auto& r) { r.version = "13, 13"; }, 426, "13"},
        {"old version, no key", [](auto& r) { r.version = "7", r.key = ""; }, 426, "13"},
        {"no key", [](auto& r) { r.key = ""; }, 400, "Sec-WebSocket-Key"},
        {"key of 15 bytes", [](auto& r) { r.key = "dGhlIHNhbXBsZSBub25j"; }, 400, "Sec-WebSocket-Key"},
        {"key of 17 bytes", [](auto& r) { r.key = "dGhlIHNhbXBsZSBub25jZWU="; }, 400, "Sec-WebSocket-Key"},
        {"key of 18 bytes", [](auto& r) { r.key = "dGhlIHNhbXBsZSBub25jZWVl"; }, 400, "Sec-WebSocket-Key"},
        {"key not base64", [](auto& r) { r.key = "dGhlIHNhbXBsZSBub25j*Q=="; }, 400, "Sec-WebSocket-Key"},
        {"key in base64url", [](auto& r) { r.key = "__________________-_ZQ=="; }, 400, "Sec-WebSocket-Key"},
        {"key padded inside", [](auto& r) { r.key = "dGhlIHNhbXBsZSBub25=ZQ=="; }, 400, "Sec-WebSocket-Key"},
        {"key without padding", [](auto& r) { r.key = "dGhlIHNhbXBsZSBub25jZQ"; }, 400, "Sec-WebSocket-Key"},
        {"two keys", [](auto& r) { r.key = "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="; }, 400,
         "Sec-WebSocket-Key"},
        {"key with + and /", [](auto& r) { r.key = "+/+/+/+/+/+/+/+/+/+/+w=="; }, 101, ""},
        {"key with blanks around", [](auto& r) { r.key = " dGhlIHNhbXBsZSBub25jZQ== "; }, 101, ""},
        {"body", [](auto& r) { r.has_body = true; }, 400, "body"},
        {"subprotocol that is no token", [](auto& r) { r.protocols = "weft.v1.json, a b"; }, 400, "tokens"},
        {"subprotocol in quotes", [](auto& r) { r.protocols = "\"weft.v1.json\""; }, 400, "tokens"},
    };
    for (const auto& c : cases) {
        auto request = good();
        c.change(request);
        std::string storage;
        const auto answer = answer_handshake(request, kSupported, storage);
        EXPECT_EQ(answer.status, c.status) << c.what;
        EXPECT_NE(answer.error.find(c.named), answer.error.npos) << c.what << ": " << answer.error;
        EXPECT_EQ(answer.error.empty(), c.status == 101) << c.what;
        EXPECT_EQ(answer.accept.empty(), c.status != 101) << c.what;
    }
}

TEST(Handshake, TakesBlanksAroundTheKeyForNoneOfIt) {
    auto request = good();
    request.key = "\tdGhlIHNhbXBsZSBub25jZQ== ";
    std::string storage;
    EXPECT_EQ(answer_handshake(request, kSupported, storage).accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Handshake, ChoosesASubprotocolAndFindsTheToken) {  // §4.2.2
    const struct {
        std::string_view offered;
        int status;
        std::string_view chosen;
        std::string_view token;
    } cases[] = {
        {"", 101, "", ""},
        {" , ,", 101, "", ""},
        {"weft.v1.json", 101, "weft.v1.json", ""},
        {"weft.v1.protobuf", 101, "weft.v1.protobuf", ""},
        // The client's order decides.
        {"weft.v1.protobuf, weft.v1.json", 101, "weft.v1.protobuf", ""},
        {"weft.v1.json,weft.v1.protobuf", 101, "weft.v1.json", ""},
        {"weft.v9.json, weft.v1.json", 101, "weft.v1.json", ""},
        // Names are compared to the letter, and whole.
        {"WEFT.v1.json", 400, "", ""},
        {"weft.v1.jso", 400, "", ""},
        {"weft.v1.json2", 400, "", ""},
        {"weft.v2.json", 400, "", ""},
        {"chat, superchat", 400, "", ""},
        {"bearer.abc.def.ghi", 101, "", "abc.def.ghi"},
        {"weft.v1.json, bearer.abc", 101, "weft.v1.json", "abc"},
        {"bearer.abc,weft.v1.protobuf", 101, "weft.v1.protobuf", "abc"},
        {"bearer.first, bearer.second", 101, "", "first"},
        {"bearer, abc.def", 101, "bearer", "abc.def"},
        {"bearer,abc,weft.v1.json", 101, "weft.v1.json", "abc"},
        {"weft.v1.json, bearer, abc", 101, "weft.v1.json", "abc"},
        {"weft.v1.json, bearer, bearer.abc", 101, "weft.v1.json", "bearer.abc"},
        {"bearer.first, bearer, second", 101, "bearer", "first"},
        {"bearer., bearer.second", 101, "", ""},
        {"weft.v1.json, bearer", 101, "weft.v1.json", ""},
        {"bearer", 101, "bearer", ""},
        {"bearer, chat", 101, "bearer", "chat"},
        {"bearer, abc, chat", 400, "", ""},
        {"bearer.", 101, "", ""},
        {"bearer.c29tZQ==", 101, "", "c29tZQ=="},
        {"Bearer.abc", 400, "", ""},
        {"bearer.abc, chat", 400, "", ""},
    };
    for (const auto& c : cases) {
        std::string storage;
        const auto answer = answer_handshake(offering(c.offered), kSupported, storage);
        EXPECT_EQ(answer.status, c.status) << c.offered << ": " << answer.error;
        EXPECT_EQ(answer.subprotocol, c.chosen) << c.offered;
        EXPECT_EQ(answer.token, c.token) << c.offered;
    }
}

TEST(Handshake, NamesTheSubprotocolsThatItSpeaks) {
    std::string storage;
    const auto answer = answer_handshake(offering("weft.v9.json"), kSupported, storage);
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.error.find("weft.v1.json or weft.v1.protobuf"), answer.error.npos) << answer.error;
}

TEST(Handshake, AnswersWithItsOwnCopyOfTheSubprotocol) {
    std::string storage;
    std::string offered = "weft.v1.json";
    const auto answer = answer_handshake(offering(offered), kSupported, storage);
    EXPECT_EQ(answer.subprotocol.data(), kSupported[0].data());
}

TEST(Handshake, SpeaksTheDefaultWhereNothingIsSupported) {
    std::string storage;
    EXPECT_EQ(answer_handshake(good(), {}, storage).status, 101);
    EXPECT_EQ(answer_handshake(offering("weft.v1.json"), {}, storage).status, 400);
}

}  // namespace
}  // namespace weft::websocket
