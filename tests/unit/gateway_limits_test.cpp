// What a worker refuses for a limit, and what becomes of a client that goes on.
#include <map>

#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

/// Members of several workers in one table.
class CountedMembers final : public ChannelMembers {
public:
    bool enter(std::string_view channel, std::uint32_t most) override {
        std::uint32_t& count = counts[std::string(channel)];
        if (count >= most) return false;
        ++count;
        return true;
    }
    void leave(std::string_view channel) noexcept override { --counts[std::string(channel)]; }
    std::map<std::string, std::uint32_t> counts;
};

class GatewayLimits : public ScriptedGateway {
protected:
    GatewayLimits() {
        const auto add = [&](const char* pattern, auto set) {
            ChannelRule rule{*ChannelPattern::parse(pattern), true};
            set(rule);
            rules.add(std::move(rule));
        };
        add("small:*", [](ChannelRule& rule) { rule.max_size = 10; });
        add("slow:*", [](ChannelRule& rule) { rule.rate = {1, 2}; });
        add("room:*", [](ChannelRule& rule) { rule.max_members = 2; });
        add("own:{sub}", [](ChannelRule&) {});
        gateway().share_limits({SharedRates::make(memory_, {3, 4}), &members, &refusals});
    }
    ~GatewayLimits() override { destroy_all(); }

    Refusals refusals;
    CountedMembers members;

private:
    std::vector<std::byte> memory_ = std::vector<std::byte>(16384);
};

TEST_F(GatewayLimits, BoundsTheBytesOfAConnection) {
    endpoint.byte_rate = {1000, 2000};
    Client& ann = connect();
    const std::string big = publish("chat:a", "p", '"' + std::string(2500, 'x') + '"');
    EXPECT_EQ(ask(ann, big), Lines{}) << "the burst isn't used up yet";
    const Lines refused = ask(ann, ping("q"));
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_TRUE(refused[0].starts_with("error#q 4004 retry ")) << refused[0];
    EXPECT_EQ(refusals.bytes.value(), 1U);
    EXPECT_EQ(refusals.messages.value(), 0U);
    EXPECT_EQ(counters.rate_limited.value(), 1U);
    pass(700ms);
    EXPECT_EQ(ask(ann, ping("r")), Lines{"pong#r"});
}

TEST_F(GatewayLimits, BoundsTheMessagesOfAUserOverTheirConnections) {
    endpoint.user_rate = {1, 3};
    Client& one = connect("ann");
    Client& two = connect("ann");
    Client& bob = connect("bob");
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(ask(one, ping("a")), Lines{"pong#a"});
        EXPECT_EQ(ask(two, ping("b")), Lines{"pong#b"});
    }
    EXPECT_EQ(ask(one, ping("a")), Lines{"error#a 4004 retry 1000"});
    EXPECT_EQ(ask(two, ping("b")), Lines{"error#b 4004 retry 1000"});
    EXPECT_EQ(ask(bob, ping("c")), Lines{"pong#c"});
    EXPECT_EQ(refusals.user.value(), 2U);
    pass(1s);
    EXPECT_EQ(ask(two, ping("b")), Lines{"pong#b"});
}

TEST_F(GatewayLimits, BoundsTheMessagesOfAnAddress) {
    endpoint.address_rate = {1, 1};
    Client& one = connect("ann");
    Client& two = connect("bob");
    Client& far = connect("cid");
    Client& local = connect("dan");
    one.socket->set_address_key(77);
    two.socket->set_address_key(77);
    far.socket->set_address_key(std::uint64_t{99} << 40);
    EXPECT_EQ(ask(one, ping("a")), Lines{"pong#a"});
    EXPECT_EQ(ask(two, ping("b")), Lines{"pong#b"});
    EXPECT_EQ(ask(one, ping("a")), Lines{"error#a 4004 retry 1000"});
    EXPECT_EQ(ask(far, ping("c")), Lines{"pong#c"});
    for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(local, ping("d")), Lines{"pong#d"}) << "who has no address has no limit";
    EXPECT_EQ(refusals.address.value(), 1U);
}

TEST_F(GatewayLimits, BoundsThePublicationsOfAChannelByAllClients) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    EXPECT_EQ(ask(ann, publish("slow:a", "1", "1")), Lines{});
    EXPECT_EQ(ask(bob, publish("slow:a", "2", "1")), Lines{});
    EXPECT_EQ(ask(ann, publish("slow:a", "3", "1")), Lines{});
    EXPECT_EQ(ask(bob, publish("slow:a", "4", "1")), Lines{"error#4 4004 retry 1000"});
    EXPECT_EQ(ask(bob, publish("slow:a", "", "1")), Lines{"error 4004 retry 1000"});
    EXPECT_EQ(ask(bob, publish("slow:b", "5", "1")), Lines{}) << "another channel of the rule";
    EXPECT_EQ(ask(bob, send_signal("slow:a", "", "typing")), Lines{}) << "signals don't count";
    EXPECT_EQ(refusals.channel.value(), 2U);
    EXPECT_EQ(weftd.take().size(), 5U) << "what was refused was not sent";
}

