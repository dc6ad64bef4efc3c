// What a connection does by itself: heartbeat, rate, drain, its end.
#include "gateway/connection.hpp"

#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words
using Phase = Connection::Phase;

class ConnectionTest : public ScriptedGateway {
protected:
    Client& connect_at(const EndpointSettings& at) { return connect(everything("ann"), at, wire); }
    /// Time until the client is sent something, at most `limit`.
    std::chrono::milliseconds until_sent(Client& client, std::chrono::milliseconds limit) {
        const Instant start = clock.now;
        while (client.bytes.empty() && clock.now - start < limit) pass(10ms);
        return clock.now - start;
    }
};

// --- heartbeat -------------------------------------------------------------------------------------------------------

TEST_F(ConnectionTest, ProbesASilentPeerAfterTheIntervalAtMostATenthEarly) {
    EndpointSettings at;
    at.heartbeat = 10s;
    for (int i = 0; i < 20; ++i) {
        Client& ann = connect_at(at);
        const auto time = until_sent(ann, 30s);
        EXPECT_EQ(ann.take(), Lines{"ping"});
        EXPECT_GE(time, 9s);
        EXPECT_LE(time, 10s + 2 * TimerWheel::kTick);
        hang_up(ann);
        run();
    }
}

TEST_F(ConnectionTest, DoesntProbeAllAtOnce) {
    for (int i = 0; i < 50; ++i) connect();
    std::size_t most = 0;
    std::size_t all = 0;
    for (int i = 0; i < 310; ++i) {
        pass(100ms);
        std::size_t now = 0;
        for (const auto& client : clients()) now += client->take().empty() ? 0 : 1;
        most = std::max(most, now);
        all += now;
    }
    EXPECT_EQ(all, 50U);
    EXPECT_LT(most, 20U) << "spread over a tenth of the interval";
}

TEST_F(ConnectionTest, TakesAnyTrafficForLife) {
    EndpointSettings at;
    at.heartbeat = 10s;
    at.heartbeat_timeout = 2s;
    const struct {
        const char* what;
        std::string bytes;
    } cases[] = {
        {"a message", client_frame(Opcode::text, ping(""))},
        {"a pong", client_frame(Opcode::pong, "")},
        {"a part of a frame", client_frame(Opcode::text, ping("")).substr(0, 3)},
    };
    for (const auto& [what, bytes] : cases) {
        SCOPED_TRACE(what);
        Client& ann = connect_at(at);
        pass(8s);
        receive(ann, bytes);
        run();
        ann.take();
        pass(8900ms);
        EXPECT_EQ(ann.take(), Lines{}) << "8.9 s of silence";
        pass(1300ms);
        EXPECT_EQ(ann.take(), Lines{"ping"});
    }
}

TEST_F(ConnectionTest, NeverProbesWhoKeepsTalking) {
    EndpointSettings at;
    at.heartbeat = 1s;
    Client& ann = connect_at(at);
    for (int i = 0; i < 100; ++i) {
        pass(500ms);
        receive(ann, client_frame(Opcode::pong, ""));
    }
    EXPECT_EQ(ann.take(), Lines{});
}

TEST_F(ConnectionTest, EndsWhoDoesntAnswerTheProbe) {
    EndpointSettings at;
    at.heartbeat = 10s;
    at.heartbeat_timeout = 2s;
    Client& ann = connect_at(at);
    until_sent(ann, 20s);
    EXPECT_EQ(ann.take(), Lines{"ping"});
    pass(1900ms);
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_FALSE(ann.closed());
    pass(300ms);
    EXPECT_EQ(ann.take(), Lines{"close 4019 timeout"});
    EXPECT_TRUE(ann.closed()) << "nobody is there to answer the goodbye";
    EXPECT_EQ(ann.close_code, 4019);
    EXPECT_EQ(counters.timed_out.value(), 1U);
    EXPECT_EQ(counters.active.value(), 0U);
}

TEST_F(ConnectionTest, GoesOnWithWhoAnswersTheProbe) {
    EndpointSettings at;
    at.heartbeat = 10s;
    at.heartbeat_timeout = 2s;
    Client& ann = connect_at(at);
    for (int i = 0; i < 10; ++i) {
        const auto time = until_sent(ann, 30s);
        EXPECT_GE(time, 9s - TimerWheel::kTick);
        EXPECT_LE(time, 10s + 2 * TimerWheel::kTick);
        EXPECT_EQ(ann.take(), Lines{"ping"});
        receive(ann, client_frame(Opcode::pong, ""));
    }
    EXPECT_EQ(counters.timed_out.value(), 0U);
}

