// What clients and back ends ask of weftd through a worker, and what becomes of it.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class GatewayPublish : public ScriptedGateway {
protected:
    /// The channels and methods that the given pattern and actions allow.
    Client& limited(std::uint8_t actions, const char* method) {
        auto identity = std::make_shared<Identity>();
        identity->user = "lim";
        identity->grants.add_channels(*ChannelPattern::parse("**"), actions);
        identity->grants.add_methods(*MethodPattern::parse(method));
        return connect(identity, endpoint, wire);
    }
};

TEST_F(GatewayPublish, SendsWhoPublishesWhatAndAnswersWithIdAndPosition) {
    Client& ann = connect("ann");
    EXPECT_EQ(ask(ann, publish("chat:a", "p", R"({"n":1})", R"(,"message_id":"mine")")), Lines{});
    EXPECT_EQ(weftd.take(), Lines{R"(publish 1 chat:a {"n":1} mine by ann)"});
    EXPECT_EQ(counters.pending.value(), 1U);
    EXPECT_EQ(counters.publications_in.value(), 1U);
    weftd.send(published(1, "mine", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"published#p mine @k.1"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, LetsDataThroughByteForByte) {
    Client& ann = subscriber("chat:a");
    const std::string data = R"({"n": 1.00000000000000000000001e400 ,"s":"\u00e4\/ä"})";
    std::string sent;
    weftd.on_frame = [&](const v1::Frame& frame) { sent = frame.publish().data(); };
    say(ann, publish("chat:a", "", data));
    run();
    EXPECT_EQ(sent, data);
    ann.bytes.clear();
    weftd.send(publication("chat:a", data, "k.1"));
    run();
    EXPECT_NE(ann.bytes.find("\"data\":" + data + ","), std::string::npos) << ann.bytes;
}

TEST_F(GatewayPublish, SaysNothingOfASuccessWithoutId) {
    Client& ann = connect();
    say(ann, publish("chat:a", "", "1"));
    run();
    weftd.send(published(1, "m", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, TellsAFailureEvenWithoutId) {
    Client& ann = connect();
    say(ann, publish("chat:a", "", "1"));
    run();
    weftd.send(failed(1, Code::unavailable, "", 700));
    run();
    EXPECT_EQ(ann.take(), Lines{"error 4017 retry 700"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, RefusesWhatRuleOrTicketDontAllow) {
    Client& ann = limited(static_cast<std::uint8_t>(Action::subscribe), "orders.*");
    Client& bob = connect("bob");
    const struct {
        Client& who;
        std::string message;
        const char* answer;
    } cases[] = {
        {bob, publish("other:a", "1", "1"), "error#1 4007"},
        {bob, publish("news:a", "2", "1"), "error#2 4010"},
        {ann, publish("chat:a", "3", "1"), "error#3 4010"},
        {ann, publish("chat:a", "", "1"), "error 4010"},
        {bob, send_signal("other:a", "4", "typing"), "error#4 4007"},
        {ann, send_signal("chat:a", "5", "typing"), "error#5 4010"},
        {ann, rpc("weft.time", "6"), "error#6 4010"},
        {bob, R"({"type":"publish","id":"7","payload":{"channel":"chat:a"}})", "error#7 4006"},
        {bob, R"({"type":"dance","id":"8"})", "error#8 4006"},
        {bob, R"({"type":"auth","id":"9","payload":{"token":"x"}})", "error#9 4006"},
    };
    for (const auto& [who, message, answer] : cases) EXPECT_EQ(ask(who, message), Lines{answer}) << message;
    EXPECT_EQ(weftd.take(), Lines{});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, SendsSignalsAndAnswersThoseWithAnId) {
    Client& ann = connect("ann");
    say(ann, send_signal("chat:a", "", "typing"));
    say(ann, send_signal("chat:a", "s", "typing", R"(,"data":[1])"));
    run();
    EXPECT_EQ(weftd.take(), (Lines{"signal 0 chat:a typing by ann", "signal 1 chat:a typing [1] by ann"}));
    EXPECT_EQ(ann.take(), Lines{});
    weftd.send(published(1));
    run();
    EXPECT_EQ(ann.take(), Lines{"published#s"});
    EXPECT_EQ(json_at(ann.texts.at(0), "/payload"), "{}");
}

TEST_F(GatewayPublish, LetsClientsSignalWhereTheyMayNotPublish) {
    Client& ann = connect("ann");
    EXPECT_EQ(ask(ann, send_signal("news:a", "", "seen")), Lines{});
    EXPECT_EQ(weftd.take(), Lines{"signal 0 news:a seen by ann"});
}

TEST_F(GatewayPublish, CarriesRpcBothWays) {
    Client& ann = limited(0, "orders.*");
    say(ann, rpc("orders.list", "1", R"(,"params":{"page":2})"));
    say(ann, rpc("orders.none", "2"));
    run();
    EXPECT_EQ(weftd.take(), (Lines{R"(rpc 1 orders.list {"page":2} by lim)", "rpc 2 orders.none by lim"}));
    weftd.send(failed(2, Code::method_not_found));
    weftd.send(rpc_result(1, "[1,2]"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"error#2 4018", "rpc_response#1 [1,2]"})) << "in the order of the answers";
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, AnswersPingsItself) {
    Client& ann = connect();
    EXPECT_EQ(ask(ann, ping("x")), Lines{"pong#x"});
    EXPECT_EQ(ask(ann, ping("")), Lines{"pong"});
    EXPECT_EQ(weftd.take(), Lines{});
}

TEST_F(GatewayPublish, GivesEachAnswerToWhoAsked) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    say(ann, publish("chat:a", "a", "1"));
    say(bob, publish("chat:a", "b", "2"));
    say(ann, rpc("weft.time", "t"));
    run();
    weftd.send(rpc_result(3, "0"));
    weftd.send(published(2, "m2", "k.2"));
    weftd.send(published(1, "m1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"rpc_response#t 0", "published#a m1 @k.1"}));
    EXPECT_EQ(bob.take(), Lines{"published#b m2 @k.2"});
}

TEST_F(GatewayPublish, IgnoresAnswersToWhatWasAnsweredOrNeverAsked) {
    Client& ann = connect();
    say(ann, publish("chat:a", "1", "1"));
    say(ann, publish("chat:a", "2", "1"));
    run();
    weftd.send(published(2, "m", "k.1"));
    for (const std::uint64_t request : {std::uint64_t{2}, std::uint64_t{0}, std::uint64_t{3}, UINT64_MAX}) {
        weftd.send(published(request, "m", "k.1"));
        weftd.send(failed(request, Code::unavailable));
        weftd.send(rpc_result(request, "1"));
    }
    run();
    EXPECT_EQ(ann.take(), Lines{"published#2 m @k.1"});
    EXPECT_EQ(counters.pending.value(), 1U);
}

TEST_F(GatewayPublish, ThrowsAwayTheAnswerToWhoHasGone) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    say(ann, publish("chat:a", "1", "1"));
    say(bob, publish("chat:a", "2", "1"));
    run();
    hang_up(ann);
    run();
    EXPECT_TRUE(ann.closed());
    EXPECT_EQ(counters.pending.value(), 2U) << "weftd will answer it all the same";
    weftd.send(published(1, "m", "k.1"));
    weftd.send(published(2, "m", "k.2"));
    run();
    EXPECT_EQ(bob.take(), Lines{"published#2 m @k.2"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, AnswersUnavailableWhileWeftdIsAway) {
    Client& ann = connect();
    link_down();
    const struct {
        std::string message;
        const char* answer;
    } cases[] = {
        {subscribe("chat:a", "1"), "error#1 4017 retry 1000"},
        {publish("chat:a", "2", "1"), "error#2 4017 retry 1000"},
        {publish("chat:a", "", "1"), "error 4017 retry 1000"},
        {send_signal("chat:a", "3", "typing"), "error#3 4017 retry 1000"},
        {send_signal("chat:a", "", "typing"), "error 4017 retry 1000"},
        {rpc("weft.time", "4"), "error#4 4017 retry 1000"},
        {ping("5"), "pong#5"},
        {subscribe("other:a", "6"), "error#6 4007"},
    };
    for (const auto& [message, answer] : cases) EXPECT_EQ(ask(ann, message), Lines{answer}) << message;
    EXPECT_EQ(counters.pending.value(), 0U);
    EXPECT_EQ(counters.channels.value(), 0U);
}

TEST_F(GatewayPublish, AnswersUnavailableInsteadOfQueueingWithoutBound) {
    Client& ann = subscriber("chat:b");
    EndpointSettings at;
    at.max_message = 2 << 20;
    at.rate = {};
    Client& flood = connect(everything("eve"), at, wire);
    link_stuck = true;
    const std::string big = '"' + std::string(1 << 20, 'x') + '"';
    std::size_t sent = 0;
    do {
        say(flood, publish("chat:a", "", big));
        end_turn();
        ++sent;
    } while (flood.take().empty() && sent < 100);
    EXPECT_EQ(sent, Gateway::kMaxLinkBytes / (1 << 20) + 1);
    const struct {
        std::string message;
        const char* answer;
    } cases[] = {
        {publish("chat:a", "1", "1"), "error#1 4017 retry 1000"},
        {rpc("weft.time", "2"), "error#2 4017 retry 1000"},
        {send_signal("chat:a", "3", "typing"), "error#3 4017 retry 1000"},
        {send_signal("chat:a", "", "typing"), "error 4017 retry 1000"},
        {subscribe("chat:new", "4"), "error#4 4017 retry 1000"},
        {subscribe("chat:b", "5"), "subscribed#5 chat:b @k.0"},  // needs nothing of weftd
        {unsubscribe("chat:b", "6"), "unsubscribed#6 chat:b"},   // weftd must hear of it, sooner or later
    };
    for (const auto& [message, answer] : cases) {
        say(ann, message);
        end_turn();
        EXPECT_EQ(ann.take(), Lines{answer}) << message;
    }
    EXPECT_EQ(counters.channels.value(), 0U);
    link_stuck = false;
    run();
    EXPECT_EQ(ask(ann, subscribe("chat:new", "7")), Lines{"subscribed#7 chat:new @k.0"});
}

// --- back ends -------------------------------------------------------------------------------------------------------

TEST_F(GatewayPublish, PublishesForABackEndWithoutPublisherAndRule) {
    BackEnd observer;
    gateway().publish("news:a", "[1]", "mine", observer);
    run();
    EXPECT_EQ(weftd.take(), Lines{"publish 1 news:a [1] mine"});
    EXPECT_EQ(observer.heard, Lines{});
    weftd.send(published(1, "mine", "k.1"));
    run();
    EXPECT_EQ(observer.heard, Lines{"published mine @k.1"});
    EXPECT_EQ(counters.publications_in.value(), 1U);
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, NamesNoPublisherAfterAClientsPublish) {
    say(connect("ann"), publish("chat:a", "", "1"));
    BackEnd observer;
    gateway().publish("chat:a", "2", {}, observer);
    run();
    EXPECT_EQ(weftd.take(), (Lines{"publish 1 chat:a 1 by ann", "publish 2 chat:a 2"}));
}

TEST_F(GatewayPublish, TellsABackEndEveryFailureOnce) {
    BackEnd none, refused, lost, late;
    gateway().publish("other:a", "1", {}, none);
    EXPECT_EQ(none.heard, Lines{"failed 4007 retry 0"});
    gateway().publish("chat:a", std::string(kMaxData + 1, '1'), {}, late);
    EXPECT_EQ(std::exchange(late.heard, {}), Lines{"failed 4005 retry 0"});
    gateway().publish("chat:a", "1", {}, refused);
    gateway().publish("chat:a", "1", {}, lost);
    run();
    weftd.send(failed(1, Code::invalid_message));
    run();
    EXPECT_EQ(refused.heard, Lines{"failed 4006 retry 0"});
    link_down();
    EXPECT_EQ(lost.heard, Lines{"failed 4017 retry 1000"});
    gateway().publish("chat:a", "1", {}, late);
    EXPECT_EQ(late.heard, Lines{"failed 4017 retry 1000"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, NeverCallsWhoCancelled) {
    auto gone = std::make_unique<BackEnd>();
    auto gone_too = std::make_unique<BackEnd>();
    BackEnd stays;
    gateway().publish("chat:a", "1", {}, *gone);
    gateway().publish("chat:a", "1", {}, stays);
    gateway().publish("chat:a", "1", {}, *gone_too);
    run();
    gateway().cancel(*gone);
    gone.reset();
    EXPECT_EQ(counters.pending.value(), 3U);
    weftd.send(published(1, "m", "k.1"));
    run();
    gateway().cancel(*gone_too);
    gone_too.reset();
    link_down();
    EXPECT_EQ(stays.heard, Lines{"failed 4017 retry 1000"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, HoldsToACancelFromWithinAnotherObserversCall) {
    auto second = std::make_unique<BackEnd>();
    BackEnd first;
    first.then = [&] {
        gateway().cancel(*second);
        second.reset();
    };
    gateway().publish("chat:a", "1", {}, first);
    gateway().publish("chat:a", "1", {}, *second);
    run();
    link_down();
    EXPECT_EQ(first.heard, Lines{"failed 4017 retry 1000"});
    EXPECT_EQ(second, nullptr);
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayPublish, LetsAnObserverPublishAgainAtOnce) {
    BackEnd retry;
    BackEnd first;
    first.then = [&] { gateway().publish("chat:a", "2", {}, retry); };
    gateway().publish("chat:a", "1", {}, first);
    run();
    link_down();
    EXPECT_EQ(first.heard, Lines{"failed 4017 retry 1000"});
    EXPECT_EQ(retry.heard, Lines{"failed 4017 retry 1000"}) << "weftd is still away";
    EXPECT_EQ(counters.pending.value(), 0U);

    retry.heard.clear();
    link_up();
    weftd.take();
    gateway().publish("chat:a", "3", {}, first);
    run();
    EXPECT_EQ(weftd.take().size(), 1U);
    weftd.send(published(2, "m", "k.1"));
    run();
    EXPECT_EQ(weftd.take(), Lines{"publish 3 chat:a 2"});
    EXPECT_EQ(counters.pending.value(), 1U);
}

TEST_F(GatewayPublish, NumbersRequestsOnwardsAfterALinkWasLost) {
    BackEnd before, after;
    gateway().publish("chat:a", "1", {}, before);
    run();
    link_down();
    link_up();
    gateway().publish("chat:a", "2", {}, after);
    run();
    EXPECT_EQ(weftd.take(), (Lines{"publish 1 chat:a 1", "down", "hello host/1", "publish 2 chat:a 2"}));
    weftd.send(published(1, "late", "k.1"));  // nobody's any more
    weftd.send(published(2, "m", "k.2"));
    run();
    EXPECT_EQ(after.heard, Lines{"published m @k.2"});
}

TEST_F(GatewayPublish, LimitsTheRequestsThatWeftdOwesAnAnswer) {
    BackEnd observer;
    for (std::size_t i = 0; i < Gateway::kMaxRequests; ++i) gateway().publish("chat:a", "1", {}, observer);
    EXPECT_EQ(observer.heard, Lines{});
    gateway().publish("chat:a", "1", {}, observer);
    EXPECT_EQ(observer.heard, Lines{"failed 4017 retry 1000"});
    run();
    weftd.send(published(1, "m", "k.1"));
    run();
    gateway().publish("chat:a", "1", {}, observer);
    EXPECT_EQ(observer.heard.size(), 2U) << "there is room for one again";
    EXPECT_EQ(counters.pending.value(), Gateway::kMaxRequests);
}

}  // namespace
}  // namespace weft
