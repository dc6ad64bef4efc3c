// Clients that an operator wants gone.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class GatewayRevocations : public ScriptedGateway {
protected:
    static std::function<void(v1::Revocation&)> user(const std::string& name) {
        return [name](v1::Revocation& out) { out.set_user(name); };
    }
    std::shared_ptr<const Identity> with_ticket(const std::string& name, const std::string& ticket) {
        auto identity = std::const_pointer_cast<Identity>(everything(name));
        identity->ticket = Revocations::ticket_hash(ticket);
        identity->since = clock.wall;
        return identity;
    }
    Client& connect_since(const std::string& name, WallTime since) {
        auto identity = std::const_pointer_cast<Identity>(everything(name));
        identity->since = since;
        return connect(std::move(identity), endpoint, wire);
    }
    void tell(const v1::Frame& frame) {
        weftd.send(frame);
        run();
    }
    Lines greet(const std::string& name) {
        Client& client = accept(endpoint, wire);
        gateway().open(*client.socket, everything(name));
        run();
        return client.take();
    }
};

TEST_F(GatewayRevocations, DisconnectsAUserEverywhereInTheWorkerAndNobodyElse) {
    Client& ann = connect("ann");
    Client& ann_again = connect("ann");
    Client& bob = connect("bob");
    tell(revocation(v1::Revocation::DISCONNECT, user("ann")));
    EXPECT_EQ(ann.take(), (Lines{"error 4013", "close 4013 revoked"}));
    EXPECT_EQ(ann_again.take(), (Lines{"error 4013", "close 4013 revoked"}));
    EXPECT_EQ(bob.take(), Lines{});
    EXPECT_EQ(counters.revoked.value(), 2u);
    EXPECT_EQ(greet("ann"), Lines{"connection_established"}) << "she may come back";
}

TEST_F(GatewayRevocations, DisconnectsOneConnectionByItsClientId) {
    Client& one = connect("ann");
    Client& other = connect("ann");
    tell(revocation(v1::Revocation::DISCONNECT, [&](auto& out) { out.set_client_id(one.id); }));
    EXPECT_EQ(one.take().size(), 2u);
    EXPECT_EQ(other.take(), Lines{});
}

TEST_F(GatewayRevocations, DisconnectsByTicket) {
    Client& one = connect(with_ticket("ann", "t-1"), endpoint, wire);
    Client& other = connect(with_ticket("ann", "t-2"), endpoint, wire);
    Client& none = connect("ann");
    tell(revocation(v1::Revocation::DISCONNECT, [](auto& out) { out.set_ticket("t-1"); }));
    EXPECT_EQ(one.take().size(), 2u);
    EXPECT_EQ(other.take(), Lines{});
    EXPECT_EQ(none.take(), Lines{});
}

TEST_F(GatewayRevocations, SparesThoseWhoCameAfterADisconnectThatIsToldLate) {
    Client& before = connect_since("ann", clock.wall - 1s);
    Client& after = connect_since("ann", clock.wall + 1s);
    v1::Frame late = revocation(v1::Revocation::DISCONNECT, user("ann"));
    late.mutable_revocation()->set_late(true);
    tell(late);
    EXPECT_EQ(before.take().size(), 2u);
    EXPECT_EQ(after.take(), Lines{});
}

TEST_F(GatewayRevocations, ActsOnADecisionOnce) {
    const v1::Frame frame = revocation(v1::Revocation::DISCONNECT, user("ann"));
    tell(frame);
    Client& ann = connect("ann");
    tell(frame);
    EXPECT_EQ(ann.take(), Lines{});
}

TEST_F(GatewayRevocations, BansUntilTheTimeIsOver) {
    Client& ann = connect("ann");
    tell(revocation(v1::Revocation::BAN, user("ann")));
    EXPECT_EQ(ann.take(), (Lines{"error 4009 retry 60000", "close 4009 banned"}));
    pass(20s);
    EXPECT_EQ(greet("ann"), (Lines{"error 4009 retry 40000", "close 4009 banned"}));
    EXPECT_EQ(counters.banned.value(), 1u);
    EXPECT_EQ(greet("bob"), Lines{"connection_established"});
    pass(40s);
    EXPECT_EQ(greet("ann"), Lines{"connection_established"});
}