TEST_F(GatewayLimits, BoundsTheSizeOfAChannelsData) {
    Client& ann = connect();
    EXPECT_EQ(ask(ann, publish("small:a", "1", R"("12345678")")), Lines{});
    EXPECT_EQ(ask(ann, publish("small:a", "2", R"("123456789")")), Lines{"error#2 4005"});
    EXPECT_EQ(ask(ann, send_signal("small:a", "3", "x", R"(,"data":"123456789")")), Lines{"error#3 4005"});
    EXPECT_EQ(ask(ann, publish("chat:a", "4", R"("123456789")")), Lines{});
    BackEnd observer;
    gateway().publish("small:a", R"("123456789")", {}, observer);
    EXPECT_EQ(observer.heard, Lines{"failed 4005 retry 0"}) << "for back ends, too";
    EXPECT_EQ(refusals.payload.value(), 3U);
}

TEST_F(GatewayLimits, BoundsTheMembersOfAChannel) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    Client& cid = connect("cid");
    EXPECT_EQ(ask(ann, subscribe("room:a", "1")), Lines{"subscribed#1 room:a @k.0"});
    EXPECT_EQ(ask(ann, subscribe("room:a", "2")), Lines{"subscribed#2 room:a @k.0"}) << "again is no member more";
    EXPECT_EQ(ask(bob, subscribe("room:a", "3")), Lines{"subscribed#3 room:a @k.0"});
    EXPECT_EQ(ask(cid, subscribe("room:a", "4")), Lines{"error#4 4008 retry 1000"});
    EXPECT_EQ(ask(cid, subscribe("room:b", "5")), Lines{"subscribed#5 room:b @k.0"});
    EXPECT_EQ(members.counts["room:a"], 2U);
    EXPECT_EQ(refusals.members.value(), 1U);
    hang_up(bob);
    run();
    EXPECT_EQ(ask(cid, subscribe("room:a", "6")), Lines{"subscribed#6 room:a @k.0"}) << "who goes makes room";
    EXPECT_EQ(ask(ann, unsubscribe("room:a", "7")), Lines{"unsubscribed#7 room:a"});
    EXPECT_EQ(members.counts["room:a"], 1U);
    EXPECT_EQ(members.counts.count("chat:a"), 0U);
}

TEST_F(GatewayLimits, GivesMembersBackHoweverTheyLeave) {
    weftd.answers = false;
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    ask(ann, subscribe("room:a", "1"));
    ask(bob, subscribe("room:a", "2"));
    EXPECT_EQ(members.counts["room:a"], 2U) << "those who wait for weftd count";
    weftd.send(failed(0, Code::unavailable, "room:a"));
    run();
    EXPECT_EQ(members.counts["room:a"], 0U) << "weftd refused";
    ask(ann, subscribe("room:a", "1"));
    link_down();
    run();
    EXPECT_EQ(members.counts["room:a"], 0U) << "the link was lost";
    weftd.answers = true;
    link_up();
    ask(ann, subscribe("room:a", "3"));
    EXPECT_EQ(members.counts["room:a"], 1U);
    ann.socket->end(Code::unknown_error);
    EXPECT_EQ(members.counts["room:a"], 0U);
}

TEST_F(GatewayLimits, BoundsTheSubscriptionsOfAConnection) {
    endpoint.max_subscriptions = 2;
    Client& ann = connect();
    ask(ann, subscribe("chat:a", "1"));
    ask(ann, subscribe("chat:b", "2"));
    EXPECT_EQ(ask(ann, subscribe("chat:c", "3")), Lines{"error#3 4016"});
    EXPECT_EQ(refusals.subscriptions.value(), 1U);
    ask(ann, unsubscribe("chat:a", "4"));
    EXPECT_EQ(ask(ann, subscribe("chat:c", "5")), Lines{"subscribed#5 chat:c @k.0"});
}

TEST_F(GatewayLimits, BoundsTheCallsOfAConnectionThatWait) {
    endpoint.max_rpcs = 2;
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    ask(ann, publish("chat:a", "p", "1"));
    EXPECT_EQ(ask(ann, rpc("slow", "1")), Lines{});
    EXPECT_EQ(ask(ann, rpc("slow", "2")), Lines{}) << "publications don't count";
    EXPECT_EQ(ask(ann, rpc("slow", "3")), Lines{"error#3 4004 retry 1000"});
    EXPECT_EQ(ask(bob, rpc("slow", "4")), Lines{});
    EXPECT_EQ(refusals.rpcs.value(), 1U);
    weftd.send(rpc_result(2, "1"));
    weftd.send(failed(3, Code::method_not_found));
    run();
    EXPECT_EQ(ann.take(), (Lines{"rpc_response#1 1", "error#2 4018"}));
    EXPECT_EQ(ask(ann, rpc("slow", "5")), Lines{});
    EXPECT_EQ(ask(ann, rpc("slow", "6")), Lines{});
    EXPECT_EQ(ask(ann, rpc("slow", "7")), Lines{"error#7 4004 retry 1000"});
    link_down();
    run();
    link_up();
    ann.take();
    EXPECT_EQ(ask(ann, rpc("slow", "8")), Lines{}) << "what was lost waits no more";
}

