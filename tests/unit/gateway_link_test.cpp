// A worker's link to weftd: what becomes of clients when it goes, and when it comes back.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class GatewayLink : public ScriptedGateway {};

TEST_F(GatewayLink, SaysInCounterLogAndGreetingWhetherWeftdIsThere) {
    EXPECT_EQ(counters.link_up.value(), 1U);
    ASSERT_EQ(logged.size(), 1U);
    EXPECT_EQ(logged[0], "info: link to weftd is up: node \"node-a\", weft/test");
    link_down();
    EXPECT_EQ(counters.link_up.value(), 0U);
    ASSERT_EQ(logged.size(), 2U);
    EXPECT_EQ(logged[1], "warning: link to weftd is down: the test cut it");
    Client& ann = accept(endpoint, wire);
    gateway().open(*ann.socket, everything("ann"));
    run();
    EXPECT_EQ(ann.take(), Lines{"connection_established"});
    EXPECT_EQ(json_at(ann.texts[0], "/payload/node"), "");
}

TEST(GatewayWithoutLink, GreetsWithoutNodeAndFailsWhatNeedsWeftd) {
    ScriptedWorld world;
    Client& ann = world.accept(world.endpoint, world.wire);
    world.gateway().open(*ann.socket, everything("ann"));
    world.say(ann, subscribe("chat:a", "1"));
    world.run();
    EXPECT_EQ(ann.take(), (Lines{"connection_established", "error#1 4017 retry 1000"}));
    EXPECT_EQ(json_at(ann.texts[0], "/payload/node"), "");
    EXPECT_EQ(world.counters.link_up.value(), 0U);
}

TEST_F(GatewayLink, KeepsConnectionsAndFailsWhatWaitsWhenTheLinkGoes) {
    Client& ann = subscriber("chat:a", "ann");
    Client& bob = connect("bob");
    weftd.answers = false;
    say(bob, subscribe("chat:b", "1"));
    say(bob, subscribe("chat:b", "2"));
    say(bob, publish("chat:a", "3", "1"));
    say(bob, publish("chat:a", "", "1"));
    say(bob, send_signal("chat:a", "", "typing"));
    say(ann, rpc("weft.time", "4"));
    run();
    EXPECT_EQ(counters.pending.value(), 3U);
    link_down();
    run();
    EXPECT_EQ(ann.take(), Lines{"error#4 4017 retry 1000"});
    EXPECT_EQ(bob.take(), (Lines{"error#1 4017 retry 1000", "error#2 4017 retry 1000", "error#3 4017 retry 1000",
                                 "error 4017 retry 1000"}));
    EXPECT_FALSE(ann.closed());
    EXPECT_FALSE(bob.closed());
    EXPECT_EQ(counters.pending.value(), 0U);
    EXPECT_EQ(counters.subscriptions.value(), 1U);
    EXPECT_EQ(counters.channels.value(), 1U);
    EXPECT_EQ(ask(bob, unsubscribe("chat:b", "5")), Lines{"error#5 4011"}) << "it never got in";
}

