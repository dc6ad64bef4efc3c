// Who a client is, told by its first message; and what becomes of a connection when its ticket ends.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

std::string auth(std::string_view token, std::string_view id = {}) {
    return R"({"type":"auth")" + with_id(id) + R"(,"payload":{"token":")" + std::string(token) + "\"}}";
}
std::string refresh(std::string_view token, std::string_view id = {}) {
    return R"({"type":"refresh")" + with_id(id) + R"(,"payload":{"token":")" + std::string(token) + "\"}}";
}

class IdentityTest : public ScriptedGateway {
protected:
    IdentityTest() {
        endpoint.auth_timeout = 10s;
        endpoint.expiry_notice = 30s;
        endpoint.leeway = 5s;
    }

    /// Somebody who may subscribe to channels of `pattern` for so long.
    std::shared_ptr<const Identity> ticket(std::string user, std::chrono::milliseconds lifetime,
                                           std::string_view pattern = "**") {
        auto identity = std::make_shared<Identity>();
        identity->user = std::move(user);
        identity->grants.add_channels(*ChannelPattern::parse(pattern), 31);
        identity->expires_at = clock.wall + lifetime;
        return identity;
    }
    Client& connect_with(std::shared_ptr<const Identity> identity) {
        return connect(std::move(identity), endpoint, wire);
    }
    /// A client that has yet to say who it is.
    Client& stranger() {
        Client& client = accept(endpoint, wire);
        gateway().await_auth(*client.socket);
        run();
        EXPECT_EQ(client.take(), Lines{});
        return client;
    }
    void join(Client& client, std::string_view channel) {
        say(client, subscribe(channel, {}));
        run();
        EXPECT_EQ(client.take(), Lines{"subscribed " + std::string(channel) + " @" + weftd.position});
        weftd.take();
    }
    /// Lets time pass up to `limit` until the client is sent something other than pings, which it answers.
    std::chrono::milliseconds until_told(Client& client, Lines& told, std::chrono::milliseconds limit) {
        const Instant start = clock.now;
        told.clear();
        while (told.empty() && clock.now - start < limit) {
            pass(50ms);
            told = client.take();
            if (told == Lines{"ping"}) {
                told.clear();
                receive(client, client_frame(Opcode::pong, ""));
            }
        }
        return clock.now - start;
    }
};

// --- auth --------------------------------------------------------------------------------------------------------

TEST_F(IdentityTest, GreetsAStrangerOnceItsFirstMessageSaysWhoItIs) {
    tokens["good"] = everything("ann");
    Client& ann = stranger();
    EXPECT_EQ(ask(ann, auth("good", "a1")), Lines{"connection_established#a1"});
    EXPECT_EQ(json_at(ann.texts.at(0), "/payload/user"), "ann");
    EXPECT_EQ(ask(ann, ping("p")), Lines{"pong#p"});
    pass(12s);
    EXPECT_FALSE(ann.closed()) << "the time for saying who one is is not the time that one may stay";
    EXPECT_EQ(counters.active.value(), 1U);
    EXPECT_EQ(counters.accepted.value(), 1U);
}

TEST_F(IdentityTest, ClosesAStrangerThatSaysNothingInTime) {
    Client& ann = stranger();
    pass(9900ms);
    EXPECT_EQ(ann.take(), Lines{}) << "no ping either";
    pass(200ms);
    EXPECT_EQ(ann.take(), (Lines{"error 4001", "close 4001 authentication_required"}));
    EXPECT_EQ(counters.refused.value(), 1U);
}

TEST_F(IdentityTest, DoesNotLetPingsWinAStrangerTime) {
    Client& ann = stranger();
    for (int i = 0; i < 100; ++i) {
        receive(ann, client_frame(Opcode::ping, "x"));
        pass(100ms);
    }
    pass(100ms);
    const Lines told = ann.take();
    ASSERT_GE(told.size(), 2U);
    EXPECT_EQ(told.back(), "close 4001 authentication_required");
}

TEST_F(IdentityTest, LetsAStrangerDoNothingElse) {
    tokens["good"] = everything("ann");
    const struct {
        std::string message;
        std::string error;
    } kCases[] = {
        {subscribe("chat:a", "1"), "error#1 4001"},
        {publish("chat:a", "1", "1"), "error#1 4001"},
        {send_signal("chat:a", "1", "n"), "error#1 4001"},
        {rpc("weft.time", "1"), "error#1 4001"},
        {unsubscribe("chat:a", "1"), "error#1 4001"},
        {ping("1"), "error#1 4001"},
        {refresh("good", "1"), "error#1 4001"},
        {R"({"type":"dance","id":"1"})", "error#1 4001"},
        {R"({"type":"auth","id":"1"})", "error#1 4001"},
        {"[]", "error 4001"},
        {"{", "error 4001"},
    };
    for (const auto& [message, error] : kCases) {
        Client& ann = stranger();
        EXPECT_EQ(ask(ann, message), (Lines{error, "close 4001 authentication_required"})) << message;
        EXPECT_EQ(ask(ann, auth("good")), Lines{}) << "too late: " << message;
    }
    EXPECT_EQ(weftd.take(), Lines{}) << "weftd heard nothing of it";
}

