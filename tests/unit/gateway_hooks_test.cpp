// What a worker asks about clients where weftd's back ends have hooks for it.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class HookedWeftd : public ScriptedWeftd {
public:
    explicit HookedWeftd(const Clock& clock) : ScriptedWeftd(clock, welcome()) {
        on_frame = [this](const v1::Frame& frame) {
            if (frame.has_may_connect()) connects.push_back(frame.may_connect());
            if (frame.has_may_subscribe()) subscribes.push_back(frame.may_subscribe());
            if (frame.has_disconnected()) ended.push_back(frame.disconnected());
        };
    }
    std::vector<v1::MayConnect> connects;
    std::vector<v1::MaySubscribe> subscribes;
    std::vector<v1::Disconnected> ended;

    void allow(std::uint64_t request, const std::string& user = {}, const std::string& grants = {}) {
        v1::Frame frame;
        frame.mutable_allowed()->set_request(request);
        frame.mutable_allowed()->set_user(user);
        frame.mutable_allowed()->set_grants(grants);
        send(frame);
    }
    void refuse(std::uint64_t request, std::uint32_t code) {
        v1::Frame frame;
        frame.mutable_failed()->set_request(request);
        frame.mutable_failed()->set_code(code);
        send(frame);
    }

private:
    static v1::Welcome welcome() {
        v1::Welcome welcome = welcome_of("node-a");
        welcome.mutable_hooks()->set_connect(true);
        welcome.mutable_hooks()->set_connect_timeout_ms(3000);
        welcome.mutable_hooks()->set_disconnect(true);
        welcome.mutable_hooks()->add_subscribe("chat:*");
        return welcome;
    }
};

class GatewayHooks : public testing::Test, public World<HookedWeftd> {
protected:
    Client& come(const std::string& user = "ann") {
        Client& client = accept(endpoint, wire);
        gateway().open(*client.socket, everything(user));
        run();
        return client;
    }
    // One that is let in.
    Client& enter() {
        Client& client = come();
        weftd.allow(weftd.connects.back().request());
        run();
        EXPECT_EQ(client.take(), Lines{"connection_established"});
        return client;
    }
};

TEST_F(GatewayHooks, GreetsAConnectionWhenItWasAllowed) {
    link_up();
    Client& client = come();
    EXPECT_EQ(client.take(), Lines{});
    ASSERT_EQ(weftd.connects.size(), 1U);
    EXPECT_EQ(weftd.connects[0].client().user(), "ann");
    weftd.allow(weftd.connects[0].request(), "bob");
    run();
    EXPECT_EQ(client.take(), Lines{"connection_established"});
    EXPECT_EQ(client.socket->user(), "bob");
}

TEST_F(GatewayHooks, TurnsAConnectionAwayWithTheBackEndsCode) {
    link_up();
    Client& client = come();
    weftd.refuse(weftd.connects[0].request(), 4103);
    run();
    EXPECT_EQ(client.take(), (Lines{"error 4103", "close 4103 application"}));
    remove_now(client);
    run();
    EXPECT_TRUE(weftd.ended.empty()) << "it never was there";
}

TEST_F(GatewayHooks, GrantsThatAreNoneLetNobodyIn) {
    link_up();
    Client& client = come();
    weftd.allow(weftd.connects[0].request(), {}, R"({"channels":7})");
    run();
    EXPECT_EQ(client.take(), (Lines{"error 4017 retry 1000", "close 4017 unavailable"}));
}

TEST_F(GatewayHooks, HoldsWhatComesBeforeTheDecision) {
    link_up();
    Client& client = come();
    say(client, R"({"type":"ping","id":"1"})");
    say(client, R"({"type":"ping","id":"2"})");
    run();
    EXPECT_EQ(client.take(), Lines{});
    EXPECT_FALSE(client.socket->may_read());
    weftd.allow(weftd.connects[0].request());
    run();
    EXPECT_EQ(client.take(), (Lines{"connection_established", "pong#1", "pong#2"}));
    EXPECT_TRUE(client.socket->may_read());
}

