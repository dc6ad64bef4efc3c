// A client over WebSocket: what its frames do, and how it ends.
#include "gateway/websocket_connection.hpp"

#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words
using Phase = Connection::Phase;
using websocket::test::FrameShape;

class WebSocketConnectionTest : public ScriptedGateway {};

TEST_F(WebSocketConnectionTest, TakesMessagesHoweverTheyAreCut) {
    Client& ann = connect();
    std::string bytes = client_frame(Opcode::text, ping("whole"));
    const std::string message = ping("fragments");
    bytes += client_frame(Opcode::text, message.substr(0, 5), {.final = false});
    bytes += client_frame(Opcode::ping, "between");
    bytes += client_frame(Opcode::continuation, message.substr(5), {.key = "\x01\x02\x03\x04"});
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
        for (std::size_t at = 0; at < bytes.size(); at += piece) receive(ann, bytes.substr(at, piece));
        run();
        EXPECT_EQ(ann.take(), (Lines{"pong#whole", "pong between", "pong#fragments"}));
    }
    EXPECT_EQ(counters.messages_in.value(), 6U);
    EXPECT_EQ(counters.bytes_in.value(), 3 * bytes.size());
}

TEST_F(WebSocketConnectionTest, AnswersBadMessagesAndGoesOn) {
    Client& ann = connect();
    const struct {
        const char* message;
        const char* answer;
    } cases[] = {
        {"", "error 4006"},
        {"nonsense", "error 4006"},
        {"[]", "error 4006"},
        {R"({"id":"1"})", "error#1 4006"},
        {R"({"type":"dance","id":"2"})", "error#2 4006"},
        {R"({"type":"subscribe","id":"3"})", "error#3 4006"},
        {R"({"type":"publish","id":"4","payload":{"channel":"chat:a"}})", "error#4 4006"},
        {R"({"type":"subscribe","id":"5","payload":{"channel":"no way"}})", "error#5 4006"},
        {R"({"type":"ping","id":"6"})", "pong#6"},
    };
    for (const auto& [message, answer] : cases) EXPECT_EQ(ask(ann, message), Lines{answer}) << message;
    EXPECT_EQ(counters.errors.value(), 8U);
}

TEST_F(WebSocketConnectionTest, RefusesTheWrongKindOfMessageWith1003) {
    CountingCodec binary(true);
    WebSocketWire other(1, binary);
    Client& ann = connect();
    Client& bob = connect(everything("bob"), endpoint, other);
    receive(ann, client_frame(Opcode::binary, ping("1")) + client_frame(Opcode::text, ping("2")));
    receive(bob, client_frame(Opcode::binary, ping("1")) + client_frame(Opcode::text, ping("2")));
    run();
    EXPECT_EQ(ann.take(), Lines{"close 1003 this subprotocol takes text messages only"}) << "and nothing behind it";
    EXPECT_EQ(bob.take(), (Lines{"pong#1", "close 1003 this subprotocol takes binary messages only"}));
    EXPECT_EQ(ann.socket->phase(), Phase::closing);
    hang_up(bob);
    run();
}