TEST_F(GatewayRevocations, LiftsABan) {
    tell(revocation(v1::Revocation::BAN, user("ann")));
    v1::Frame lift = revocation(v1::Revocation::BAN, user("ann"));
    lift.mutable_revocation()->set_lifted(true);
    tell(lift);
    EXPECT_EQ(greet("ann"), Lines{"connection_established"});
}

TEST_F(GatewayRevocations, TakesAUserOutOfOneChannel) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    for (Client* client : {&ann, &bob}) {
        ask(*client, subscribe("chat:a", "1"));
        ask(*client, subscribe("chat:b", "2"));
    }
    weftd.take();
    tell(revocation(v1::Revocation::UNSUBSCRIBE, [](auto& out) {
        out.set_user("ann");
        out.set_channel("chat:a");
    }));
    EXPECT_EQ(ann.take(), Lines{"unsubscribed chat:a 4013"});
    weftd.send(publication("chat:a", "1", "k.1"));
    weftd.send(publication("chat:b", "2", "k.1"));
    run();
    EXPECT_EQ(ann.take(), Lines{"event chat:b 2 @k.1"});
    EXPECT_EQ(bob.take(), (Lines{"event chat:a 1 @k.1", "event chat:b 2 @k.1"}));
    tell(revocation(v1::Revocation::UNSUBSCRIBE, [](auto& out) {
        out.set_user("bob");
        out.set_channel("chat:a");
    }));
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"}) << "the last has left";
}

TEST_F(GatewayRevocations, AnswersASubscribeThatWaitsForWeftdWhenItsChannelIsTaken) {
    Client& ann = connect("ann");
    weftd.answers = false;
    ask(ann, subscribe("chat:a", "1"));
    tell(revocation(v1::Revocation::UNSUBSCRIBE, [](auto& out) {
        out.set_user("ann");
        out.set_channel("chat:a");
    }));
    EXPECT_EQ(ann.take(), Lines{"error#1 4013"});
    weftd.send(subscribed("chat:a", "k.0"));
    run();
    EXPECT_EQ(ann.take(), Lines{}) << "she isn't in it";
}

TEST_F(GatewayRevocations, ReachesThoseWhoAreLeavingAlready) {
    Client& ann = connect("ann");
    receive(ann, client_frame(Opcode::close, close_payload(1000)));
    tell(revocation(v1::Revocation::DISCONNECT, user("ann")));
    const Lines lines = ann.take();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_TRUE(lines[0].starts_with("close 1000")) << lines[0];
}

// --- races -------------------------------------------------------------------------------------------------------

TEST_F(GatewayRevocations, EndsWhoWasLetInBeforeTheDecisionAndIsOpenedAfterIt) {
    const std::uint64_t decided = gateway().decisions();  // as upgrade() takes it
    Client& ann = accept(endpoint, wire);
    Client& bob = accept(endpoint, wire);
    tell(revocation(v1::Revocation::DISCONNECT, user("ann")));
    gateway().open(*ann.socket, with_ticket("ann", "t-1"), decided);
    gateway().open(*bob.socket, with_ticket("bob", "t-2"), decided);
    run();
    EXPECT_EQ(ann.take(), (Lines{"error 4013", "close 4013 revoked"}));
    EXPECT_EQ(bob.take(), Lines{"connection_established"});
    EXPECT_EQ(counters.revoked.value(), 1u);
}

TEST_F(GatewayRevocations, LetsInWhoComesInTheSameTurnAsADecisionAboutThem) {
    Client& before = connect("ann");
    weftd.send(revocation(v1::Revocation::DISCONNECT, user("ann")));
    carry_in();  // known, and the turn goes on
    Client& after = accept(endpoint, wire);
    gateway().open(*after.socket, everything("ann"));
    run();
    EXPECT_EQ(before.take().size(), 2u);
    EXPECT_EQ(after.take(), Lines{"connection_established"});
}

TEST_F(GatewayRevocations, RefusesABannedStrangerWhoseAuthIsUnderWay) {
    tokens["good"] = everything("ann");
    Client& ann = accept(endpoint, wire);
    gateway().await_auth(*ann.socket);
    run();
    weftd.send(revocation(v1::Revocation::BAN, user("ann")));
    carry_in();  // in the same turn as her message
    say(ann, R"({"type":"auth","id":"1","payload":{"token":"good"}})");
    run();
    EXPECT_EQ(ann.take(), (Lines{"error#1 4009 retry 60000", "close 4009 banned"}));
    EXPECT_EQ(counters.banned.value(), 1u);
}