TEST_F(ConnectionTest, GivesUpADeadPeerThatTakesNothingEither) {
    EndpointSettings at;
    at.heartbeat = 10s;
    at.heartbeat_timeout = 2s;
    Client& ann = connect_at(at);
    ann.room = 0;
    pass(10s + 2s + 200ms);
    ASSERT_FALSE(ann.closed());
    EXPECT_EQ(ann.socket->phase(), Phase::finished);
    pass(Connection::kCloseTimeout + 200ms);
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(ann.close_code, 4019);
}

// --- rate ------------------------------------------------------------------------------------------------------------

TEST_F(ConnectionTest, RefusesExcessMessagesUnexecutedAndSaysForHowLong) {
    EndpointSettings at;
    at.rate = {10, 4};
    Client& ann = connect_at(at);
    for (int i = 0; i < 7; ++i) say(ann, publish("chat:a", std::to_string(i), "1"));
    say(ann, "not even JSON");
    say(ann, R"({"id":"x"})");
    run();
    EXPECT_EQ(ann.take(), (Lines{"error#5 4004 retry 100", "error#6 4004 retry 100", "error 4004 retry 100",
                                 "error#x 4004 retry 100"}));
    EXPECT_EQ(weftd.take().size(), 5U);
    EXPECT_EQ(counters.rate_limited.value(), 4U);
    pass(100ms);
    EXPECT_EQ(ask(ann, ping("y")), Lines{"pong#y"}) << "whoever waits as long as told is served";
}

TEST_F(ConnectionTest, EndsWhoKeepsOnBeyondTheRate) {
    EndpointSettings at;
    at.rate = {10, 4};
    Client& ann = connect_at(at);
    std::size_t said = 0;
    while (!ann.closed() && ann.socket->phase() == Phase::open && said < 1000) {
        say(ann, ping(""));
        run();
        ++said;
    }
    EXPECT_EQ(said, 5U + 100U + 1U) << "the bucket, then a hundred that were told, then the one too much";
    const Lines lines = ann.take();
    EXPECT_EQ(lines.back(), "close 4004 rate_limited");
    EXPECT_EQ(lines.size(), 5U + 100U + 1U);
    EXPECT_EQ(counters.rate_limited.value(), 101U);
}

TEST_F(ConnectionTest, EndsWhoKeepsOnInOneReadToo) {
    EndpointSettings at;
    at.rate = {10, 4};
    Client& ann = connect_at(at);
    std::string flood;
    for (int i = 0; i < 500; ++i) flood += client_frame(Opcode::text, ping(""));
    receive(ann, flood);
    run();
    EXPECT_EQ(ann.take().back(), "close 4004 rate_limited");
    EXPECT_EQ(ann.socket->phase(), Phase::closing);
    EXPECT_EQ(counters.messages_in.value(), 5U + 100U + 1U);
}

TEST_F(ConnectionTest, AddsUpExcessThatNeverPauses) {
    EndpointSettings at;
    at.rate = {1, 0};
    Client& ann = connect_at(at);
    int seconds = 0;
    while (ann.socket->phase() == Phase::open && seconds < 1000) {
        say(ann, ping(""));
        say(ann, ping(""));
        pass(1s);
        ++seconds;
    }
    EXPECT_EQ(seconds, 101);
}

TEST_F(ConnectionTest, ForgivesExcessAfterASecondWithoutIt) {
    EndpointSettings at;
    at.rate = {1, 0};
    at.heartbeat = 1h;
    Client& ann = connect_at(at);
    for (int i = 0; i < 300; ++i) {
        say(ann, ping(""));
        say(ann, ping(""));
        pass(1100ms);
    }
    EXPECT_EQ(ann.socket->phase(), Phase::open);
    EXPECT_EQ(counters.rate_limited.value(), 300U);
}

TEST_F(ConnectionTest, CountsPingsOfTheTransportLikeMessages) {
    EndpointSettings at;
    at.rate = {10, 4};
    Client& ann = connect_at(at);
    for (int i = 0; i < 7; ++i) receive(ann, client_frame(Opcode::ping, "x"));
    run();
    EXPECT_EQ(ann.take().size(), 5U);
    for (int i = 0; i < 200; ++i) receive(ann, client_frame(Opcode::ping, "x"));
    run();
    EXPECT_EQ(ann.take(), Lines{"close 4004 rate_limited"});
}

TEST_F(ConnectionTest, LimitsNobodyWhereThereIsNoLimit) {
    EndpointSettings at;
    at.rate = {};
    Client& ann = connect_at(at);
    for (int i = 0; i < 5000; ++i) say(ann, ping(""));
    run();
    EXPECT_EQ(ann.take().size(), 5000U);
}