TEST_F(GatewayHooks, BoundsWhatComesBeforeTheDecision) {
    link_up();
    Client& client = come();
    const std::string text = R"({"type":"ping","id":")" + std::string(60'000, 'x') + "\"}";
    for (int i = 0; i < 3; ++i) say(client, text);
    run();
    EXPECT_EQ(client.take(), (Lines{"error 4004", "close 4004 rate_limited"}));
}

TEST_F(GatewayHooks, WaitsForWeftdAndGivesUpInTheEnd) {
    link_up();
    link_down();
    Client& patient = come();
    pass(2s);
    weftd.take();
    link_up();
    ASSERT_EQ(weftd.connects.size(), 1U) << "asked as soon as weftd was back";
    weftd.allow(weftd.connects[0].request());
    run();
    EXPECT_EQ(patient.take(), Lines{"connection_established"});
    link_down();
    Client& other = come();
    pass(7s);
    EXPECT_EQ(other.take(), Lines{});
    pass(2s);
    EXPECT_EQ(other.take(), (Lines{"error 4017 retry 1000", "close 4017 unavailable"}));
}

TEST_F(GatewayHooks, AsksAboutThoseWhoCameBeforeItKnewThatItMust) {
    Client& client = connect("early");  // weftd hasn't been reached yet
    link_up();
    ASSERT_EQ(weftd.connects.size(), 1U);
    EXPECT_EQ(weftd.connects[0].client().user(), "early");
    weftd.refuse(weftd.connects[0].request(), 4010);
    run();
    EXPECT_EQ(client.take(), (Lines{"error 4010", "close 4010 permission_denied"}));
}

TEST_F(GatewayHooks, AsksBeforeAClientSubscribes) {
    link_up();
    Client& client = enter();
    EXPECT_EQ(ask(client, subscribe("chat:a", "1")), Lines{});
    EXPECT_EQ(ask(client, subscribe("chat:b", "2")), Lines{});
    EXPECT_EQ(ask(client, subscribe("news:a", "3")), Lines{"subscribed#3 news:a @k.0"}) << "not hooked";
    ASSERT_EQ(weftd.subscribes.size(), 2U);
    weftd.refuse(weftd.subscribes[1].request(), 4010);
    run();
    EXPECT_EQ(client.take(), Lines{"error#2 4010"});
    weftd.allow(weftd.subscribes[0].request());
    run();
    EXPECT_EQ(client.take(), Lines{"subscribed#1 chat:a @k.0"});
    EXPECT_EQ(ask(client, subscribe("chat:a", "4")), Lines{"subscribed#4 chat:a @k.0"});
    EXPECT_EQ(weftd.subscribes.size(), 2U) << "it is in that channel already";
}

TEST_F(GatewayHooks, AQuestionCanBeTakenBackAndCountsAsASubscription) {
    endpoint.max_subscriptions = 1;
    link_up();
    Client& client = enter();
    EXPECT_EQ(ask(client, subscribe("chat:a", "1")), Lines{});
    EXPECT_EQ(ask(client, subscribe("chat:b", "2")), Lines{"error#2 4016"});
    EXPECT_EQ(ask(client, unsubscribe("chat:a", "3")), (Lines{"error#1 4011", "unsubscribed#3 chat:a"}));
    weftd.allow(weftd.subscribes[0].request());
    run();
    EXPECT_EQ(client.take(), Lines{}) << "nobody asks any more";
    EXPECT_EQ(ask(client, subscribe("chat:c", "4")), Lines{});
    link_down();
    run();
    EXPECT_EQ(client.take(), Lines{"error#4 4017 retry 1000"});
}

TEST_F(GatewayHooks, TellsThatAConnectionHasEnded) {
    link_up();
    Client& client = enter();
    hang_up(client);
    run();
    remove_now(client);
    run();
    ASSERT_EQ(weftd.ended.size(), 1U);
    EXPECT_EQ(weftd.ended[0].code(), 1006U);
    EXPECT_EQ(weftd.ended[0].client().user(), "ann");
}

}  // namespace
}  // namespace weft