TEST_F(GatewayRevocations, EndsABannedUserWhoRefreshes) {
    tokens["new"] = everything("ann");
    auto identity = std::const_pointer_cast<Identity>(everything("ann"));
    identity->expires_at = clock.wall + 1h;
    Client& ann = connect(std::move(identity), endpoint, wire);
    weftd.send(revocation(v1::Revocation::BAN, user("ann")));
    carry_in();
    say(ann, R"({"type":"refresh","id":"1","payload":{"token":"new"}})");
    run();
    EXPECT_EQ(ann.take(), (Lines{"error 4009 retry 60000", "close 4009 banned"}));
}

TEST_F(GatewayRevocations, EndsWhoRefreshesWithABannedTicket) {
    tokens["stolen"] = with_ticket("ann", "t-9");
    auto identity = std::const_pointer_cast<Identity>(everything("ann"));
    identity->expires_at = clock.wall + 1h;
    Client& ann = connect(std::move(identity), endpoint, wire);
    tell(revocation(v1::Revocation::BAN, [](auto& out) { out.set_ticket("t-9"); }));
    EXPECT_EQ(ann.take(), Lines{}) << "she came with another";
    say(ann, R"({"type":"refresh","id":"1","payload":{"token":"stolen"}})");
    run();
    EXPECT_EQ(ann.take(), (Lines{"error#1 4009 retry 60000", "close 4009 banned"}));
}

TEST_F(GatewayRevocations, DisconnectsAThousandConnectionsOfAUserInOneWalk) {
    std::vector<Client*> all;
    for (int i = 0; i < 1000; ++i) all.push_back(&connect("ann"));
    for (Client* client : all) say(*client, subscribe("chat:a", {}));
    run();
    for (Client* client : all) client->take();
    weftd.take();
    visits = turns = 0;
    tell(revocation(v1::Revocation::DISCONNECT, user("ann")));
    EXPECT_EQ(visits, 1u);
    EXPECT_LE(turns, 2u);
    for (Client* client : all) EXPECT_EQ(client->take(), (Lines{"error 4013", "close 4013 revoked"}));
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
    EXPECT_EQ(counters.subscriptions.value(), 0u);
}

TEST_F(GatewayRevocations, WalksOverItsConnectionsOnceForManyDecisionsThatComeTogether) {
    Client& last = connect("u9999");
    Client& nobody = connect("ann");
    for (int i = 0; i < 10'000; ++i) {
        weftd.send(revocation(v1::Revocation::DISCONNECT, user("u" + std::to_string(i))));
    }
    visits = 0;
    run();
    EXPECT_EQ(last.take().size(), 2u);
    EXPECT_EQ(nobody.take(), Lines{});
    EXPECT_LE(visits, 10'000 / Gateway::kMaxDecided + 1);
}

TEST_F(GatewayRevocations, TakesNothingOutOfItsOrderWhenDecisionsAreCarriedOutTogether) {
    Client& ann = connect("ann");
    ask(ann, subscribe("chat:a", {}));
    weftd.send(publication("chat:a", "1", "k.1"));
    weftd.send(revocation(v1::Revocation::UNSUBSCRIBE, [](auto& out) {
        out.set_user("ann");
        out.set_channel("chat:a");
    }));
    weftd.send(publication("chat:a", "2", "k.2"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "unsubscribed chat:a 4013"}));
}

TEST_F(GatewayRevocations, TellsAllItRemembersWithoutCrowdingTheLink) {
    for (std::size_t i = 0; i < Revocations::kMax; ++i) {
        weftd.send(revocation(v1::Revocation::UNSUBSCRIBE, [i](auto& out) {
            std::string name = std::to_string(i);
            name.resize(255, 'x');
            out.set_user(name);
            out.set_channel(name);
        }));
    }
    run();
    ASSERT_EQ(gateway().revocations().size(), Revocations::kMax);
    link_down();
    gateway().link().on_connected(clock.now);
    carry_out();
    carry_in();  // the link is up, and all of it is queued
    EXPECT_GT(gateway().link().queued_bytes(), Revocations::kMax * 510);
    EXPECT_LT(gateway().link().queued_bytes(), Gateway::kCongestedBytes);
    EXPECT_FALSE(gateway().congested());
}