TEST_F(ConnectionTest, LimitsEachConnectionByItself) {
    EndpointSettings at;
    at.rate = {10, 0};
    Client& ann = connect_at(at);
    Client& bob = connect_at(at);
    ask(ann, ping(""));
    EXPECT_EQ(ask(ann, ping("1")), Lines{"error#1 4004 retry 100"});
    EXPECT_EQ(ask(bob, ping("1")), Lines{"pong#1"});
}

// --- drain -----------------------------------------------------------------------------------------------------------

TEST_F(ConnectionTest, TellsAClientToReconnectAtTheDeadlineAndEnds) {
    Client& ann = subscriber("chat:a");
    ann.socket->drain(clock.now + 3s, 0ms);
    pass(2900ms);
    EXPECT_EQ(ann.take(), Lines{});
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"}) << "served until then";
    pass(200ms);
    ASSERT_EQ(ann.take(), (Lines{"reconnect", "close 1012 reconnect"}));
    const int after = std::stoi(json_at(ann.texts[0], "/payload/after_ms"));
    EXPECT_GE(after, 100);
    EXPECT_LT(after, 1000);
    EXPECT_EQ(json_at(ann.texts[0], "/payload/reason"), "shutting_down");
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
    receive(ann, client_frame(Opcode::close, close_payload(1012)));
    run();
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(ann.close_code, 1012);
}

TEST_F(ConnectionTest, ServesAClientForTheGraceAfterItWasToldToReconnect) {
    Client& ann = subscriber("chat:a");
    ann.socket->drain(clock.now + 1s, 2s);
    pass(1100ms);
    ASSERT_EQ(ann.take(), Lines{"reconnect"});
    EXPECT_LT(std::stoi(json_at(ann.texts[0], "/payload/after_ms")), 1000) << "half the grace is left to come back in";
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"});
    EXPECT_EQ(ask(ann, ping("1")), Lines{"pong#1"});
    pass(1800ms);
    EXPECT_EQ(ann.take(), Lines{});
    pass(200ms);
    EXPECT_EQ(ann.take(), Lines{"close 1012 reconnect"});
    EXPECT_EQ(ann.socket->close_code(), 1012);
}

TEST_F(ConnectionTest, TellsAClientOnceWhenTheWorkerMustGoAtOnce) {
    Client& ann = connect();
    Client& bob = connect();
    ann.socket->drain(clock.now + 1s, 2s);
    pass(1100ms);
    ann.socket->drain_now();
    bob.socket->drain_now();
    run();
    EXPECT_EQ(ann.take(), (Lines{"reconnect", "close 1012 reconnect"}));
    EXPECT_EQ(bob.take(), (Lines{"reconnect", "close 1012 reconnect"}));
}

TEST_F(ConnectionTest, DrainsOnceWhateverIsSaidMeanwhile) {
    Client& ann = connect();
    ann.socket->drain(clock.now + 1s, 0ms);
    ann.socket->drain(clock.now + 1h, 0ms);
    for (int i = 0; i < 5; ++i) {
        pass(190ms);
        ask(ann, ping(""));
    }
    pass(200ms);
    EXPECT_EQ(ann.take(), (Lines{"reconnect", "close 1012 reconnect"}));
}

TEST_F(ConnectionTest, DrainsNothingThatIsEndingAlready) {
    Client& ann = connect();
    ann.socket->end(Code::revoked);
    ann.socket->drain(clock.now + 1h, 0ms);
    pass(Connection::kCloseTimeout + 200ms);
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(ann.close_code, 4013);
}

// --- the end ---------------------------------------------------------------------------------------------------------

TEST_F(ConnectionTest, EndsOnceWithTheFirstReason) {
    Client& ann = subscriber("chat:a");
    EXPECT_EQ(ann.socket->close_code(), 0);
    ann.socket->end(Code::revoked);
    ann.socket->end(Code::banned);
    run();
    EXPECT_EQ(ann.take(), Lines{"close 4013 revoked"});
    EXPECT_EQ(ann.socket->close_code(), 4013);
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
}

TEST_F(ConnectionTest, SaysNothingToABrokenSocket) {
    Client& ann = subscriber("chat:a");
    hang_up(ann);
    hang_up(ann);
    EXPECT_EQ(ann.socket->phase(), Phase::aborted);
    ann.socket->end(Code::revoked);
    run();
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(ann.bytes, "");
    EXPECT_EQ(ann.close_code, 1006);
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
}

TEST_F(ConnectionTest, KeepsItsCodeWhenThePeerHangsUpOnTheGoodbye) {
    Client& ann = connect();
    ann.socket->end(Code::banned);
    run();
    hang_up(ann);
    run();
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(ann.close_code, 4009);
}

