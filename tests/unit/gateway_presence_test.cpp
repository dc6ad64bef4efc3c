// Gateway: channels with presence, over a real broker.
#include <gtest/gtest.h>

#include <string>

#include "unit/gateway_fixture.hpp"

namespace weft::test {
namespace {

std::string presence(std::string_view channel, std::string_view id, std::string_view more = {}) {
    return R"({"type":"presence")" + with_id(id) + R"(,"payload":{"channel":")" + std::string(channel) + '"' +
           std::string(more) + "}}";
}

std::shared_ptr<const Identity> somebody(std::string user, std::uint8_t actions, std::string info = {}) {
    auto identity = std::make_shared<Identity>();
    identity->user = std::move(user);
    identity->grants.add_channels(*ChannelPattern::parse("**"), actions);
    if (!info.empty()) identity->info = std::make_unique<const std::string>(std::move(info));
    return identity;
}

class GatewayPresence : public BrokerGateway {
protected:
    GatewayPresence() {
        ChannelRule room{*ChannelPattern::parse("room:*"), true};
        room.presence = true;
        rules.add(room);
        ChannelRule hall{*ChannelPattern::parse("hall:*"), true};
        hall.presence = true;
        hall.presence_counts = true;
        rules.add(hall);
        pass(2s);  // weftd knows everybody
    }
    /// The last frame that the client was sent, at a JSON pointer.
    static std::string last(Client& client, std::string_view pointer) { return json_at(client.texts.back(), pointer); }