TEST_F(WebSocketConnectionTest, EndsOnViolationsWithTheCodeOfTheRfc) {
    EndpointSettings at;
    at.max_message = 100;
    const struct {
        const char* what;
        std::string bytes;
        int code;
    } cases[] = {
        {"not masked", client_frame(Opcode::text, ping(""), {.masked = false}), 1002},
        {"a reserved bit", client_frame(Opcode::text, ping(""), {.reserved = 0x40}), 1002},
        {"a reserved opcode", client_frame(std::uint8_t{3}, "x"), 1002},
        {"a continuation of nothing", client_frame(Opcode::continuation, "x"), 1002},
        {"a close code that can't be sent", client_frame(Opcode::close, close_payload(1005)), 1002},
        {"not UTF-8", client_frame(Opcode::text, "\xff"), 1007},
        {"too long", client_frame(Opcode::text, std::string(101, ' ')), 1009},
    };
    for (const auto& [what, bytes, code] : cases) {
        SCOPED_TRACE(what);
        Client& ann = connect(everything("ann"), at, wire);
        receive(ann, client_frame(Opcode::text, ping("before")) + bytes + client_frame(Opcode::text, ping("behind")));
        receive(ann, client_frame(Opcode::text, ping("later")) + client_frame(Opcode::close, ""));
        run();
        const Lines lines = ann.take();
        ASSERT_EQ(lines.size(), 2U);
        EXPECT_EQ(lines[0], "pong#before");
        EXPECT_EQ(lines[1].substr(0, 10), "close " + std::to_string(code));
        ASSERT_FALSE(ann.closed());
        EXPECT_EQ(ann.socket->phase(), Phase::lingering) << "what follows can't be understood";
        EXPECT_EQ(ann.socket->close_code(), code);
    }
}

TEST_F(WebSocketConnectionTest, AnswersPingsWithTheirPayload) {
    Client& ann = connect();
    receive(ann, client_frame(Opcode::ping, "") + client_frame(Opcode::ping, std::string(125, 'p')));
    run();
    EXPECT_EQ(ann.take(), (Lines{"pong ", "pong " + std::string(125, 'p')}));
}

TEST_F(WebSocketConnectionTest, QueuesNoMorePongsThanMayWait) {
    EndpointSettings at;
    at.rate = {};
    at.send_queue = 1000;
    Client& ann = connect(everything("ann"), at, wire);
    ann.room = 0;
    for (int i = 0; i < 1000; ++i) receive(ann, client_frame(Opcode::ping, std::string(125, 'p')));
    EXPECT_LE(ann.socket->queue().bytes(), 1000U + 127U);
    run();
    EXPECT_EQ(ann.socket->close_code(), 4014) << "it reads nothing";
}

TEST_F(WebSocketConnectionTest, AnswersACloseWithItsCodeAndIsGone) {
    const struct {
        std::string payload;
        const char* answer;
        int code;
    } cases[] = {
        {close_payload(1000, "bye"), "close 1000 ", 1000},
        {close_payload(1001), "close 1001 ", 1001},
        {close_payload(3999), "close 3999 ", 3999},
        {"", "close 1000 ", 1000},
    };
    for (const auto& [payload, answer, code] : cases) {
        Client& ann = subscriber("chat:a");
        receive(ann, client_frame(Opcode::text, ping("1")) + client_frame(Opcode::close, payload) +
                         client_frame(Opcode::text, ping("2")));
        EXPECT_EQ(ann.socket->phase(), Phase::finished);
        receive(ann, client_frame(Opcode::text, ping("3")));
        run();
        EXPECT_EQ(ann.take(), (Lines{"pong#1", answer}));
        EXPECT_TRUE(ann.closed());
        EXPECT_EQ(ann.close_code, code);
        EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
    }
}

TEST_F(WebSocketConnectionTest, WritesWhatWasQueuedBeforeItAnswersAClose) {
    Client& ann = subscriber("chat:a");
    ann.room = 10;
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    receive(ann, client_frame(Opcode::close, close_payload(1000)));
    run();
    EXPECT_FALSE(ann.closed());
    ann.room = SIZE_MAX;
    flush_now(ann);
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "close 1000 "}));
    EXPECT_TRUE(ann.closed());
}

TEST_F(WebSocketConnectionTest, IgnoresMessagesAfterItsOwnGoodbyeAndWaitsForTheAnswer) {
    Client& ann = connect();
    ann.socket->end(Code::revoked);
    receive(ann, client_frame(Opcode::text, publish("chat:a", "1", "1")) + client_frame(Opcode::ping, "x") +
                     client_frame(Opcode::binary, "x"));
    run();
    EXPECT_EQ(ann.take(), Lines{"close 4013 revoked"});
    EXPECT_FALSE(ann.closed());
    EXPECT_EQ(ann.socket->phase(), Phase::closing);
    EXPECT_EQ(weftd.take(), Lines{});
    EXPECT_EQ(counters.messages_in.value(), 0U);
    receive(ann, client_frame(Opcode::close, close_payload(4013)));
    run();
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(ann.bytes, "") << "one close frame is enough";
}