TEST_F(ConnectionTest, RefusesWithAnErrorThenACloseOfTheSameCode) {
    for (const Code code : {Code::authentication_required, Code::authentication_failed, Code::banned}) {
        Client& ann = accept(endpoint, wire);
        gateway().refuse(*ann.socket, {code, "no", {}});
        say(ann, subscribe("chat:a", "1"));  // what the client sent before it could know
        run();
        const std::string number = std::to_string(static_cast<unsigned>(code));
        EXPECT_EQ(ann.take(), (Lines{"error " + number, "close " + number + " " + std::string(reason(code))}));
        EXPECT_EQ(ann.socket->user(), "");
        receive(ann, client_frame(Opcode::close, close_payload(static_cast<std::uint16_t>(code))));
        run();
        EXPECT_TRUE(ann.closed());
    }
    EXPECT_EQ(counters.refused.value(), 2U);
    EXPECT_EQ(counters.banned.value(), 1U);
    EXPECT_EQ(counters.accepted.value(), 3U);
    EXPECT_EQ(counters.active.value(), 0U);
    EXPECT_EQ(weftd.take(), Lines{});
}

TEST_F(ConnectionTest, CountsARefusalForTooManyConnectionsApart) {
    Client& ann = accept(endpoint, wire);
    gateway().refuse(*ann.socket, {Code::too_many_connections, "enough", {}});
    run();
    EXPECT_EQ(ann.take(), (Lines{"error 4015", "close 4015 too_many_connections"}));
    EXPECT_EQ(counters.too_many.value(), 1U);
    EXPECT_EQ(counters.refused.value(), 0U);
}

TEST_F(ConnectionTest, RefusesAnEchoWithoutAMessageThatItsClientWouldTakeForItsOwn) {
    endpoint.echo = true;
    Client& ann = accept(endpoint, wire);
    gateway().refuse(*ann.socket, {Code::too_many_connections, "enough", {}});
    run();
    EXPECT_EQ(ann.take(), (Lines{"close 4015 too_many_connections"}));
}

TEST_F(ConnectionTest, EndsInItsTimeWhateverThePeerDoes) {
    const struct {
        const char* what;
        Phase phase;
        std::chrono::milliseconds time;
        std::function<void(Client&)> get_there;
    } cases[] = {
        {"a peer that never answers the goodbye", Phase::closing, Connection::kCloseTimeout,
         [](Client& ann) { ann.socket->end(Code::revoked); }},
        {"a peer that broke the protocol", Phase::lingering, Connection::kLinger,
         [this](Client& ann) { receive(ann, "GET / HTTP/1.1\r\n"); }},
        {"a peer that says goodbye and reads no more", Phase::finished, Connection::kCloseTimeout,
         [this](Client& ann) {
             ann.room = 0;
             receive(ann, client_frame(Opcode::close, close_payload(1000)));
         }},
    };
    for (const auto& [what, phase, time, get_there] : cases) {
        SCOPED_TRACE(what);
        Client& ann = connect();
        get_there(ann);
        run();
        ASSERT_FALSE(ann.closed());
        EXPECT_EQ(ann.socket->phase(), phase);
        for (auto passed = 0ms; passed < time - 100ms; passed += 100ms) {
            pass(100ms);
            receive(ann, client_frame(Opcode::text, ping("")));  // traffic is no life any more
        }
        EXPECT_FALSE(ann.closed());
        pass(300ms);
        EXPECT_TRUE(ann.closed());
        EXPECT_EQ(counters.active.value(), 0U);
    }
}

TEST_F(ConnectionTest, LeavesGatewayAndWheelWhenItIsRemovedInAnyPhase) {
    for (const auto& end : std::vector<std::function<void(Client&)>>{
             [](Client&) {},
             [](Client& ann) { ann.socket->end(Code::revoked); },
             [this](Client& ann) { receive(ann, "GET / HTTP/1.1\r\n"); },
             [this](Client& ann) { hang_up(ann); },
             [this](Client& ann) { receive(ann, client_frame(Opcode::close, "")); },
             [this](Client& ann) { ann.socket->drain(clock.now + 1s, 0ms); },
         }) {
        Client& ann = subscriber("chat:a");
        say(ann, publish("chat:a", "1", "1"));
        end(ann);
        remove_now(ann);  // dirty, and with requests in flight
        EXPECT_EQ(gateway().connections(), 0U);
        EXPECT_EQ(gateway().wheel().size(), 0U);
        EXPECT_EQ(counters.subscriptions.value(), 0U);
        EXPECT_EQ(counters.active.value(), 0U);
        run();
        pass(1s);
    }
}

TEST_F(ConnectionTest, StaysSmallEnoughForAMillionOfThem) {
    EXPECT_LE(sizeof(WebSocketConnection), 256U);
}

}  // namespace
}  // namespace weft
