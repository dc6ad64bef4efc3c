// How clients get into channels and out of them.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class GatewaySubscribe : public ScriptedGateway {};

TEST_F(GatewaySubscribe, GreetsFirst) {
    EndpointSettings at;
    at.heartbeat = 25s;
    at.max_message = 1000;
    at.rate = {12.5, 3};
    at.byte_rate = {5000, 1};
    at.max_subscriptions = 7;
    at.max_rpcs = 9;
    Client& client = accept(at, wire);
    gateway().open(*client.socket, everything("ann"));
    say(client, ping("p"));
    run();
    ASSERT_EQ(client.take(), (Lines{"connection_established", "pong#p"}));
    const std::string& greeting = client.texts[0];
    char id[17];
    std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(client.socket->client_id()));
    EXPECT_EQ(json_at(greeting, "/payload/client_id"), id);
    EXPECT_EQ(json_at(greeting, "/payload/user"), "ann");
    EXPECT_EQ(json_at(greeting, "/payload/server_time"), "2023-11-14T22:13:20.000Z");
    EXPECT_EQ(json_at(greeting, "/payload/heartbeat_ms"), "25000");
    EXPECT_EQ(
        json_at(greeting, "/payload/limits"),
        R"({"message_size":1000,"messages_per_second":12.5,"messages_burst":3,"bytes_per_second":5000,"subscriptions":7,)"
        R"("pending_rpcs":9})");
    EXPECT_EQ(greeting.find("expires_at"), std::string::npos) << "she has no ticket that ends";
    EXPECT_EQ(json_at(greeting, "/payload/node"), "node-a");
}

TEST_F(GatewaySubscribe, GreetsWithTheEndOfTheTicket) {
    auto identity = std::const_pointer_cast<Identity>(everything("ann"));
    identity->expires_at = clock.wall + 90s;
    Client& client = accept(endpoint, wire);
    gateway().open(*client.socket, std::move(identity));
    run();
    ASSERT_EQ(client.take(), Lines{"connection_established"});
    EXPECT_EQ(json_at(client.texts[0], "/payload/expires_at"), "2023-11-14T22:14:50.000Z");
}

TEST_F(GatewaySubscribe, GivesEachClientAnIdOfItsOwn) {
    EXPECT_NE(connect().id, connect().id);
}

TEST_F(GatewaySubscribe, AsksWeftdOnceAndAnswersWithItsPosition) {
    Client& ann = connect();
    weftd.answers = false;
    EXPECT_EQ(ask(ann, subscribe("chat:a", "1")), Lines{});
    EXPECT_EQ(weftd.take(), Lines{"subscribe chat:a"});
    EXPECT_EQ(counters.subscriptions.value(), 0U);
    weftd.send(subscribed("chat:a", "k.3"));
    run();
    EXPECT_EQ(ann.take(), Lines{"subscribed#1 chat:a @k.3"});
    EXPECT_EQ(counters.subscriptions.value(), 1U);
    EXPECT_EQ(counters.channels.value(), 1U);
}

TEST_F(GatewaySubscribe, LetsOneAnswerOfWeftdServeAllWhoWaitForIt) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    weftd.answers = false;
    say(ann, subscribe("chat:a", "1"));
    run();
    say(bob, subscribe("chat:a", "2"));
    run();
    EXPECT_EQ(weftd.take(), Lines{"subscribe chat:a"}) << "interest is announced once";
    weftd.send(subscribed("chat:a", "k.3"));
    weftd.send(publication("chat:a", "1", "k.4"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"subscribed#1 chat:a @k.3", "event chat:a 1 @k.4"}));
    EXPECT_EQ(bob.take(), (Lines{"subscribed#2 chat:a @k.3", "event chat:a 1 @k.4"}));
    EXPECT_EQ(counters.subscriptions.value(), 2U);
    EXPECT_EQ(counters.channels.value(), 1U);
}

TEST_F(GatewaySubscribe, AnswersByItselfOnceItKnowsTheChannel) {
    subscriber("chat:a");
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    Client& bob = connect("bob");
    EXPECT_EQ(ask(bob, subscribe("chat:a", "1")), Lines{"subscribed#1 chat:a @k.1"});
    EXPECT_EQ(weftd.take(), Lines{});
}

