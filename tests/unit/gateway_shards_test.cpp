// A worker with links to several shards of weftd: what goes where, and what becomes of clients when one of them goes.
#include "unit/gateway_fixture.hpp"
#include "weft/shard.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

v1::Welcome welcome_of_shard(unsigned shard, unsigned shards) {
    v1::Welcome welcome = welcome_of("node-a");
    welcome.set_shard(shard);
    welcome.set_shards(shards);
    welcome.set_surveys(true);
    welcome.set_clients(true);
    return welcome;
}

class GatewayShards : public testing::Test, public ScriptedWorld {
protected:
    GatewayShards() { start(4); }

    /// A weftd with so many shards, linked.
    void start(unsigned shards) {
        shards_.clear();
        for (unsigned i = 0; i < shards; ++i) {
            shards_.push_back(std::make_unique<ScriptedWeftd>(clock, welcome_of_shard(i, shards)));
        }
        gateway().link(0).on_connected(clock.now);
        run();
        for (unsigned i = 1; i < gateway().links(); ++i) connect_shard(i);
    }
    void connect_shard(unsigned shard) {
        gateway().link(shard).on_connected(clock.now);
        run();
    }
    void cut(unsigned shard) { gateway().link(shard).on_disconnected("the test cut it", clock.now); }

    bool carry_out() override {
        bool any = false;
        for (unsigned i = 0; i < std::min<std::size_t>(gateway().links(), shards_.size()); ++i) {
            while (i != stuck && gateway().link(i).next_batch(batch_, clock.now)) {
                shards_[i]->listener().on_message(batch_, clock.now);
                any = true;
            }
        }
        return any;
    }
    bool carry_in() override {
        bool any = false;
        for (unsigned i = 0; i < std::min<std::size_t>(gateway().links(), shards_.size()); ++i) {
            while (shards_[i]->listener().next_batch(batch_, clock.now)) {
                gateway().link(i).on_message(batch_, clock.now);
                any = true;
            }
        }
        return any;
    }

    ScriptedWeftd& shard(unsigned i) { return *shards_[i]; }
    Lines take(unsigned i) { return shards_[i]->take(); }
    void take_all() {
        for (const auto& shard : shards_) shard->take();
    }
    /// A channel that this shard has, of `shards`.
    static std::string channel_of(unsigned shard, unsigned shards = 4) {
        for (int i = 0;; ++i) {
            std::string name = "chat:" + std::to_string(i);
            if (shard_of(name, shards) == shard) return name;
        }
    }

    unsigned stuck = ~0U;  // this link's transport takes nothing
    std::vector<std::unique_ptr<ScriptedWeftd>> shards_;

private:
    std::string batch_;
};

TEST_F(GatewayShards, LearnsFromTheFirstHowManyThereAreAndHasALinkToEach) {
    EXPECT_EQ(gateway().links(), 4U);
    for (unsigned i = 0; i < 4; ++i) {
        EXPECT_TRUE(gateway().link(i).up());
        EXPECT_EQ(take(i), Lines{"hello host/1"});
    }
    EXPECT_TRUE(gateway().links_up());
    EXPECT_EQ(counters.link_up.value(), 1U);
    cut(3);
    EXPECT_EQ(counters.link_up.value(), 0U);
    EXPECT_EQ(logged.back(), "warning: link to weftd is down, shard 3: the test cut it");
    connect_shard(3);
    EXPECT_EQ(counters.link_up.value(), 1U);
    EXPECT_EQ(logged.back(), "info: link to weftd is up: node \"node-a\", weft/test, shard 3");
}