TEST_F(GatewayLimits, EndsAConnectionThatSubscribesToNothingInTime) {
    endpoint.first_subscribe = 5s;
    Client& idle = connect("ann");
    Client& active = connect("bob");
    Client& refused = connect("cid");
    pass(4s);
    EXPECT_EQ(ask(active, subscribe("chat:a", "1")), Lines{"subscribed#1 chat:a @k.0"});
    EXPECT_EQ(ask(refused, subscribe("own:somebody", "2")), Lines{"error#2 4010"});
    EXPECT_EQ(ask(idle, ping("p")), Lines{"pong#p"});
    pass(1500ms);
    EXPECT_EQ(idle.take(), Lines{"close 4019 no subscription in time"}) << "a sign of life is not enough";
    EXPECT_EQ(refused.take(), Lines{"close 4019 no subscription in time"}) << "nor is trying";
    EXPECT_EQ(refusals.first_subscribe.value(), 2U);
    EXPECT_EQ(active.take(), Lines{});
    pass(endpoint.heartbeat);
    EXPECT_EQ(active.take(), Lines{"ping"}) << "who has subscribed has a heartbeat again";
    ask(active, unsubscribe("chat:a", "3"));
    pass(6s);
    EXPECT_FALSE(active.closed()) << "and may leave later";
}

TEST_F(GatewayLimits, WaitsForNoSubscriptionByDefault) {
    Client& ann = connect();
    for (int i = 0; i < 10; ++i) {
        pass(20s);
        ask(ann, ping("x"));
    }
    EXPECT_FALSE(ann.closed());
}

TEST_F(GatewayLimits, LetsADrainGoBeforeTheFirstSubscription) {
    endpoint.first_subscribe = 5s;
    Client& ann = connect();
    ann.socket->drain(clock.now + 1s, 2s);
    ask(ann, subscribe("chat:a", "1"));
    pass(1100ms);
    EXPECT_EQ(ann.take(), Lines{"reconnect"}) << "the drain's deadline was not moved";
}

/// What a client may be refused for, over and over.
struct Abuse {
    const char* name;
    std::string message;
};

TEST_F(GatewayLimits, EndsAClientThatGoesOnAgainstALimit) {
    endpoint.max_subscriptions = 1;
    endpoint.max_rpcs = 1;
    endpoint.rate = {10'000, 0};
    const Abuse abuses[] = {
        {"size", publish("small:a", "x", R"("123456789012")")},
        {"rate", publish("slow:a", "x", "1")},
        {"subscriptions", subscribe("chat:x", "x")},
        {"rpcs", rpc("slow", "x")},
    };
    std::uint64_t ended = 0;
    for (const Abuse& abuse : abuses) {
        Client& ann = connect("ann");
        ask(ann, subscribe("chat:a", "1"));
        int sent = 0;
        Lines last;
        while (!ann.closed() && sent < 1000) {
            pass(2ms);
            const Lines lines = ask(ann, abuse.message);
            if (!lines.empty()) last = lines;
            ++sent;
            if (!last.empty() && last.back().starts_with("close")) break;
        }
        ASSERT_FALSE(last.empty()) << abuse.name;
        EXPECT_EQ(last.back(), "close 4004 rate_limited") << abuse.name;
        EXPECT_LE(sent, 110) << abuse.name;
        EXPECT_EQ(refusals.abusers.value(), ++ended) << abuse.name;
    }
}

TEST_F(GatewayLimits, ForgivesAClientThatErrsNowAndThen) {
    Client& ann = connect();
    for (int i = 0; i < 300; ++i) {
        EXPECT_EQ(ask(ann, publish("small:a", "x", R"("123456789012")")), Lines{"error#x 4005"});
        pass(1100ms);
    }
    EXPECT_FALSE(ann.closed());
    EXPECT_EQ(refusals.abusers.value(), 0U);
}

TEST_F(GatewayLimits, CountsWhatIsDeniedOrInvalid) {
    Client& ann = connect("ann");
    EXPECT_EQ(ask(ann, subscribe("own:bob", "1")), Lines{"error#1 4010"});
    EXPECT_EQ(ask(ann, subscribe("own:ann", "2")), Lines{"subscribed#2 own:ann @k.0"});
    EXPECT_EQ(ask(ann, publish("news:a", "3", "1")), Lines{"error#3 4010"});
    EXPECT_EQ(ask(ann, "nonsense"), Lines{"error 4006"});
    EXPECT_EQ(refusals.denied.value(), 2U);
    EXPECT_EQ(refusals.invalid.value(), 1U);
}

}  // namespace
}  // namespace weft