TEST_F(IdentityTest, ClosesAStrangerWhoseTokenIsNotAccepted) {
    Client& ann = stranger();
    EXPECT_EQ(ask(ann, auth("forged", "a")), (Lines{"error#a 4002", "close 4002 authentication_failed"}));
    EXPECT_EQ(counters.refused.value(), 1U);
    Client& bob = stranger();
    EXPECT_EQ(ask(bob, auth("full", "a")), (Lines{"error#a 4015", "close 4015 too_many_connections"}));
    EXPECT_EQ(counters.too_many.value(), 1U);
}

TEST_F(IdentityTest, BoundsAStrangersMessage) {
    tokens["good"] = everything("ann");
    endpoint.max_message = 1 << 20;
    Client& ann = stranger();
    say(ann, auth("good", std::string(Connection::kMaxAuthMessage, 'x')));
    run();
    EXPECT_EQ(ann.take().back().substr(0, 10), "close 1009");
    endpoint.max_message = 128;
    const std::string token(kMaxToken, 't');
    tokens[token] = everything("bob");
    Client& bob = stranger();
    EXPECT_EQ(ask(bob, auth(token)), Lines{"connection_established"}) << "a token fits whatever messages may have";
    say(bob, ping(std::string(200, 'x')));
    run();
    EXPECT_EQ(bob.take().back().substr(0, 10), "close 1009") << "which holds from then on";
}

TEST_F(IdentityTest, TakesAuthFirstOnly) {
    tokens["good"] = everything("eve");
    Client& ann = connect();
    EXPECT_EQ(ask(ann, auth("good", "a")), Lines{"error#a 4006"});
    EXPECT_EQ(ann.socket->user(), "ann");
    EXPECT_EQ(ask(ann, ping("p")), Lines{"pong#p"});
}

TEST_F(IdentityTest, SendsAStrangerAwayWithoutGreetingWhenTheWorkerGoes) {
    Client& ann = stranger();
    ann.socket->drain(clock.now + 60s, 3s);
    pass(7s);
    EXPECT_EQ(ann.take(), Lines{"close 1012 reconnect"});
}

// --- the ticket's end --------------------------------------------------------------------------------------------

TEST_F(IdentityTest, TellsTheTicketsEndAheadAndThenEndsTheConnectionWithinTheLeeway) {
    for (int i = 0; i < 10; ++i) {
        Client& ann = connect_with(ticket("ann", 120s));
        Lines told;
        const auto notice = until_told(ann, told, 200s);
        EXPECT_EQ(told, Lines{"error 4012"});
        EXPECT_GE(notice, 90s);
        EXPECT_LE(notice, 105s + 100ms) << "half of the time is left for a new ticket";
        EXPECT_EQ(ask(ann, ping("p")), Lines{"pong#p"}) << "served until the end";
        const auto end = notice + until_told(ann, told, 200s);
        EXPECT_EQ(told, Lines{"close 4012 token_expired"});
        EXPECT_GE(end, 120s);
        EXPECT_LE(end, 125s);
        hang_up(ann);
        run();
    }
    EXPECT_EQ(counters.expired.value(), 10U);
}

TEST_F(IdentityTest, SpreadsNoticesAndEndsOfTicketsThatEndTogether) {
    endpoint.heartbeat = 600s;
    for (int i = 0; i < 200; ++i) connect_with(ticket("u" + std::to_string(i), 60s));
    std::map<std::string, std::pair<std::size_t, std::size_t>> seen;  // how many, and the most in one second
    for (int i = 0; i < 70; ++i) {
        pass(1s);
        std::map<std::string, std::size_t> now;
        for (const auto& client : clients()) {
            for (const std::string& line : client->take()) ++now[line];
        }
        for (const auto& [line, count] : now) {
            seen[line].first += count;
            seen[line].second = std::max(seen[line].second, count);
        }
    }
    EXPECT_EQ(seen["error 4012"].first, 200U);
    EXPECT_LT(seen["error 4012"].second, 40U) << "over 15 seconds";
    EXPECT_EQ(seen["close 4012 token_expired"].first, 200U);
    EXPECT_LT(seen["close 4012 token_expired"].second, 80U) << "over the leeway of 5 seconds";
}