    /// A connection of `user` that is in `channel`; what it was told so far is taken.
    Client& member(const std::string& user, const std::string& channel = "room:a", const std::string& info = {}) {
        Client& client = connect(somebody(user, 31, info), endpoint, wire);
        say(client, subscribe(channel, "s"));
        run();
        client.take();
        return client;
    }
};

TEST_F(GatewayPresence, TellsSubscribersWhoJoinsAndWhoLeaves) {
    Client& ann = member("ann");
    Client& bob = member("bob", "room:a", R"({"age":1.50})");
    EXPECT_EQ(ann.take(), Lines{"join room:a"});
    EXPECT_EQ(last(ann, "/payload/member/user"), "bob");
    EXPECT_NE(ann.texts.back().find(R"("info":{"age":1.50})"), std::string::npos) << "byte for byte";
    EXPECT_EQ(last(ann, "/payload/member/client_id").size(), 16u);
    EXPECT_EQ(last(ann, "/payload/first"), "true");
    EXPECT_EQ(last(ann, "/payload/count"), "2");
    hang_up(bob);
    pass(9s);
    EXPECT_EQ(ann.take(), Lines{});
    pass(2s);
    EXPECT_EQ(ann.take(), Lines{"leave room:a"});
    EXPECT_EQ(last(ann, "/payload/member/user"), "bob");
    EXPECT_EQ(last(ann, "/payload/last"), "true");
}

TEST_F(GatewayPresence, TellsTheJoiningOneOfItselfBehindItsAnswer) {
    member("ann");
    Client& bob = connect(somebody("bob", 31), endpoint, wire);
    EXPECT_EQ(ask(bob, subscribe("room:a", "1")).size(), 2u);
    EXPECT_EQ(json_at(bob.texts.front(), "/type"), "subscribed");
    EXPECT_EQ(json_at(bob.texts.front(), "/payload/members"), "1");
    EXPECT_EQ(last(bob, "/payload/member/user"), "bob");
}

TEST_F(GatewayPresence, TellsOnlyWhoseTicketGrantsIt) {
    const auto subscribe_only = static_cast<std::uint8_t>(Action::subscribe);
    Client& deaf = connect(somebody("deaf", subscribe_only), endpoint, wire);
    Client& ann = member("ann");
    ask(deaf, subscribe("room:a", "1"));
    EXPECT_EQ(json_at(deaf.texts.front(), "/payload/members"), "");
    EXPECT_EQ(ann.take(), Lines{"join room:a"}) << "it is a member all the same";
    member("bob");
    EXPECT_EQ(ann.take(), Lines{"join room:a"});
    EXPECT_EQ(deaf.take(), Lines{});
    EXPECT_EQ(ask(deaf, presence("room:a", "2")), Lines{"error#2 4010"});
    // Events go to all.
    ask(ann, publish("room:a", "", "1"));
    EXPECT_EQ(deaf.take().size(), 1u);
}

TEST_F(GatewayPresence, ListsMembersPageByPage) {
    Client& ann = member("ann");
    member("bob", "room:a", R"({"x":[]})");
    member("cid");
    ann.take();
    EXPECT_EQ(ask(ann, presence("room:a", "1")), Lines{"presence#1 room:a"});
    EXPECT_EQ(last(ann, "/payload/count"), "3");
    EXPECT_EQ(last(ann, "/payload/users"), "3");
    EXPECT_EQ(last(ann, "/payload/complete"), "true");
    std::string users;
    std::string after;
    for (const char* const complete : {"false", "false", "true"}) {
        ask(ann, presence("room:a", "2", R"(,"limit":1,"after":")" + after + '"'));
        users += last(ann, "/payload/members/0/user");
        after = last(ann, "/payload/members/0/id");
        EXPECT_EQ(last(ann, "/payload/complete"), complete);
    }
    for (const char* const user : {"ann", "bob", "cid"}) EXPECT_NE(users.find(user), std::string::npos);
    EXPECT_EQ(ask(ann, presence("room:a", "3", R"(,"after":"x")")), Lines{"error#3 4006"});
    EXPECT_EQ(ask(ann, presence("room:a", "4", R"(,"limit":0)")), Lines{"error#4 4006"});
    EXPECT_EQ(ask(ann, presence("chat:a", "5")), Lines{"error#5 4010"});
    EXPECT_EQ(ask(ann, presence("room:empty", "6")), Lines{"presence#6 room:empty"});
    EXPECT_EQ(last(ann, "/payload/count"), "0");
}

TEST_F(GatewayPresence, SaysNothingOfAClientThatComesBackInTime) {
    Client& ann = member("ann");
    Client& bob = member("bob");
    ann.take();
    hang_up(bob);
    pass(5s);
    member("bob");
    pass(15s);
    EXPECT_EQ(ann.take(), Lines{});
}

TEST_F(GatewayPresence, LetsABannedClientLeaveAtOnce) {
    Client& ann = member("ann");
    Client& bob = member("bob");
    Client& cid = member("cid");
    ann.take();
    v1::Revocation revocation;
    revocation.set_kind(v1::Revocation::DISCONNECT);
    revocation.set_user("bob");
    BackEnd nobody;
    gateway().revoke(revocation, {}, nobody);
    run();
    EXPECT_EQ(ann.take(), Lines{"leave room:a"});
    revocation.set_kind(v1::Revocation::UNSUBSCRIBE);
    revocation.set_user("cid");
    revocation.set_channel("room:a");
    gateway().revoke(revocation, {}, nobody);
    run();
    EXPECT_EQ(ann.take(), Lines{"leave room:a"});
    bob.take();
    cid.take();
}

TEST_F(GatewayPresence, AnnouncesItsMembersAgainToAWeftdThatForgotThem) {
    Client& ann = member("ann");
    for (int i = 0; i < 100; ++i) member("u" + std::to_string(i));
    ann.take();
    link_down();
    weftd.restart();
    link_up();
    pass(3s);
    Lines told = ann.take();
    EXPECT_EQ(told.size(), 2u) << "a gap of publications, and one of members";
    EXPECT_EQ(told.back(), "presence_gap room:a");
    ask(ann, presence("room:a", "1", R"(,"limit":1)"));
    EXPECT_EQ(last(ann, "/payload/count"), "101");
}

TEST_F(GatewayPresence, SaysThatChangesMayHaveBeenMissedAfterALossOfTheLink) {
    Client& ann = member("ann");
    link_down();
    link_up();
    EXPECT_EQ(ann.take(), Lines{"presence_gap room:a"});
    pass(15s);
    EXPECT_EQ(ann.take(), Lines{}) << "it has been there all the time";
}

TEST_F(GatewayPresence, CountsOnlyWhereTheRuleSaysSo) {
    Client& ann = member("ann", "hall:a");
    for (int i = 0; i < 50; ++i) member("ann", "hall:a");
    pass(1s);
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_EQ(ask(ann, presence("hall:a", "1")), Lines{"presence#1 hall:a"});
    EXPECT_EQ(last(ann, "/payload/count"), "51");
    EXPECT_EQ(last(ann, "/payload/members"), "");
    EXPECT_EQ(last(ann, "/payload/users"), "");
    Client& late = connect(somebody("late", 31), endpoint, wire);
    ask(late, subscribe("hall:a", "1"));
    EXPECT_EQ(json_at(late.texts.front(), "/payload/members"), "51");
    for (auto& client : clients()) {
        if (client.get() != &ann) hang_up(*client);
    }
    pass(1s);
    ask(ann, presence("hall:a", "2"));
    EXPECT_EQ(last(ann, "/payload/count"), "1");
    ask(ann, unsubscribe("hall:a", "3"));
    pass(1s);
    ask(ann, presence("hall:a", "4"));
    EXPECT_EQ(last(ann, "/payload/count"), "0");
}

TEST_F(GatewayPresence, AsksNothingOfWeftdForChannelsWithout) {
    Client& ann = connect("ann");
    ask(ann, subscribe("chat:a", "1"));
    EXPECT_EQ(json_at(ann.texts.front(), "/payload/members"), "");
    EXPECT_EQ(weftd.broker().counts().members, 0u);
}

}  // namespace
}  // namespace weft::test
