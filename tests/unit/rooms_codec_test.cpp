#include "codec/rooms_codec.hpp"

#include <gtest/gtest.h>

#include <string>

namespace weft {
namespace {

using namespace std::chrono_literals;

const std::string kUnnamed = "\x01";

struct Meaning {
    std::string operator()(const command::Auth& c) const { return "auth " + std::string(c.token); }
    std::string operator()(const command::Subscribe& c) const {
        return "subscribe " + std::string(c.channel) + (c.position ? " @" + std::string(*c.position) : "");
    }
    std::string operator()(const command::Unsubscribe& c) const { return "unsubscribe " + std::string(c.channel); }
    std::string operator()(const command::Publish& c) const {
        return "publish " + std::string(c.channel) + ' ' + std::string(c.data) + " #" + std::string(c.message_id);
    }
    std::string operator()(const command::Signal& c) const {
        return "signal " + std::string(c.channel) + ' ' + std::string(c.name) + ' ' + std::string(c.data);
    }
    std::string operator()(const command::Presence& c) const { return "presence " + std::string(c.channel); }
    std::string operator()(const command::Ping&) const { return "ping"; }
    std::string operator()(const auto&) const { return "something else"; }
};

/// What a message means, or why it means nothing.
std::string meaning(const std::string& message, unsigned depth = kMaxDepth) {
    RoomsCodec codec("room:", depth);
    const std::string padded = message + std::string(64, '"');
    const auto command = codec.decode(std::string_view(padded).substr(0, message.size()));
    if (!command) return "[" + command.error().id + "] " + command.error().message;
    const std::string id = command->id == kUnnamed ? "?" : std::string(command->id);
    return "[" + id + "] " + std::visit(Meaning(), command->body);
}

TEST(RoomsCodec, DecodesTheVocabulary) {
    const struct {
        const char* message;
        const char* expected;  // in brackets the id that the answer carries; ? for one that the client doesn't see
    } cases[] = {
        {R"({"type":"auth","payload":{"token":"x.y"}})", "[?] auth x.y"},
        {R"({"type":"auth","token":"x.y"})", "[?] auth x.y"},
        {R"({"type":"join_room","payload":{"room_id":"lobby"},"metadata":{"correlation_id":"c1"}})",
         "[c1] subscribe room:lobby"},
        {R"({"type":"join_room","roomId":"lobby","userId":"ada"})", "[?] subscribe room:lobby"},
        {R"({"type":"join_room","payload":{"room_id":"lobby","position":"k.7"}})", "[?] subscribe room:lobby @k.7"},
        {R"({"type":"leave_room","payload":{"room_id":"lobby"}})", "[?] unsubscribe room:lobby"},
        {R"({"type":"message","payload":{"room_id":"lobby","message":"hi"}})", R"([?] publish room:lobby "hi" #)"},
        {R"({"type":"message","payload":{"room_id":"lobby","message":{"n":1.50}},"metadata":{"message_id":"m1","timestamp":"x","client_id":"y"}})",
         R"([m1] publish room:lobby {"n":1.50} #m1)"},
        {R"({"type":"message","payload":{"room_id":"l","message":"\u00e4"},"metadata":{"message_id":"m1","correlation_id":"c"}})",
         R"([c] publish room:l "\u00e4" #m1)"},
        {R"({"type":"message","roomId":"lobby","text":"hi","messageId":"m2"})", R"([m2] publish room:lobby "hi" #m2)"},
        {R"({"type":"typing_start","payload":{"room_id":"lobby"}})", "[] signal room:lobby typing_start "},
        {R"({"type":"typing_stop","roomId":"lobby"})", "[] signal room:lobby typing_stop "},
        {R"({"type":"read_receipt","payload":{"room_id":"lobby","message_id":"m1","user_id":"somebody else"}})",
         R"([] signal room:lobby read_receipt {"message_id":"m1"})"},
        {R"({"type":"presence_update","payload":{"room_id":"lobby","status":"away"}})",
         R"([] signal room:lobby presence_update {"status":"away"})"},
        {R"({"type":"presence_query","payload":{"room_id":"lobby"},"metadata":{"correlation_id":"q"}})",
         "[q] presence room:lobby"},
        {R"({"type":"ping"})", "[?] ping"},
        {R"({"type":"ping","metadata":{"correlation_id":"\u0031"}})", "[1] ping"},
    };
    for (const auto& [message, expected] : cases) EXPECT_EQ(meaning(message), expected) << message;
}

TEST(RoomsCodec, SaysWhatIsWrong) {
    const struct {
        std::string message;
        const char* expected;
    } cases[] = {
        {"", "[] not valid JSON at byte 0: expected a value"},
        {"[1]", R"([] the message is not a JSON object: expected {"type": ..., "payload": {...}})"},
        {R"({"type":"ping",})", "[] not valid JSON at byte 15: expected a member's name in quotes"},
        {R"({"type":"dance"})", R"([] unknown type "dance")"},
        {R"({"payload":{}})", R"([] "type" is missing: expected a string)"},
        {R"({"type":"ping","payload":1})", R"([] "payload" is not an object: expected an object)"},
        {R"({"type":"join_room","metadata":{"correlation_id":"c"}})",
         R"([c] "room_id" is missing: expected a string of 1 to 255 bytes)"},
        {R"({"type":"join_room","payload":{"room_id":7}})",
         R"([] "room_id" is not a string: expected a string of 1 to 255 bytes)"},
        {R"({"type":"join_room","payload":{"room_id":""}})",
         R"([] "room_id" is empty: expected a string of 1 to 255 bytes)"},
        {R"({"type":"join_room","payload":{"room_id":"a b"}})",
         R"([] "room_id" is no name of a room: expected at most 255 bytes of A-Z a-z 0-9 _ - . : / @ =, the prefix included)"},
        {R"({"type":"join_room","payload":{"room_id":")" + std::string(251, 'x') + "\"}}",
         R"([] "room_id" is no name of a room: expected at most 255 bytes of A-Z a-z 0-9 _ - . : / @ =, the prefix included)"},
        {R"({"type":"message","payload":{"room_id":"r"}})", R"([] "message" is missing: expected any JSON value)"},
        {R"({"type":"message","payload":{"room_id":"r","message":1,"message_id":""}})",
         R"([] "message_id" is empty: expected a string of 1 to 64 bytes without control characters)"},
        {R"({"type":"auth"})", R"([] "token" is missing: expected a string of 1 to 8192 bytes)"},
        {R"({"type":"ping","metadata":{"correlation_id":"\u0001"}})",
         R"([] "correlation_id" is not usable: expected a string of at most 64 bytes without control characters)"},
    };
    for (const auto& [message, expected] : cases) EXPECT_EQ(meaning(message), expected) << message;
    EXPECT_EQ(meaning(R"({"type":"message","room_id":"r","message":[[[]]]})", 3),
              "[] not valid JSON at byte 44: nested too deep");
}

std::string spelt(const ServerFrame& frame) {
    std::string out;
    RoomsCodec("room:").encode(frame, out);
    return out;
}

TEST(RoomsCodec, EncodesTheVocabulary) {
    constexpr WallTime kTime{1'769'862'896'789ms};
    constexpr Publisher kAda{"ada", 0xa1};
    const Member member{0xb2, 0xa1, "ada", R"({"name":"Ada"})"};
    const struct {
        ServerFrame frame;
        const char* expected;
    } cases[] = {
        {{{}, event::Established{0xa1, "ada", kTime, 30s, "n", {}}},
         R"({"type":"connection_established","payload":{"client_id":"00000000000000a1","user_id":"ada","server_time":"2026-01-31T12:34:56.789Z","heartbeat_ms":30000}})"},
        {{kUnnamed, event::Established{0xa1, "ada", kTime, 30s, "n", {}}},
         R"({"type":"auth_response","payload":{"success":true,"client_id":"00000000000000a1","user_id":"ada","server_time":"2026-01-31T12:34:56.789Z","heartbeat_ms":30000}})"},
        {{"c1", event::Subscribed{"room:lobby", "k.7", true, true, 0, 2}},
         R"({"type":"room_joined","payload":{"room_id":"lobby","position":"k.7","recovered":true,"members":2},"metadata":{"correlation_id":"c1"}})"},
        {{kUnnamed, event::Unsubscribed{"room:lobby", std::nullopt}},
         R"({"type":"room_left","payload":{"room_id":"lobby"}})"},
        {{{}, event::Unsubscribed{"room:lobby", Code::permission_denied}},
         R"({"type":"room_left","payload":{"room_id":"lobby","code":4010,"reason":"permission_denied"}})"},
        {{"m7", event::Published{"m7", "k.7"}},
         R"({"type":"message_sent","payload":{"message_id":"m7","position":"k.7"},"metadata":{"message_id":"m7","correlation_id":"m7"}})"},
        {{{}, event::Event{"room:lobby", R"("hi")", "k.7", "m7", kTime, kAda}},
         R"({"type":"chat_message","payload":{"room_id":"lobby","sender_id":"ada","client_id":"00000000000000a1","message":"hi","message_id":"m7","timestamp":"2026-01-31T12:34:56.789Z","position":"k.7"},"metadata":{"message_id":"m7","timestamp":"2026-01-31T12:34:56.789Z"}})"},
        {{{}, event::Signal{"room:lobby", "typing_start", {}, kAda}},
         R"({"type":"typing_start","payload":{"room_id":"lobby","user_id":"ada","client_id":"00000000000000a1"}})"},
        {{{}, event::Signal{"room:lobby", "read_receipt", R"({"message_id":"m1"})", kAda}},
         R"({"type":"read_receipt","payload":{"room_id":"lobby","user_id":"ada","client_id":"00000000000000a1","message_id":"m1"}})"},
        {{{}, event::Signal{"room:lobby", "cursor", "[1]", kAda}},
         R"({"type":"signal","payload":{"channel":"room:lobby","name":"cursor","data":[1],"publisher":{"user":"ada","client_id":"00000000000000a1"}}})"},
        {{"q", event::Members{"room:lobby", {&member, 1}, 1, 1, true, true}},
         R"({"type":"room_members","payload":{"room_id":"lobby","members":[{"user_id":"ada","client_id":"00000000000000a1","info":{"name":"Ada"}}],"count":1},"metadata":{"correlation_id":"q"}})"},
        {{{}, event::MemberChange{"room:lobby", member, true, true, 0}},
         R"({"type":"presence_update","payload":{"room_id":"lobby","user_id":"ada","client_id":"00000000000000a1","status":"offline","count":0}})"},
        {{kUnnamed, event::Pong{}}, R"({"type":"pong","payload":{}})"},
        {{"c", event::Error{Code::rate_limited, "too many", 250ms}},
         R"({"type":"error","payload":{"message":"too many","code":4004,"reason":"rate_limited","retry_after_ms":250},"metadata":{"correlation_id":"c"}})"},
        {{{}, event::Reconnect{1s, "reload"}}, R"({"type":"reconnect","payload":{"after_ms":1000,"reason":"reload"}})"},
        {{kUnnamed, event::RpcResponse{}}, R"({"type":"rpc_response","payload":{"result":null}})"},
    };
    for (const auto& [frame, expected] : cases) EXPECT_EQ(spelt(frame), expected);
}

TEST(RoomsCodec, NobodySaysTheyAreSomebodyElse) {
    const std::string said = spelt(
        {{},
         event::Signal{
             "room:r", "presence_update", R"({"user_id":"root","status":{"a":[1]},"client_id":"0"})", {"ada", 0xa1}}});
    EXPECT_EQ(
        said,
        R"({"type":"presence_update","payload":{"room_id":"r","user_id":"ada","client_id":"00000000000000a1","status":{"a":[1]}}})");
}

}  // namespace
}  // namespace weft
