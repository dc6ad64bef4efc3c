// Channels that a connection is put into without a word of its client, and clients that know nothing of frames.
#include "codec/raw_codec.hpp"
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class GatewayEntrance : public ScriptedGateway {
protected:
    RawCodec raw;
    WebSocketWire raw_wire{1, raw};

    /// A client that is put into channels; the first is its home if it has one.
    Client& enter(std::vector<std::string> channels, bool home, WebSocketWire& with,
                  std::shared_ptr<const Identity> identity = everything("ann")) {
        Client& client = accept(endpoint, with);
        auto entrance = std::make_unique<Entrance>();
        if (home) entrance->home = channels.front();
        for (std::string& channel : channels) entrance->channels.push_back({std::move(channel), std::nullopt});
        client.socket->enter_by(std::move(entrance));
        gateway().open(*client.socket, std::move(identity));
        run();
        return client;
    }
    static std::shared_ptr<const Identity> may(const char* pattern, unsigned actions) {
        auto identity = std::make_shared<Identity>();
        identity->user = "bob";
        identity->grants.add_channels(*ChannelPattern::parse(pattern), static_cast<std::uint8_t>(actions));
        return identity;
    }
};

TEST_F(GatewayEntrance, PutsOneIntoChannelsAndSaysSo) {
    Client& ann = enter({"chat:a", "chat:b"}, false, wire);
    EXPECT_EQ(ann.take(), (Lines{"connection_established", "subscribed chat:a @k.0", "subscribed chat:b @k.0"}))
        << "answers to nobody's question have no id";
    EXPECT_EQ(weftd.take(), (Lines{"subscribe chat:a", "subscribe chat:b"}));
    deliver({publication("chat:b", "1", "k.1")});
    EXPECT_EQ(ann.take(), Lines{"event chat:b 1 @k.1"});
    EXPECT_EQ(ask(ann, unsubscribe("chat:a", "u")), Lines{"unsubscribed#u chat:a"}) << "it can go as it likes";
}

TEST_F(GatewayEntrance, EndsWhenAChannelIsRefused) {
    const struct {
        const char* channel;
        std::shared_ptr<const Identity> identity;
        int code;
    } cases[] = {
        {"nowhere", everything("ann"), 4007},
        {"chat:b", may("chat:a", 31), 4010},
    };
    for (const auto& [channel, identity, code] : cases) {
        Client& client = enter({"chat:a", channel}, false, wire, identity);
        const Lines told = client.take();
        ASSERT_GE(told.size(), 3U);
        EXPECT_EQ(told[told.size() - 2], "error " + std::to_string(code));
        EXPECT_TRUE(told.back().starts_with("close " + std::to_string(code))) << told.back();
        EXPECT_EQ(counters.subscriptions.value(), 0U) << "all or none";
        remove_now(client);
    }
}

TEST_F(GatewayEntrance, EndsWhenWeftdRefusesAChannel) {
    weftd.answers = false;
    Client& ann = enter({"chat:a"}, false, wire);
    EXPECT_EQ(ann.take(), Lines{"connection_established"});
    deliver({failed(0, Code::channel_full, "chat:a")});
    const Lines told = ann.take();
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0], "error 4008");
    EXPECT_TRUE(told[1].starts_with("close 4008")) << told[1];
}

TEST_F(GatewayEntrance, EndsWhenTheLinkGoesBeforeOneIsInAllChannels) {
    std::vector<std::string> channels;
    for (int i = 0; i < 20; ++i) channels.push_back("chat:" + std::to_string(i));
    for (const std::string& last : channels) {  // in whichever order they are walked over
        weftd.answers = false;
        Client& ann = enter(channels, false, wire);
        for (const std::string& channel : channels) {
            if (channel != last) deliver({subscribed(channel, "k.0")});
        }
        ann.take();
        link_down();
        run();
        const Lines told = ann.take();
        ASSERT_EQ(told.size(), 2U) << last;
        EXPECT_EQ(told[0], "error 4017 retry 1000");
        EXPECT_TRUE(told[1].starts_with("close 4017")) << told[1];
        EXPECT_EQ(counters.channels.value(), 0U);
        remove_now(ann);
        link_up();
    }
}

TEST_F(GatewayEntrance, EndsWhenAChannelIsTakenAwayThatItWaitsFor) {
    weftd.answers = false;
    for (const char* const kept : {"chat:a", "chat:b", "chat:c"}) {
        Client& ann = enter({"chat:a", "chat:b", "chat:c"}, false, wire);
        ann.take();
        deliver({revocation(v1::Revocation::GRANT, [kept](auto& out) {
            out.set_user("ann");
            out.set_grants(R"({"channels":{")" + std::string(kept) + R"(":["*"]}})");
        })});
        const Lines told = ann.take();
        ASSERT_EQ(told.size(), 2U) << kept;
        EXPECT_EQ(told[0], "error 4010");
        EXPECT_TRUE(told[1].starts_with("close 4010")) << told[1];
        for (const char* const channel : {"chat:a", "chat:b", "chat:c"}) deliver({subscribed(channel, "k.0")});
        EXPECT_EQ(ann.take(), Lines{}) << "it is in none";
        remove_now(ann);
    }
}

TEST_F(GatewayEntrance, ReadsOnOnlyWhenOneIsInAllChannels) {
    weftd.answers = false;
    Client& ann = enter({"chat:a", "chat:b"}, true, raw_wire);
    EXPECT_FALSE(ann.socket->may_read()) << "what it says it wants to hear";
    deliver({subscribed("chat:a", "k.0")});
    EXPECT_FALSE(ann.socket->may_read());
    deliver({subscribed("chat:b", "k.0")});
    EXPECT_TRUE(ann.socket->may_read());
}

TEST_F(GatewayEntrance, PublishesWhatAPlainClientSaysToItsHome) {
    Client& ann = enter({"chat:a", "chat:b"}, true, raw_wire);
    ann.take();
    EXPECT_EQ(ann.texts, Lines{}) << "it is greeted by nothing";
    weftd.take();
    say(ann, "hello \"you\"");
    run();
    EXPECT_EQ(weftd.take(), Lines{R"(publish 1 chat:a "hello \"you\"" by ann)"});
    deliver(
        {publication("chat:a", R"("hello \"you\"")", "k.1", ann.id), publication("chat:b", R"({"n":1.50})", "k.1")});
    ann.take();
    EXPECT_EQ(ann.texts, (Lines{"hello \"you\"", R"({"n":1.50})"}));
}

TEST_F(GatewayEntrance, TellsAPlainClientWhatItMayNotSay) {
    Client& bob = enter({"news:a"}, true, raw_wire);
    bob.take();
    say(bob, "news");
    run();
    EXPECT_EQ(bob.take(), Lines{"error 4010"}) << "the channel's rule doesn't let clients publish";
    Client& lost = enter({"chat:a"}, false, raw_wire);
    lost.take();
    say(lost, "to whom?");
    run();
    EXPECT_EQ(lost.take(), Lines{"error 4011"}) << "it has no home";
}

TEST_F(GatewayEntrance, TellsAPlainClientOfLossesAndEndings) {
    Client& ann = enter({"chat:a"}, true, raw_wire);
    ann.take();
    deliver({gap("chat:a", "k.7")});
    EXPECT_EQ(ann.take(), Lines{"gap chat:a"});
    ann.socket->drain_now();
    run();
    const Lines told = ann.take();
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0], "reconnect");
    EXPECT_TRUE(told[1].starts_with("close 1012")) << told[1];
}

}  // namespace
}  // namespace weft