TEST_F(GatewayShards, SendsWhatBelongsToAChannelToItsShardAndAllElseToTheFirst) {
    Client& ann = connect();
    take_all();
    for (unsigned i = 0; i < 4; ++i) {
        const std::string channel = channel_of(i);
        EXPECT_EQ(ask(ann, subscribe(channel, "1")), Lines{"subscribed#1 " + channel + " @k.0"});
        say(ann, publish(channel, "2", "7"));
        say(ann, send_signal(channel, "", "typing"));
        say(ann, unsubscribe(channel, "3"));
        run();
        EXPECT_EQ(take(i), (Lines{"subscribe " + channel, "publish 1 " + channel + " 7 by ann",
                                  "signal 0 " + channel + " typing by ann", "unsubscribe " + channel}));
        EXPECT_EQ(ann.take(), Lines{"unsubscribed#3 " + channel});
    }
    say(ann, rpc("weft.time", "4"));
    run();
    EXPECT_EQ(take(0), Lines{"rpc 2 weft.time by ann"});
    for (unsigned i = 1; i < 4; ++i) EXPECT_EQ(take(i), Lines{});
}

TEST_F(GatewayShards, TakesAnswersOfEachForItsOwnRequests) {
    Client& ann = connect();
    say(ann, publish(channel_of(1), "one", "1"));
    say(ann, publish(channel_of(2), "two", "2"));
    run();
    shard(2).send(published(1, "m-2", "k.2"));
    run();
    EXPECT_EQ(ann.take(), Lines{"published#two m-2 @k.2"});
    shard(2).send(published(1, "m-2", "k.2"));  // answered before
    shard(1).send(failed(1, Code::unavailable));
    run();
    EXPECT_EQ(ann.take(), Lines{"error#one 4017"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayShards, FailsOnlyTheChannelsOfAShardWhoseLinkIsDown) {
    Client& ann = connect();
    for (unsigned i = 0; i < 4; ++i) ask(ann, subscribe(channel_of(i), ""));
    say(ann, publish(channel_of(1), "waits-1", "1"));
    say(ann, publish(channel_of(2), "waits-2", "2"));
    run();
    take_all();
    cut(2);
    run();
    EXPECT_EQ(ann.take(), Lines{"error#waits-2 4017 retry 1000"});
    for (unsigned i = 0; i < 4; ++i) {
        shard(i).send(publication(channel_of(i), "8", "k.8"));
        say(ann, publish(channel_of(i), "more", "9"));
        const Lines event{"event " + channel_of(i) + " 8 @k.8"};
        run();
        EXPECT_EQ(ann.take(), i == 2 ? Lines{"error#more 4017 retry 1000"} : event) << i;
    }
    take_all();
    connect_shard(2);
    EXPECT_EQ(take(2), (Lines{"down", "hello host/1", "subscribe " + channel_of(2) + " @k.0"}));
    for (const unsigned other : {0U, 1U, 3U}) EXPECT_EQ(take(other), Lines{}) << "nothing is announced again";
    shard(2).send(publication(channel_of(2), "9", "k.9"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event " + channel_of(2) + " 9 @k.9"});
}

TEST_F(GatewayShards, AnswersCallsWhileAnotherThanTheFirstIsDownAndNotWhileTheFirstIs) {
    Client& ann = connect();
    cut(3);
    say(ann, rpc("weft.time", "1"));
    run();
    shard(0).send(rpc_result(1, "5"));
    run();
    EXPECT_EQ(ann.take(), Lines{"rpc_response#1 5"});
    connect_shard(3);
    cut(0);
    EXPECT_EQ(ask(ann, rpc("weft.time", "2")), Lines{"error#2 4017 retry 1000"});
    EXPECT_EQ(ask(ann, subscribe(channel_of(3), "3")), Lines{"subscribed#3 " + channel_of(3) + " @k.0"});
}

TEST_F(GatewayShards, StopsReadingWhileOneOfThemDoesNotKeepUp) {
    Client& ann = connect();
    stuck = 1;
    const std::string much = '"' + std::string(60'000, 'x') + '"';
    std::size_t said = 0;
    for (; !gateway().congested() && said < 1000; ++said) {
        say(ann, publish(channel_of(1), "", much));
        run();
    }
    EXPECT_NEAR(static_cast<double>(said) * 60'000, Gateway::kCongestedBytes / 4.0, 100'000.0)
        << "its part of the bound";
    gateway().resume_paused();
    EXPECT_TRUE(gateway().congested()) << "the others have nothing to send";
    stuck = ~0U;
    run();
    gateway().resume_paused();
    EXPECT_FALSE(gateway().congested());
}

TEST_F(GatewayShards, IsNotKeptFromReadingByALinkThatIsDown) {
    Client& ann = connect();
    stuck = 1;
    const std::string much = '"' + std::string(60'000, 'x') + '"';
    while (!gateway().congested()) {
        say(ann, publish(channel_of(1), "", much));
        run();
    }
    cut(1);
    EXPECT_FALSE(gateway().congested());
}

TEST_F(GatewayShards, MovesChannelsWhenWeftdComesBackWithAnotherNumber) {
    for (const unsigned after : {2U, 1U, 16U, 4U}) {
        start(4);
        Client& ann = connect();
        std::vector<std::string> channels;
        for (int i = 0; i < 12; ++i) channels.push_back("chat:" + std::to_string(i));
        for (const std::string& channel : channels) ask(ann, subscribe(channel, ""));
        for (unsigned i = 0; i < 4; ++i) say(ann, publish(channel_of(i), "waits", "1"));
        run();
        // It has gone, and the first of its links is up again before the worker has seen the others go.
        cut(0);
        start(after);
        run();
        ASSERT_EQ(gateway().links(), after);
        EXPECT_EQ(counters.pending.value(), 0U);
        EXPECT_EQ(ann.take(), Lines(4, "error#waits 4017 retry 1000"));
        for (const std::string& channel : channels) {
            shard(shard_of(channel, after)).send(publication(channel, "5", "k.5"));
        }
        run();
        EXPECT_EQ(ann.take().size(), channels.size()) << after;
        hang_up(ann);
        run();
        for (unsigned i = 0; i < gateway().links(); ++i) cut(i);
    }
}

TEST_F(GatewayShards, AsksTheNewShardWithThePositionThatItHas) {
    Client& ann = connect();
    const std::string channel = [] {  // of another shard afterwards
        for (int i = 0;; ++i) {
            std::string name = "chat:" + std::to_string(i);
            if (shard_of(name, 4) != shard_of(name, 2)) return name;
        }
    }();
    ask(ann, subscribe(channel, ""));
    shard(shard_of(channel, 4)).send(publication(channel, "7", "k.7"));
    run();
    ann.take();
    for (unsigned i = 0; i < 4; ++i) cut(i);
    shards_.clear();
    start(2);
    EXPECT_EQ(take(shard_of(channel, 2)), (Lines{"hello host/1", "subscribe " + channel + " @k.7"}));
    EXPECT_EQ(take(1 - shard_of(channel, 2)), Lines{"hello host/1"});
}

TEST_F(GatewayShards, DoesNotTalkToAShardThatIsAnother) {
    cut(2);
    shards_[2] = std::make_unique<ScriptedWeftd>(clock, welcome_of_shard(1, 4));
    connect_shard(2);
    EXPECT_FALSE(gateway().link(2).up());
    EXPECT_EQ(logged.back(),
              "error: weftd at the other end of a link is not who was expected: shard 1 of 4, not shard 2 of 4");
    shards_[2] = std::make_unique<ScriptedWeftd>(clock, welcome_of_shard(2, 5));
    connect_shard(2);
    EXPECT_FALSE(gateway().link(2).up());
    EXPECT_EQ(gateway().links(), 4U) << "the first alone says how many there are";
}

// --- what all shards are asked
// ----------------------------------------------------------------------------------------

v1::Frame channels_page(std::uint64_t request, const std::string& channel, const std::string& horizon = {}) {
    v1::Frame frame;
    v1::ChannelsPage& page = *frame.mutable_channels_page();
    page.set_request(request);
    page.set_horizon(horizon);
    page.add_nodes("node-a");
    page.add_channels()->set_channel(channel);
    page.mutable_channels(0)->set_subscribers(2);
    return frame;
}

TEST_F(GatewayShards, AsksAllAndAnswersWhenAllHave) {
    Client& ann = connect("ann");
    take_all();
    EXPECT_EQ(ask(ann, R"({"type":"rpc","id":"1","payload":{"method":"weft.channels","params":{"pattern":"chat:*"}}})"),
              Lines{});
    for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(take(i), Lines{"channels 1 chat:* limit 100"}) << i;
    for (unsigned i = 0; i < 4; ++i) {
        EXPECT_EQ(ann.take(), Lines{}) << i;
        shard(i).send(channels_page(1, "chat:" + std::to_string(i), i == 2 ? "chat:2" : ""));
        run();
    }
    EXPECT_EQ(ann.take(), Lines{R"(rpc_response#1 {"channels":[{"channel":"chat:0","subscribers":2},)"
                                R"({"channel":"chat:1","subscribers":2},{"channel":"chat:2","subscribers":2}],)"
                                R"("complete":false,"next":"chat:2","nodes":["node-a"],"missing":[]})"});
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(GatewayShards, AsksTheFirstAloneForClients) {
    Client& ann = connect("ann");
    take_all();
    EXPECT_EQ(ask(ann, rpc("weft.clients", "1",
                           R"(,"params":{"user":"bob","channel":"chat:a","node":"b","limit":2,)"
                           R"("after":"00000000000000ff"})")),
              Lines{});
    EXPECT_EQ(take(0), Lines{"clients 1 user=bob channel=chat:a node=b after 00000000000000ff limit 2"});
    for (unsigned i = 1; i < 4; ++i) EXPECT_EQ(take(i), Lines{}) << i;
    v1::Frame answer;
    v1::ClientsPage& page = *answer.mutable_clients_page();
    page.set_request(1);
    page.set_horizon(0xabc);
    page.add_nodes("b");
    page.add_missing("c");
    v1::ClientInfo& one = *page.add_clients();
    one.set_client_id(0xab);
    one.set_user("bob");
    one.set_node("b");
    one.set_transport("websocket");
    one.set_codec("json");
    one.set_since_ms(1'700'000'000'000);
    one.set_expires_ms(1'700'000'060'000);
    one.set_subscriptions(3);
    one.set_queued_bytes(70);
    page.add_clients()->set_client_id(0xabc);
    page.mutable_clients(1)->set_node("b");
    page.mutable_clients(1)->set_transport("sse");
    shard(0).send(answer);
    run();
    EXPECT_EQ(ann.take(),
              Lines{R"(rpc_response#1 {"clients":[{"client_id":"00000000000000ab","user":"bob","node":"b",)"
                    R"("transport":"websocket","codec":"json","since":"2023-11-14T22:13:20.000Z",)"
                    R"("expires_at":"2023-11-14T22:14:20.000Z","subscriptions":3,"queued_bytes":70},)"
                    R"({"client_id":"0000000000000abc","node":"b","transport":"sse","subscriptions":0,)"
                    R"("queued_bytes":0}],"complete":false,"next":"0000000000000abc","nodes":["b"],"missing":["c"]})"});
    cut(3);
    EXPECT_EQ(ask(ann, rpc("weft.clients", "2")), Lines{}) << "that is none of the others' business";
    EXPECT_EQ(take(0), Lines{"clients 2 limit 100"});
}

TEST_F(GatewayShards, SaysSoWhenWeftdIsOfAVersionThatCantTellClients) {
    shards_[0] = std::make_unique<ScriptedWeftd>(clock, [] {
        v1::Welcome welcome = welcome_of_shard(0, 4);
        welcome.set_clients(false);
        return welcome;
    }());
    cut(0);
    connect_shard(0);
    BackEnd back_end;
    gateway().survey({Survey::Kind::clients, {}, {}}, back_end);
    EXPECT_EQ(back_end.heard, Lines{"failed 4018 retry 0"});
    cut(0);
    gateway().survey({Survey::Kind::clients, {}, {}}, back_end);
    EXPECT_EQ(back_end.heard.back(), "failed 4017 retry 1000");
}

TEST_F(GatewayShards, AnswersOnceWhenAShardFailsOrIsLost) {
    BackEnd back_end;
    gateway().survey({Survey::Kind::nodes, {}, {}}, back_end);
    run();
    shard(1).send(failed(1, Code::unavailable));
    run();
    EXPECT_EQ(back_end.heard, Lines{"failed 4017 retry 0"});
    cut(3);
    for (const unsigned i : {0U, 2U}) {
        v1::Frame page;
        page.mutable_nodes_page()->set_request(1);
        shard(i).send(page);
    }
    run();
    EXPECT_EQ(back_end.heard.size(), 1U);
    EXPECT_EQ(counters.pending.value(), 0U);
    gateway().survey({Survey::Kind::node, {}, {}}, back_end);
    EXPECT_EQ(back_end.heard.back(), "failed 4017 retry 1000") << "one is away: the answer would be wrong";
}

TEST_F(GatewayShards, SaysSoWhenWeftdIsOfAVersionThatCantAnswer) {
    shards_[2] = std::make_unique<ScriptedWeftd>(clock, [] {
        v1::Welcome welcome = welcome_of_shard(2, 4);
        welcome.set_surveys(false);
        return welcome;
    }());
    cut(2);
    connect_shard(2);
    take_all();
    BackEnd back_end;
    gateway().survey({Survey::Kind::nodes, {}, {}}, back_end);
    run();
    EXPECT_EQ(back_end.heard, Lines{"failed 4018 retry 0"});
    for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(take(i), Lines{}) << i;
}

TEST_F(GatewayShards, RefusesParametersThatMakeNoSense) {
    Client& ann = connect("ann");
    take_all();
    for (const char* params : {R"({"limit":0})", R"({"pattern":"chat**"})", "[]", R"({"after":7})"}) {
        EXPECT_EQ(ask(ann, R"({"type":"rpc","id":"1","payload":{"method":"weft.channels","params":)" +
                               std::string(params) + "}}"),
                  Lines{"error#1 4006"})
            << params;
    }
    for (const char* params :
         {R"({"limit":1001})", R"({"user":""})", R"({"user":7})", R"({"channel":"a b"})", R"({"node":""})",
          R"({"after":"xyz"})", R"({"after":"0123456789abcdef0"})", R"({"after":"-123456789abcdef"})"}) {
        EXPECT_EQ(ask(ann, rpc("weft.clients", "1", ",\"params\":" + std::string(params))), Lines{"error#1 4006"})
            << params;
    }
    for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(take(i), Lines{}) << i;
}

// --- what they are told of subscribers
// ---------------------------------------------------------------------------------

TEST_F(GatewayShards, TellsEachHowManySubscribersItsChannelsHaveOnceASecondAndOnlyWhatChanged) {
    const std::string first = channel_of(0), third = channel_of(2);
    pass(1s);
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    for (Client* client : {&ann, &bob}) ask(*client, subscribe(third, "1"));
    ask(ann, subscribe(first, "2"));
    take_all();
    pass(1s);
    EXPECT_EQ(take(0), Lines{"count connections=2"}) << "one subscriber is taken for granted";
    EXPECT_EQ(take(2), Lines{"count " + third + "=2"});
    pass(3s);
    EXPECT_EQ(take(0), Lines{});
    EXPECT_EQ(take(2), Lines{});
    ask(bob, R"({"type":"unsubscribe","id":"3","payload":{"channel":")" + third + R"("}})");
    ask(bob, subscribe(third, "4"));
    take_all();
    pass(1s);
    EXPECT_EQ(take(2), Lines{}) << "it is what it was";
    hang_up(bob);
    run();
    take_all();
    pass(1s);
    EXPECT_EQ(take(0), Lines{"count connections=1"});
    EXPECT_EQ(take(2), Lines{"count " + third + "=1"});
}

TEST_F(GatewayShards, TellsAShardThatForgotAllOverAgain) {
    const std::string third = channel_of(2);
    for (const char* name : {"ann", "bob"}) ask(connect(name), subscribe(third, "1"));
    pass(1s);
    cut(2);
    connect_shard(2);
    take_all();
    pass(1s);
    EXPECT_EQ(take(2), Lines{"count " + third + "=2"});
    start(1);
    pass(2s);
    const Lines told = take(0);
    EXPECT_EQ(std::ranges::count(told, "count " + third + "=2 connections=2"), 1) << "also when it is another's now";
}

}  // namespace
}  // namespace weft