TEST_F(WebSocketConnectionTest, LingersWhenGarbageFollowsItsGoodbye) {
    Client& ann = connect();
    ann.socket->end(Code::revoked);
    receive(ann, "\xff\xff\xff");
    run();
    EXPECT_EQ(ann.take(), Lines{"close 4013 revoked"});
    EXPECT_EQ(ann.socket->phase(), Phase::lingering);
    receive(ann, client_frame(Opcode::close, ""));
    run();
    EXPECT_EQ(ann.socket->phase(), Phase::lingering);
    pass(Connection::kLinger + 200ms);
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(ann.close_code, 4013);
}

TEST_F(WebSocketConnectionTest, CutsAGoodbyesReasonToWhatACloseFrameHolds) {
    Client& ann = connect();
    ann.socket->end(4000, std::string(300, 'r'));
    run();
    EXPECT_EQ(ann.take(), Lines{"close 4000 " + std::string(123, 'r')});
}

TEST_F(WebSocketConnectionTest, GoesOnWithTheRestOfAReadAfterABadMessage) {
    Client& ann = connect();
    receive(ann, client_frame(Opcode::text, "?") + client_frame(Opcode::text, ping("2")));
    run();
    EXPECT_EQ(ann.take(), (Lines{"error 4006", "pong#2"}));
}

// Frames that are right in part, and bytes that are not frames: the sanitizers watch, and whatever came, the connection
// ends in its time and leaves nothing behind.
TEST_F(WebSocketConnectionTest, SurvivesGarbage) {
    const std::vector<std::string> seeds = {
        client_frame(Opcode::text, subscribe("chat:a", "1")),
        client_frame(Opcode::text, publish("chat:a", "2", R"({"a":[1,"b\u0000"]})")),
        client_frame(Opcode::text, unsubscribe("chat:a", "3")),
        client_frame(Opcode::text, resume("chat:a", "4", "k.1_j.2")),
        client_frame(Opcode::text, rpc("weft.echo", "5", R"(,"params":[])")),
        client_frame(Opcode::binary, "\x00\x01"),
        client_frame(Opcode::ping, "p"),
        client_frame(Opcode::close, close_payload(1000, "x")),
        client_frame(Opcode::text, "{\"type\"", {.final = false}),
        client_frame(Opcode::continuation, ":\"ping\"}"),
    };
    EndpointSettings at;
    at.max_message = 4096;
    for (std::uint32_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937 random(seed);
        Client& ann = connect(everything("eve"), at, wire);
        for (int i = 0; i < 30; ++i) {
            std::string bytes = seeds[random() % seeds.size()];
            if (random() % 4 == 0) bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
            if (random() % 16 == 0) bytes.resize(random() % bytes.size());
            if (random() % 64 == 0) {
                for (int n = 0; n < 50; ++n) bytes += static_cast<char>(random());
            }
            for (std::size_t piece; !bytes.empty(); bytes.erase(0, piece)) {
                piece = 1 + random() % bytes.size();
                receive(ann, bytes.substr(0, piece));
                if (random() % 4 == 0) run();
            }
        }
        run();
        for (const std::string& line : ann.take()) ASSERT_EQ(line.find("NOT JSON"), std::string::npos);
        hang_up(ann);
        run();
        ASSERT_TRUE(ann.closed());
        clients().clear();
    }
    EXPECT_EQ(gateway().connections(), 0U);
    EXPECT_EQ(counters.subscriptions.value(), 0U);
    EXPECT_EQ(counters.active.value(), 0U);
    EXPECT_EQ(counters.link_up.value(), 1U);
}

}  // namespace
}  // namespace weft