TEST_F(GatewayLink, AnnouncesInterestAnewWithThePositionThatItHas) {
    Client& ann = subscriber("chat:a");
    weftd.send(publication("chat:a", "7", "k.7"));
    run();
    ann.take();
    link_down();
    weftd.answers = false;
    link_up();
    EXPECT_EQ(weftd.take(), (Lines{"down", "hello host/1", "subscribe chat:a @k.7"}));
    // What comes before the answer is behind it, or not wanted yet.
    weftd.send(publication("chat:a", "8", "k.8"));
    run();
    EXPECT_EQ(ann.take(), Lines{});
    weftd.send(subscribed("chat:a", "k.9"));
    weftd.send(publication("chat:a", "10", "k.10"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event chat:a 10 @k.10"}) << "no gap, no second subscribed";
}

TEST_F(GatewayLink, TellsSubscribersOfAGapOnlyWhenWeftdSaysSo) {
    Client& ann = subscriber("chat:a");
    Client& bob = subscriber("chat:b");
    link_down();
    weftd.answers = false;
    link_up();
    weftd.send(subscribed("chat:a", "j.0", true));
    weftd.send(subscribed("chat:b", "k.5", false));
    run();
    EXPECT_EQ(ann.take(), Lines{"gap chat:a"});
    EXPECT_EQ(bob.take(), Lines{});
    EXPECT_EQ(ask(ann, subscribe("chat:a", "1")), Lines{"subscribed#1 chat:a @j.0"});
}

TEST_F(GatewayLink, TellsTheGapOnlyToThoseWhoWereThere) {
    Client& ann = subscriber("chat:a", "ann");
    Client& bob = connect("bob");
    link_down();
    weftd.answers = false;
    link_up();
    say(bob, subscribe("chat:a", "1"));
    say(ann, subscribe("chat:a", "2"));
    run();
    weftd.send(subscribed("chat:a", "j.4", true));
    weftd.send(publication("chat:a", "5", "j.5"));
    run();
    EXPECT_EQ(bob.take(), (Lines{"subscribed#1 chat:a @j.4", "event chat:a 5 @j.5"}));
    EXPECT_EQ(ann.take(), (Lines{"gap chat:a", "subscribed#2 chat:a @j.4", "event chat:a 5 @j.5"}));
}

TEST_F(GatewayLink, TellsWhoeverIsThereOfAGapInMidSession) {
    Client& ann = subscriber("chat:a");
    subscriber("chat:b");
    weftd.send(gap("chat:a", "j.2_k.8"));
    weftd.send(gap("chat:nobody", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"gap chat:a"});
    EXPECT_EQ(ask(ann, resume("chat:a", "1", "k.8")), Lines{"subscribed#1 chat:a @j.2_k.8"});
}

TEST_F(GatewayLink, DeliversWhatTheTurnCollectedBeforeTheLinkWent) {
    Client& ann = subscriber("chat:a");
    weftd.send(publication("chat:a", "1", "k.1"));
    carry_in();
    link_down();
    weftd.position = "k.1";
    link_up();
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"});
    EXPECT_EQ(weftd.take().back(), "subscribe chat:a @k.1");
}

TEST_F(GatewayLink, AnnouncesOnlyChannelsThatAreStillWanted) {
    Client& ann = subscriber("chat:a");
    Client& bob = subscriber("chat:b");
    link_down();
    EXPECT_EQ(ask(ann, unsubscribe("chat:a", "1")), Lines{"unsubscribed#1 chat:a"}) << "works without weftd";
    link_up();
    EXPECT_EQ(weftd.take(), (Lines{"down", "hello host/1", "subscribe chat:b @k.0"}));
    EXPECT_EQ(counters.channels.value(), 1U);
    weftd.send(publication("chat:b", "1", "k.1"));
    run();
    EXPECT_EQ(bob.take(), Lines{"event chat:b 1 @k.1"});
}

TEST_F(GatewayLink, ForgetsAChannelWhoseAnswerWillNeverCome) {
    Client& ann = connect();
    weftd.answers = false;
    say(ann, subscribe("chat:a", "1"));
    say(ann, unsubscribe("chat:a", "2"));
    run();
    EXPECT_EQ(counters.channels.value(), 1U) << "an answer is under way";
    link_down();
    EXPECT_EQ(counters.channels.value(), 0U);
    weftd.answers = true;
    link_up();
    EXPECT_EQ(weftd.take(), (Lines{"subscribe chat:a", "down", "hello host/1"}));
}

TEST_F(GatewayLink, LetsTheLastSubscriberLeaveWhileTheChannelIsAnnouncedAnew) {
    Client& ann = subscriber("chat:a");
    link_down();
    weftd.answers = false;
    link_up();
    say(ann, unsubscribe("chat:a", "1"));
    run();
    EXPECT_EQ(weftd.take().back(), "subscribe chat:a @k.0");
    say(ann, subscribe("chat:a", "2"));
    run();
    EXPECT_EQ(weftd.take(), Lines{});
    weftd.send(subscribed("chat:a", "j.0", true));
    run();
    EXPECT_EQ(ann.take(), (Lines{"unsubscribed#1 chat:a", "subscribed#2 chat:a @j.0"})) << "its gap is not ann's";
}

TEST_F(GatewayLink, EndsTheSubscriptionsThatWeftdRefusesToResume) {
    Client& ann = subscriber("chat:a", "ann");
    Client& bob = subscriber("chat:a", "bob");
    Client& cid = connect("cid");
    link_down();
    weftd.answers = false;
    link_up();
    say(cid, subscribe("chat:a", "1"));
    say(bob, subscribe("chat:a", "2"));
    run();
    weftd.take();
    weftd.send(failed(0, Code::unavailable, "chat:a", 1000));
    run();
    EXPECT_EQ(ann.take(), Lines{"unsubscribed chat:a 4017"});
    EXPECT_EQ(bob.take(), (Lines{"error#2 4017 retry 1000", "unsubscribed chat:a 4017"}));
    EXPECT_EQ(cid.take(), Lines{"error#1 4017 retry 1000"});
    EXPECT_EQ(counters.subscriptions.value(), 0U);
    EXPECT_EQ(counters.channels.value(), 0U);
    weftd.answers = true;
    EXPECT_EQ(ask(ann, subscribe("chat:a", "3")), Lines{"subscribed#3 chat:a @k.0"});
    EXPECT_EQ(weftd.take(), Lines{"subscribe chat:a"});
}

TEST_F(GatewayLink, NoticesALinkThatFallsSilentAndBeginsAnew) {
    Client& ann = subscriber("chat:a");
    link_stuck = true;
    for (int i = 0; i < 40; ++i) {  // nothing comes from weftd either, as World::run() carries its heartbeats
        clock.now += 100ms;
        gateway().set_time(clock.now, clock.wall);
        gateway().tick();
    }
    EXPECT_EQ(counters.link_up.value(), 0U);
    ASSERT_EQ(logged.size(), 2U);
    EXPECT_NE(logged[1].find("silent"), std::string::npos) << logged[1];
    link_stuck = false;
    run();
    EXPECT_EQ(counters.link_up.value(), 1U);
    EXPECT_EQ(weftd.take().back(), "subscribe chat:a @k.0");
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"});
}

TEST_F(GatewayLink, LosesNoSubscriberWhenABatchIsLost) {
    Client& ann = subscriber("chat:a");
    std::string lost;
    weftd.send(publication("chat:a", "1", "k.1"));
    ASSERT_TRUE(weftd.listener().next_batch(lost, clock.now));
    weftd.position = "k.2";
    weftd.send(publication("chat:a", "2", "k.2"));
    run();
    EXPECT_EQ(ann.take(), Lines{}) << "a frame behind a missing one is not delivered";
    EXPECT_EQ(weftd.take(), (Lines{"down", "hello host/1", "subscribe chat:a @k.0"})) << "the position tells weftd";
}

TEST_F(GatewayLink, LogsARefusalWithBothVersions) {
    link_down();
    weftd.refusal = "too many workers";
    link_up();
    EXPECT_EQ(logged.back(),
              "error: weftd refused the link: too many workers (this module speaks link version 1, weftd 1)");
    EXPECT_EQ(counters.link_up.value(), 0U);
    weftd.refusal.clear();
    pass(11s);
    EXPECT_EQ(counters.link_up.value(), 1U);
}

TEST_F(GatewayLink, IgnoresFramesThatMakeNoSense) {
    Client& ann = subscriber("chat:a");
    v1::Frame wrong;
    wrong.mutable_publish()->set_channel("chat:a");
    weftd.send(wrong);
    weftd.send(v1::Frame());
    weftd.send(failed(0, Code::unavailable));
    weftd.send(publication("", "1", "k.1"));
    weftd.send(publication("chat:a", "1", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"});
    EXPECT_EQ(counters.link_up.value(), 1U);
}

// --- with a real broker ----------------------------------------------------------------------------------------------

class GatewayWithBroker : public BrokerGateway {
protected:
    Client& subscriber(const std::string& user, std::string_view more = {}) {
        Client& client = connect(user);
        const Lines lines = ask(client, subscribe("chat:a", "", more));
        EXPECT_EQ(lines.size(), 1U);
        return client;
    }
    static std::string position_in(const Client& client, std::size_t i = 0) {
        return json_at(client.texts.at(i), "/payload/position");
    }
    static Lines data_of(Client& client) {
        Lines data;
        client.take();
        for (const std::string& text : client.texts) {
            if (json_at(text, "/type") == "event") data.push_back(json_at(text, "/payload/data"));
        }
        return data;
    }
};

TEST_F(GatewayWithBroker, CarriesPublicationsFromOneClientToAllInOrder) {
    Client& ann = subscriber("ann");
    Client& bob = subscriber("bob");
    for (int i = 0; i < 50; ++i) say(ann, publish("chat:a", "", std::to_string(i)));
    run();
    const Lines got = data_of(bob);
    ASSERT_EQ(got.size(), 50U);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], std::to_string(i));
    EXPECT_EQ(data_of(ann), got) << "the publisher is a subscriber like the others";
}

TEST_F(GatewayWithBroker, NamesPublisherTimeAndIdAlikeInReplyAndEvent) {
    Client& ann = subscriber("ann");
    Client& bob = subscriber("bob");
    ASSERT_EQ(ask(ann, publish("chat:a", "p", "1")).size(), 2U);
    bob.take();
    EXPECT_EQ(json_at(ann.texts[1], "/type"), "published");
    const std::string& event = bob.texts.at(0);
    EXPECT_EQ(json_at(event, "/payload/message_id"), json_at(ann.texts[1], "/payload/message_id"));
    EXPECT_EQ(json_at(event, "/payload/position"), json_at(ann.texts[1], "/payload/position"));
    EXPECT_EQ(json_at(event, "/payload/publisher/user"), "ann");
    EXPECT_EQ(json_at(event, "/payload/timestamp"), "2023-11-14T22:13:20.000Z");
}

// A client may take its position from `published`: whoever did so before having got what it covers would skip that.
TEST_F(GatewayWithBroker, AnswersAPublishBehindTheEventsThatItsPositionCovers) {
    Client& ann = subscriber("ann");
    Client& bob = subscriber("bob");
    say(bob, publish("chat:a", "", "1"));
    say(ann, publish("chat:a", "p", "2"));
    say(bob, publish("chat:a", "", "3"));
    run();
    ann.take();
    ASSERT_EQ(ann.texts.size(), 4U);
    EXPECT_EQ(json_at(ann.texts[0], "/payload/data"), "1");
    EXPECT_EQ(json_at(ann.texts[1], "/payload/data"), "2");
    EXPECT_EQ(json_at(ann.texts[3], "/type"), "published");
    EXPECT_EQ(json_at(ann.texts[3], "/payload/position"), json_at(ann.texts[1], "/payload/position"));
}

TEST_F(GatewayWithBroker, LeavesOutTheEchoOfWhoWantsNone) {
    Client& ann = subscriber("ann", R"(,"echo":false)");
    Client& bob = subscriber("bob", R"(,"echo":false)");
    say(ann, publish("chat:a", "", "1"));
    say(bob, publish("chat:a", "", "2"));
    run();
    EXPECT_EQ(data_of(ann), Lines{"2"});
    EXPECT_EQ(data_of(bob), Lines{"1"});
}

TEST_F(GatewayWithBroker, ResumesAtThePositionOfTheLastEvent) {
    Client& ann = subscriber("ann");
    Client& bob = subscriber("bob");
    say(ann, publish("chat:a", "", "1"));
    run();
    bob.take();
    const std::string position = position_in(bob);
    hang_up(bob);
    run();
    Client& again = connect("bob");
    EXPECT_EQ(ask(again, resume("chat:a", "1", position)), Lines{"subscribed#1 chat:a @" + position + " recovered"});
    hang_up(again);
    say(ann, publish("chat:a", "", "2"));
    run();
    Client& late = connect("bob");
    ASSERT_EQ(ask(late, resume("chat:a", "1", position)).size(), 1U);
    EXPECT_EQ(json_at(late.texts[0], "/payload/recovered"), "false") << "there is no history yet";
}

TEST_F(GatewayWithBroker, GoesOnWithoutGapWhenOnlyTheLinkWasLost) {
    Client& ann = subscriber("ann");
    Client& bob = subscriber("bob");
    say(ann, publish("chat:a", "", "1"));
    run();
    EXPECT_EQ(data_of(ann), Lines{"1"});
    link_down();
    run();
    link_up();
    say(ann, publish("chat:a", "", "2"));
    run();
    EXPECT_EQ(bob.take().size(), 2U);
    EXPECT_EQ(data_of(ann), Lines{"2"});
}

TEST_F(GatewayWithBroker, TellsTheGapWhenWeftdWasRestarted) {
    Client& ann = subscriber("ann");
    say(ann, publish("chat:a", "", "1"));
    run();
    ann.take();
    const std::string before = position_in(ann);
    link_down();
    weftd.listener().on_unreachable(clock.now);
    weftd.restart();
    link_up();
    EXPECT_EQ(ann.take(), Lines{"gap chat:a"});
    say(ann, publish("chat:a", "", "2"));
    run();
    EXPECT_EQ(data_of(ann), Lines{"2"});
    ASSERT_EQ(ask(connect("bob"), resume("chat:a", "1", before)).size(), 1U);
    EXPECT_EQ(json_at(clients().back()->texts[0], "/payload/recovered"), "false");
}

TEST_F(GatewayWithBroker, AnswersRpc) {
    Client& ann = connect("ann");
    EXPECT_EQ(ask(ann, rpc("weft.echo", "1", R"(,"params":{"a":[1]})")), Lines{R"(rpc_response#1 {"a":[1]})"});
    ASSERT_EQ(ask(ann, rpc("weft.time", "2")).size(), 1U);
    EXPECT_EQ(json_at(ann.texts[0], "/payload/result/node"), "node-a");
    EXPECT_EQ(ask(ann, rpc("no.such", "3")), Lines{"error#3 4018"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayWithBroker, CarriesSignals) {
    Client& ann = subscriber("ann");
    Client& bob = subscriber("bob");
    EXPECT_EQ(ask(ann, send_signal("chat:a", "s", "typing", R"(,"data":true)")),
              (Lines{"signal chat:a typing true", "published#s"}));
    EXPECT_EQ(bob.take(), Lines{"signal chat:a typing true"});
}

TEST_F(GatewayWithBroker, TakesItsInterestBack) {
    Client& ann = subscriber("ann");
    say(ann, publish("chat:a", "", "1"));
    run();
    const auto delivered = weftd.broker().counts().delivered;
    EXPECT_EQ(delivered, 1U);
    ask(ann, unsubscribe("chat:a", ""));
    say(ann, publish("chat:a", "", "2"));
    run();
    EXPECT_EQ(weftd.broker().counts().delivered, delivered);
    EXPECT_EQ(weftd.broker().counts().ignored, 0U);
}

}  // namespace
}  // namespace weft