TEST_F(IdentityTest, EndsOnTheDotWithoutLeewayAndUntoldWithoutNotice) {
    endpoint.leeway = 0s;
    endpoint.expiry_notice = 0s;
    Client& ann = connect_with(ticket("ann", 3s));
    Lines told;
    const auto end = until_told(ann, told, 60s);
    EXPECT_EQ(told, Lines{"close 4012 token_expired"});
    EXPECT_GE(end, 3s);
    EXPECT_LE(end, 3s + 2 * TimerWheel::kTick);
}

TEST_F(IdentityTest, TellsAtOnceWhatEndsSoonerThanTheNotice) {
    Client& ann = connect_with(ticket("ann", -2s));  // over, but within the leeway
    Lines told;
    EXPECT_LE(until_told(ann, told, 60s), 200ms);
    EXPECT_EQ(told.at(0), "error 4012");
    if (told.size() == 1) {
        until_told(ann, told, 60s);
        EXPECT_EQ(told, Lines{"close 4012 token_expired"});
    } else {
        EXPECT_EQ(told.at(1), "close 4012 token_expired");
    }
    EXPECT_LE(clock.wall - WallTime(1'700'000'000'000ms), 3s);
}

TEST_F(IdentityTest, ProbesSilentPeersAllTheSame) {
    endpoint.heartbeat = 20s;
    endpoint.heartbeat_timeout = 12s;
    endpoint.expiry_notice = 2s;
    for (const auto lifetime : {15s, 21s, 25s, 29s, 33s, 40s, 100s}) {
        Client& ann = connect_with(ticket("ann", lifetime));
        const Instant start = clock.now;
        bool pinged = false;
        std::string end;
        while (end.empty() && clock.now - start < 60s) {
            pass(100ms);
            for (const std::string& line : ann.take()) {
                if (line == "ping") {
                    pinged = true;
                    EXPECT_GE(clock.now - start, 18s);
                }
                if (line.starts_with("close")) end = line;
            }
        }
        const auto lived = clock.now - start;
        if (end == "close 4019 timeout") {
            EXPECT_TRUE(pinged);
            EXPECT_GE(lived, 30s);
            EXPECT_LE(lived, 33s + 12s) << "a notice gives the probe at most one more time";
        } else {
            EXPECT_EQ(end, "close 4012 token_expired");
            EXPECT_GE(lived, lifetime);
            EXPECT_LE(lived, lifetime + 5100ms);
        }
        EXPECT_EQ(end == "close 4019 timeout", lifetime >= 33s) << lifetime.count();
        hang_up(ann);
        run();
    }
}

TEST_F(IdentityTest, NeverEndsAConnectionThatHasNoTicket) {
    Client& ann = connect();
    for (int i = 0; i < 100; ++i) {
        pass(20s);
        receive(ann, client_frame(Opcode::pong, ""));
    }
    for (const std::string& line : ann.take()) EXPECT_EQ(line, "ping");
    EXPECT_FALSE(ann.closed());
}

TEST_F(IdentityTest, LetsNobodyOutstayTheirTicketBecauseTheWorkerTakesItsTimeToGo) {
    endpoint.expiry_notice = 0s;
    endpoint.leeway = 0s;
    Client& ann = connect_with(ticket("ann", 10s));
    ann.socket->drain(clock.now + 600s, 60s);
    pass(10200ms);
    const Lines told = ann.take();
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0], "reconnect");
    EXPECT_EQ(told[1], "close 1012 reconnect");
}

// --- refresh -----------------------------------------------------------------------------------------------------

TEST_F(IdentityTest, GoesOnWithANewTicket) {
    Client& ann = connect_with(ticket("ann", 60s));
    Lines told;
    for (int i = 0; i < 3; ++i) {
        EXPECT_LE(until_told(ann, told, 100s), 60s);
        EXPECT_EQ(told, Lines{"error 4012"});
        tokens["next"] = ticket("ann", 60s);
        EXPECT_EQ(ask(ann, refresh("next", "r")), Lines{"refreshed#r"});
        const std::string until = json_at(ann.texts.at(0), "/payload/expires_at");
        EXPECT_TRUE(until.starts_with("2023-11-14T22:")) << until;
    }
    until_told(ann, told, 100s);
    EXPECT_EQ(told, Lines{"error 4012"}) << "a ticket that isn't renewed ends like the first";
    until_told(ann, told, 100s);
    EXPECT_EQ(told, Lines{"close 4012 token_expired"});
}