// --- grants ----------------------------------------------------------------------------------------------------------

TEST_F(GatewayRevocations, GivesAUsersConnectionsOtherGrants) {
    Client& ann = subscriber("chat:a", "ann");
    Client& bob = subscriber("chat:a", "bob");
    tell(revocation(v1::Revocation::GRANT, [](auto& out) {
        out.set_user("ann");
        out.set_grants(R"({"channels":{"chat:b":["*"]}})");
    }));
    EXPECT_EQ(ann.take(), Lines{"unsubscribed chat:a 4010"});
    EXPECT_EQ(ask(ann, subscribe("chat:a", "1")), Lines{"error#1 4010"});
    EXPECT_EQ(ask(ann, subscribe("chat:b", "2")), Lines{"subscribed#2 chat:b @k.0"});
    EXPECT_EQ(bob.take(), Lines{});
    EXPECT_EQ(counters.revoked.value(), 0U);
    Client& late = connect("ann");
    EXPECT_EQ(ask(late, subscribe("chat:a", "3")), Lines{"subscribed#3 chat:a @k.0"});
}

TEST_F(GatewayRevocations, GivesConnectionsAnotherEndAndLeavesTheRest) {
    Client& ann = subscriber("chat:a", "ann");
    tell(revocation(v1::Revocation::GRANT, [this](auto& out) {
        out.set_user("ann");
        out.set_expires_ms((clock.wall + 2s).time_since_epoch().count());
    }));
    EXPECT_EQ(ask(ann, publish("chat:a", "", "1")), Lines{});
    pass(2s + endpoint.leeway);
    const Lines heard = ann.take();
    ASSERT_FALSE(heard.empty());
    EXPECT_EQ(heard.back(), "close 4012 token_expired");
}

TEST_F(GatewayRevocations, SparesThoseWhoCameAfterAGrantThatIsToldLate) {
    Client& before = connect_since("ann", clock.wall - 1s);
    Client& after = connect_since("ann", clock.wall + 1s);
    v1::Frame late = revocation(v1::Revocation::GRANT, [](auto& out) {
        out.set_user("ann");
        out.set_grants(R"({"channels":{}})");
    });
    late.mutable_revocation()->set_late(true);
    tell(late);
    EXPECT_EQ(ask(before, subscribe("chat:a", "1")), Lines{"error#1 4010"});
    EXPECT_EQ(ask(after, subscribe("chat:a", "2")), Lines{"subscribed#2 chat:a @k.0"});
}

TEST_F(GatewayRevocations, IgnoresGrantsThatItCantRead) {
    Client& ann = connect("ann");
    tell(revocation(v1::Revocation::GRANT, [](auto& out) {
        out.set_user("ann");
        out.set_grants(R"({"channels":7})");
    }));
    EXPECT_EQ(ask(ann, subscribe("chat:a", "1")), Lines{"subscribed#1 chat:a @k.0"});
    EXPECT_NE(logged.back().find("error: can't read the grants of a refresh"), std::string::npos);
}

class GatewayAndBrokerRevocations : public BrokerGateway {};

TEST_F(GatewayAndBrokerRevocations, AWorkerTellsAWeftdThatForgot) {
    BackEnd answer;
    v1::Revocation ban;
    ban.set_kind(v1::Revocation::BAN);
    ban.set_user("ann");
    gateway().revoke(ban, 60s, answer);
    run();
    EXPECT_EQ(answer.heard, Lines{"published  @"});
    link_down();
    weftd.restart();
    int told = 0;
    Client& ann = accept(endpoint, wire);
    link_up();
    weftd.on_sent = [&](const v1::Frame& frame) { told += frame.has_revocation() ? 1 : 0; };
    gateway().open(*ann.socket, everything("ann"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"error 4009 retry 60000", "close 4009 banned"}));
    // Another worker learns it from the weftd that was started anew.
    link_down();
    link_up();
    EXPECT_GT(told, 0);
}

TEST_F(GatewayAndBrokerRevocations, ABanWithoutATimeIsRefused) {
    BackEnd answer;
    v1::Revocation ban;
    ban.set_kind(v1::Revocation::BAN);
    ban.set_user("ann");
    gateway().revoke(ban, 0s, answer);
    run();
    EXPECT_EQ(answer.heard, Lines{"failed 4006 retry 0"});
}

}  // namespace
}  // namespace weft