TEST_F(GatewaySubscribe, AnswersAfreshWhoIsInTheChannelAlready) {
    Client& ann = subscriber("chat:a");
    EXPECT_EQ(ask(ann, subscribe("chat:a", "again")), Lines{"subscribed#again chat:a @k.0"});
    EXPECT_EQ(weftd.take(), Lines{});
    EXPECT_EQ(counters.subscriptions.value(), 1U);
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"}) << "once, though subscribed twice";
    EXPECT_EQ(ask(ann, unsubscribe("chat:a", "u")), Lines{"unsubscribed#u chat:a"});
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"}) << "one unsubscribe undoes them all";
}

TEST_F(GatewaySubscribe, AnswersBothWhoAskedTwiceWhileWaiting) {
    Client& ann = connect();
    weftd.answers = false;
    say(ann, subscribe("chat:a", "1"));
    say(ann, subscribe("chat:a", "2"));
    run();
    weftd.send(subscribed("chat:a", "k.0"));
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"subscribed#1 chat:a @k.0", "subscribed#2 chat:a @k.0", "event chat:a 1 @k.1"}));
    EXPECT_EQ(counters.subscriptions.value(), 1U);
}

TEST_F(GatewaySubscribe, BoundsHowOftenOneAsksForAChannelBeforeItsAnswer) {
    Client& ann = connect();
    weftd.answers = false;
    for (std::size_t i = 0; i < Gateway::kMaxWaiting; ++i) say(ann, subscribe("chat:a", "1"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    say(ann, subscribe("chat:a", "2"));
    run();
    const Lines answer = ann.take();
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_TRUE(answer[0].starts_with("error#2 4004")) << answer[0];
    weftd.send(subscribed("chat:a", "k.0"));
    run();
    EXPECT_EQ(ann.take().size(), Gateway::kMaxWaiting);
}

TEST_F(GatewaySubscribe, WithdrawsInterestWithTheLastSubscriberOnly) {
    Client& ann = subscriber("chat:a", "ann");
    Client& bob = subscriber("chat:a", "bob");
    EXPECT_EQ(ask(ann, unsubscribe("chat:a", "1")), Lines{"unsubscribed#1 chat:a"});
    EXPECT_EQ(weftd.take(), Lines{});
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_EQ(bob.take(), Lines{"event chat:a 1 @k.1"});
    hang_up(bob);
    run();
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
    EXPECT_EQ(counters.subscriptions.value(), 0U);
    EXPECT_EQ(counters.channels.value(), 0U);
}

TEST_F(GatewaySubscribe, SaysNotSubscribedToWhoIsntIn) {
    Client& ann = connect();
    subscriber("chat:b");
    EXPECT_EQ(ask(ann, unsubscribe("chat:a", "1")), Lines{"error#1 4011"}) << "a channel that nobody is in";
    EXPECT_EQ(ask(ann, unsubscribe("chat:b", "2")), Lines{"error#2 4011"}) << "a channel that another is in";
}

TEST_F(GatewaySubscribe, FailsTheSubscribeThatIsTakenBackBeforeItsAnswer) {
    Client& ann = connect();
    weftd.answers = false;
    say(ann, subscribe("chat:a", "1"));
    run();
    EXPECT_EQ(ask(ann, unsubscribe("chat:a", "2")), (Lines{"error#1 4011", "unsubscribed#2 chat:a"}));
    EXPECT_EQ(weftd.take(), Lines{"subscribe chat:a"}) << "the answer is still to come";
    weftd.send(subscribed("chat:a", "k.0"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
    EXPECT_EQ(counters.channels.value(), 0U);
}

TEST_F(GatewaySubscribe, TakesTheOneAnswerForWhoLeftAndCameAgainBeforeIt) {
    Client& ann = connect();
    weftd.answers = false;
    for (const auto& message : {subscribe("chat:a", "1"), unsubscribe("chat:a", "2"), subscribe("chat:a", "3")}) {
        say(ann, message);
    }
    run();
    EXPECT_EQ(ann.take(), (Lines{"error#1 4011", "unsubscribed#2 chat:a"}));
    EXPECT_EQ(weftd.take(), Lines{"subscribe chat:a"}) << "interest was never withdrawn, so it needs no new one";
    weftd.send(publication("chat:a", "0", "k.3"));
    weftd.send(subscribed("chat:a", "k.3"));
    weftd.send(publication("chat:a", "1", "k.4"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"subscribed#3 chat:a @k.3", "event chat:a 1 @k.4"}));
}

TEST_F(GatewaySubscribe, NeverTakesAStaleAnswerForTheOneToANewAnnouncement) {
    Client& ann = subscriber("chat:a");
    weftd.answers = false;
    say(ann, unsubscribe("chat:a", "1"));
    say(ann, subscribe("chat:a", "2"));
    run();
    EXPECT_EQ(weftd.take(), (Lines{"unsubscribe chat:a", "subscribe chat:a"}));
    EXPECT_EQ(ann.take(), Lines{"unsubscribed#1 chat:a"});
    // On its way since before weftd read the unsubscribe; there may be more behind it that never came.
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    weftd.send(subscribed("chat:a", "k.5"));
    weftd.send(publication("chat:a", "6", "k.6"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"subscribed#2 chat:a @k.5", "event chat:a 6 @k.6"}));
}

TEST_F(GatewaySubscribe, WaitsForEachAnswerInTurnWhenWaitingOnesComeAndGo) {
    Client& ann = connect();
    weftd.answers = false;
    say(ann, subscribe("chat:a", "1"));
    run();
    say(ann, unsubscribe("chat:a", "2"));
    run();
    weftd.send(subscribed("chat:a", "k.1"));  // nobody is there any more: withdrawn
    run();
    say(ann, subscribe("chat:a", "3"));
    run();
    EXPECT_EQ(weftd.take(), (Lines{"subscribe chat:a", "unsubscribe chat:a", "subscribe chat:a"}));
    EXPECT_EQ(ann.take(), (Lines{"error#1 4011", "unsubscribed#2 chat:a"}));
    weftd.send(subscribed("chat:a", "k.2"));
    run();
    EXPECT_EQ(ann.take(), Lines{"subscribed#3 chat:a @k.2"});
}

TEST_F(GatewaySubscribe, ForgetsWhoWasWaitingAndHungUp) {
    Client& ann = connect();
    Client& bob = connect();
    weftd.answers = false;
    say(ann, subscribe("chat:a", "1"));
    say(bob, subscribe("chat:a", "1"));
    run();
    hang_up(ann);
    run();
    EXPECT_TRUE(ann.closed());
    weftd.send(subscribed("chat:a", "k.0"));
    run();
    EXPECT_EQ(bob.take(), Lines{"subscribed#1 chat:a @k.0"});
    EXPECT_EQ(counters.subscriptions.value(), 1U);
}

TEST_F(GatewaySubscribe, ChecksRuleThenGrantThenPosition) {
    auto identity = std::make_shared<Identity>();
    identity->grants.add_channels(*ChannelPattern::parse("chat:a"), static_cast<std::uint8_t>(Action::subscribe));
    identity->grants.add_channels(*ChannelPattern::parse("chat:b"), static_cast<std::uint8_t>(Action::publish));
    identity->grants.add_channels(*ChannelPattern::parse("other:*"), 31);
    Client& ann = connect(identity, endpoint, wire);
    const struct {
        std::string message;
        const char* answer;
    } cases[] = {
        {subscribe("other:a", "1"), "error#1 4007"}, {subscribe("chat:b", "2"), "error#2 4010"},
        {subscribe("chat:c", "3"), "error#3 4010"},  {resume("chat:a", "4", "no position"), "error#4 4006"},
        {subscribe("chat a", "5"), "error#5 4006"},  {subscribe("chat:a", "6"), "subscribed#6 chat:a @k.0"},
    };
    for (const auto& [message, answer] : cases) EXPECT_EQ(ask(ann, message), Lines{answer}) << message;
    EXPECT_EQ(weftd.take(), Lines{"subscribe chat:a"}) << "what was refused never reached weftd";
    EXPECT_EQ(counters.errors.value(), 5U);
}

TEST_F(GatewaySubscribe, LimitsTheChannelsOfAConnection) {
    EndpointSettings at;
    at.rate = {};
    Client& ann = connect(everything("ann"), at, wire);
    for (std::size_t i = 0; i < endpoint.max_subscriptions; ++i) say(ann, subscribe("chat:" + std::to_string(i), ""));
    run();
    EXPECT_EQ(ann.take().size(), endpoint.max_subscriptions);
    EXPECT_EQ(ask(ann, subscribe("chat:more", "1")), Lines{"error#1 4016"});
    EXPECT_EQ(ask(ann, subscribe("chat:7", "2")), Lines{"subscribed#2 chat:7 @k.0"}) << "is in that one already";
    EXPECT_EQ(ask(ann, unsubscribe("chat:7", "3")), Lines{"unsubscribed#3 chat:7"});
    EXPECT_EQ(ask(ann, subscribe("chat:more", "4")), Lines{"subscribed#4 chat:more @k.0"});
    EXPECT_EQ(counters.subscriptions.value(), endpoint.max_subscriptions);
}

TEST_F(GatewaySubscribe, CountsWaitingSubscribesAgainstTheLimitToo) {
    EndpointSettings at;
    at.rate = {};
    Client& ann = connect(everything("ann"), at, wire);
    weftd.answers = false;
    for (std::size_t i = 0; i < endpoint.max_subscriptions; ++i) say(ann, subscribe("chat:" + std::to_string(i), ""));
    EXPECT_EQ(ask(ann, subscribe("chat:more", "1")), Lines{"error#1 4016"});
}

TEST_F(GatewaySubscribe, PassesWeftdsRefusalOnAndAsksAgainNextTime) {
    Client& ann = connect();
    Client& bob = connect();
    weftd.answers = false;
    say(ann, subscribe("chat:a", "1"));
    say(ann, subscribe("chat:a", "2"));
    say(bob, subscribe("chat:a", "3"));
    run();
    weftd.send(failed(0, Code::unavailable, "chat:a", 1500));
    run();
    EXPECT_EQ(ann.take(), (Lines{"error#1 4017 retry 1500", "error#2 4017 retry 1500"}));
    EXPECT_EQ(bob.take(), Lines{"error#3 4017 retry 1500"});
    EXPECT_EQ(counters.channels.value(), 0U);
    EXPECT_EQ(ask(ann, unsubscribe("chat:a", "4")), Lines{"error#4 4011"});
    weftd.answers = true;
    EXPECT_EQ(ask(ann, subscribe("chat:a", "5")), Lines{"subscribed#5 chat:a @k.0"});
    EXPECT_EQ(weftd.take(), (Lines{"subscribe chat:a", "subscribe chat:a"})) << "what was refused isn't withdrawn";
}

TEST_F(GatewaySubscribe, RecoversOnlyWhoLacksNothing) {
    const struct {
        const char* theirs;
        const char* ours;
        bool recovered;
    } cases[] = {
        {"k.3", "k.3", true},         {"k.4", "k.3", true},          {"k.2", "k.3", false},
        {"j.3", "k.3", false},        {"j.1_k.3", "k.3", false},     {"k.3", "j.1_k.3", false},
        {"j.1_k.3", "j.1_k.3", true}, {"j.1_k.3", "j.2_k.3", false}, {"", "k.3", false},
    };
    int n = 0;
    for (const auto& [theirs, ours, recovered] : cases) {
        SCOPED_TRACE(testing::Message() << "client at " << theirs << ", channel at " << ours);
        const std::string channel = "chat:" + std::to_string(++n);
        const std::string expected = channel + " @" + ours + (recovered ? " recovered" : "");
        weftd.position = ours;
        Client& first = connect();
        EXPECT_EQ(ask(first, resume(channel, "1", theirs)), Lines{"subscribed#1 " + expected}) << "answered by weftd";
        Client& second = connect();
        EXPECT_EQ(ask(second, resume(channel, "2", theirs)), Lines{"subscribed#2 " + expected})
            << "answered by the worker";
    }
}

TEST_F(GatewaySubscribe, NeverSaysRecoveredToWhoDidntAskToResume) {
    weftd.position = "k.0";
    Client& ann = connect();
    ask(ann, subscribe("chat:a", "1"));
    EXPECT_EQ(ask(ann, subscribe("chat:a", "2")), Lines{"subscribed#2 chat:a @k.0"});
    EXPECT_EQ(json_at(ann.texts.at(0), "/payload/recovered"), "false");
    EXPECT_EQ(json_at(ann.texts.at(0), "/payload/replay"), "0");
}

TEST_F(GatewaySubscribe, IgnoresAnswersToWhatNobodyAsked) {
    Client& ann = subscriber("chat:a");
    weftd.send(subscribed("chat:other", "k.9"));
    weftd.send(subscribed("chat:a", "k.9"));
    weftd.send(failed(0, Code::unavailable, "chat:other"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_EQ(ask(ann, subscribe("chat:a", "1")), Lines{"subscribed#1 chat:a @k.0"}) << "the position is what it was";
}

}  // namespace
}  // namespace weft