TEST_F(IdentityTest, RefusesTheTicketOfSomebodyElseAndGoesOn) {
    Client& ann = connect_with(ticket("ann", 60s, "chat:*"));
    tokens["bob"] = ticket("bob", 600s);
    tokens["anonymous"] = ticket("", 600s);
    for (const char* token : {"bob", "anonymous", "forged", "full"}) {
        const Lines told = ask(ann, refresh(token, "r"));
        ASSERT_EQ(told.size(), 1U) << token;
        EXPECT_EQ(told[0], token == std::string("full") ? "error#r 4015" : "error#r 4002");
        EXPECT_EQ(ann.socket->user(), "ann");
    }
    EXPECT_EQ(ask(ann, subscribe("news:a", "s")), Lines{"error#s 4010"}) << "nothing of what they may";
    Lines told;
    EXPECT_LE(until_told(ann, told, 100s), 60s);
    EXPECT_EQ(told, Lines{"error 4012"}) << "the first ticket's end holds";
}

TEST_F(IdentityTest, RefusesToRefreshWhatWasNotOpenedWithATicket) {
    tokens["good"] = ticket("ann", 60s);
    Client& ann = connect();
    EXPECT_EQ(ask(ann, refresh("good", "r")), Lines{"error#r 4006"});
    tokens["long"] = ticket("ann", 60s);
    Client& bob = connect_with(ticket("ann", 60s));
    EXPECT_EQ(ask(bob, refresh("long", "r")), Lines{"refreshed#r"});
}

TEST_F(IdentityTest, LeavesWhatTheNewTicketDoesNotGrant) {
    Client& ann = connect_with(ticket("ann", 60s));
    for (const char* channel : {"chat:a", "news:a", "chat:b", "news:b"}) join(ann, channel);
    tokens["less"] = ticket("ann", 60s, "chat:*");
    say(ann, refresh("less", "r"));
    run();
    Lines told = ann.take();
    std::sort(told.begin(), told.end());
    EXPECT_EQ(told, (Lines{"refreshed#r", "unsubscribed news:a 4010", "unsubscribed news:b 4010"}));
    Lines left = weftd.take();
    std::sort(left.begin(), left.end());
    EXPECT_EQ(left, (Lines{"unsubscribe news:a", "unsubscribe news:b"}));
    EXPECT_EQ(ask(ann, subscribe("news:a", "s")), Lines{"error#s 4010"});
    EXPECT_EQ(ask(ann, subscribe("chat:a", "s")), Lines{"subscribed#s chat:a @" + weftd.position});
    EXPECT_EQ(counters.subscriptions.value(), 2U);
}

TEST_F(IdentityTest, RefusesSubscribesThatWaitWhenTheNewTicketDoesNotGrantThem) {
    weftd.answers = false;
    Client& ann = connect_with(ticket("ann", 60s));
    Client& bob = connect_with(ticket("bob", 60s));
    say(ann, subscribe("news:a", "1"));
    say(ann, subscribe("news:a", "2"));
    say(bob, subscribe("news:a", "3"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    tokens["less"] = ticket("ann", 60s, "chat:*");
    say(ann, refresh("less", "r"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"error#1 4010", "error#2 4010", "refreshed#r"}));
    weftd.send(subscribed("news:a", weftd.position));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_EQ(bob.take(), Lines{"subscribed#3 news:a @" + weftd.position});
}

TEST_F(IdentityTest, MayDoMoreWithATicketThatGrantsMore) {
    Client& ann = connect_with(ticket("ann", 60s, "chat:*"));
    join(ann, "chat:a");
    EXPECT_EQ(ask(ann, subscribe("news:a", "s")), Lines{"error#s 4010"});
    tokens["more"] = ticket("ann", 60s);
    EXPECT_EQ(ask(ann, refresh("more", "r")), Lines{"refreshed#r"});
    EXPECT_EQ(ask(ann, subscribe("news:a", "s")), Lines{"subscribed#s news:a @" + weftd.position});
}

TEST_F(IdentityTest, KeepsADrainsDeadlineThroughARefresh) {
    Client& ann = connect_with(ticket("ann", 60s));
    ann.socket->drain(clock.now + 5s, 2s);
    tokens["next"] = ticket("ann", 600s);
    EXPECT_EQ(ask(ann, refresh("next", "r")), Lines{"refreshed#r"});
    pass(8s);
    EXPECT_EQ(ann.take(), (Lines{"reconnect", "close 1012 reconnect"}));
}

}  // namespace
}  // namespace weft
