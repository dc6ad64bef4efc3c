// Channels with history in a worker, before a real broker: resumes, readers that know more than their node, losses of
// the link.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

constexpr LinkId kPeer = 1'000'000;

class GatewayHistory : public testing::Test, public BrokerWorld {
protected:
    GatewayHistory() {
        endpoint.rate = {};
        rules = ChannelRules();
        ChannelRule rule{*ChannelPattern::parse("chat:*"), true};
        rule.history_count = 1000;
        rule.history_age = std::chrono::hours(1);
        rules.add(std::move(rule));
        say_rules(1000);
        link_up();
    }
    void say_rules(std::uint32_t count) {
        v1::ChannelRules said;
        said.set_generation(++generation_);
        v1::ChannelRule& rule = *said.add_rules();
        rule.set_pattern("chat:*");
        rule.mutable_history()->set_count(count);
        rule.mutable_history()->set_age_ms(3'600'000);
        weftd.broker().on_rules(said);
    }
    /// A peer's entry comes. Stream 11 is "b" in a position.
    void from_peer(std::uint64_t number, StreamId stream = 11, const std::string& own_id = {},
                   const std::string& user = {}) {
        if (!peer_up_) weftd.broker().on_link_up(kPeer, LinkRole::peer_out, "node-b", clock.now);
        peer_up_ = true;
        v1::Frame frame;
        v1::Publication& out = *frame.mutable_publication();
        out.set_channel("chat:a");
        out.set_data("\"b" + std::to_string(number) + '"');
        out.set_message_id(own_id.empty() ? "m" : own_id);
        out.set_own_id(!own_id.empty());
        if (!user.empty()) out.mutable_publisher()->set_user(user);
        out.set_stream(stream);
        out.set_number(number);
        out.mutable_retention()->set_count(1000);
        out.mutable_retention()->set_age_ms(3'600'000);
        weftd.broker().on_frame(kPeer, frame, clock.now, clock.wall);
        run();
    }
    Client& member(const std::string& position = {}) {
        Client& client = connect("ann");
        say(client, position.empty() ? subscribe("chat:a", "s") : resume("chat:a", "s", position));
        run();
        return client;
    }
    /// weftd tells the worker, and nothing else, of a decision about bob.
    void decide(v1::Revocation::Kind kind, const std::function<void(v1::Revocation&)>& set) {
        const v1::Frame frame = revocation(kind, [&set](auto& out) {
            out.set_user("bob");
            set(out);
        });
        weftd.listener().send(frame.SerializeAsString(), clock.now);
        carry_in();
        end_turn();
    }
    void publish_some(Client& client, int from, int to) {
        for (int i = from; i <= to; ++i) {
            say(client, publish("chat:a", "", std::to_string(i)));
            run();
        }
    }
    /// "event 1" or "subscribed recovered" of each line: without channel and position.
    static Lines short_lines(const Lines& lines) {
        Lines all;
        for (std::string line : lines) {
            if (line == "connection_established") continue;
            for (const char* const word : {"#s", " chat:a"}) {
                if (const auto place = line.find(word); place != line.npos) line.erase(place, std::strlen(word));
            }
            if (const auto place = line.find(" @"); place != line.npos) {
                line.erase(place, std::min(line.find(' ', place + 1), line.size()) - place);
            }
            all.push_back(std::move(line));
        }
        return all;
    }
    /// The position in the last frame that has one.
    static std::string last_position(const Client& client) {
        for (auto text = client.texts.rbegin(); text != client.texts.rend(); ++text) {
            if (std::string position = json_at(*text, "/payload/position"); !position.empty()) return position;
        }
        return {};
    }

    std::uint64_t generation_ = 0;
    bool peer_up_ = false;
};

TEST_F(GatewayHistory, ReplaysWhatWasMissedInOrderBeforeWhatIsNew) {
    Client& ann = member();
    publish_some(ann, 1, 2);
    ann.take();
    const std::string position = last_position(ann);
    publish_some(ann, 3, 5);
    Client& bob = member(position);
    publish_some(ann, 6, 6);
    EXPECT_EQ(short_lines(bob.take()), (Lines{"subscribed recovered", "event 3", "event 4", "event 5", "event 6"}));
    EXPECT_EQ(json_at(bob.texts[0], "/payload/replay"), "3");
    ann.take();
    EXPECT_EQ(last_position(bob), last_position(ann));
}

TEST_F(GatewayHistory, DeliversAPublicationOnceThatTwoNodesHaveTaken) {
    Client& ann = member();
    say(ann, publish("chat:a", "", "1", R"(,"message_id":"m-1")"));
    run();
    ann.take();
    const std::string before = last_position(ann);
    from_peer(1, 11, "m-1", "ann");
    EXPECT_EQ(short_lines(ann.take()), Lines{}) << "she has it";
    Client& bob = member(before);
    EXPECT_EQ(short_lines(bob.take()), Lines{"subscribed recovered"}) << "so has he";
    EXPECT_EQ(json_at(bob.texts[0], "/payload/replay"), "0");
    Client& eve = member("b.0");
    EXPECT_EQ(short_lines(eve.take()).size(), 2u) << "she had neither, and is given one";
    from_peer(2);
    for (Client* const client : {&ann, &bob, &eve}) EXPECT_EQ(short_lines(client->take()), Lines{"event b2"});
    EXPECT_EQ(last_position(ann), last_position(bob));
}

TEST_F(GatewayHistory, GivesTheNewestToWhoeverComesWhereTheRuleSaysSo) {
    rules = ChannelRules();
    ChannelRule rule{*ChannelPattern::parse("chat:*"), true};
    rule.history_count = 1000;
    rule.latest = true;
    rules.add(std::move(rule));
    Client& ann = member();
    EXPECT_EQ(short_lines(ann.take()), Lines{"subscribed"}) << "nothing is there";
    publish_some(ann, 1, 3);
    ann.take();
    const std::string position = last_position(ann);
    Client& bob = member();
    EXPECT_EQ(short_lines(bob.take()), (Lines{"subscribed", "event 3"}));
    EXPECT_EQ(json_at(bob.texts[0], "/payload/replay"), "1");
    EXPECT_EQ(last_position(bob), position);
    say(bob, subscribe("chat:a", "s"));
    run();
    EXPECT_EQ(short_lines(bob.take()), (Lines{"subscribed", "event 3"})) << "again, as it asks again";
    Client& eve = member(position);
    EXPECT_EQ(short_lines(eve.take()), Lines{"subscribed recovered"}) << "with a position it is an ordinary resume";
    publish_some(ann, 4, 4);
    for (Client* const client : {&ann, &bob, &eve}) EXPECT_EQ(short_lines(client->take()), Lines{"event 4"});
}

TEST_F(GatewayHistory, AnswersAtOnceWhoMissedNothing) {
    Client& ann = member();
    publish_some(ann, 1, 1);
    ann.take();
    Client& bob = connect("bob");
    carry_in();
    say(bob, resume("chat:a", "s", last_position(ann)));
    end_turn();
    EXPECT_EQ(short_lines(bob.take()), Lines{"subscribed recovered"}) << "without asking weftd";
}

TEST_F(GatewayHistory, TellsWhatIsTrimmed) {
    Client& ann = member();
    ann.take();
    const std::string position = last_position(ann);
    say_rules(2);
    publish_some(ann, 1, 5);
    Client& bob = member(position);
    EXPECT_EQ(short_lines(bob.take()), (Lines{"subscribed", "event 4", "event 5"}));
}

TEST_F(GatewayHistory, DoesNotSendAgainWhatAClientOfAnotherNodeKnows) {
    Client& ann = member();
    ann.take();
    const std::string own = last_position(ann);
    from_peer(1);
    Client& bob = member("b.3_" + own);
    EXPECT_EQ(short_lines(bob.take()), Lines{"subscribed recovered"});
    EXPECT_EQ(last_position(bob), "b.3_" + own) << "the merged position, not the node's";
    publish_some(ann, 1, 1);
    EXPECT_EQ(short_lines(bob.take()), Lines{"event 1"});
    EXPECT_EQ(last_position(bob).substr(0, 4), "b.3_") << "still merged";
    from_peer(2);
    from_peer(3);
    EXPECT_EQ(short_lines(bob.take()), Lines{}) << "it has those";
    from_peer(4);
    EXPECT_EQ(short_lines(bob.take()), Lines{"event b4"});
    EXPECT_EQ(short_lines(ann.take()), (Lines{"event b1", "event 1", "event b2", "event b3", "event b4"}));
    EXPECT_EQ(last_position(bob), last_position(ann)) << "and shares with the others from then on";
}

TEST_F(GatewayHistory, KnowsAgainWhatALostNodeBringsBack) {
    Client& ann = member();
    ann.take();
    const std::string own = last_position(ann);
    Client& bob = member("b.2_" + own);
    EXPECT_EQ(short_lines(bob.take()), Lines{"subscribed"}) << "nobody knows stream b: not recovered";
    EXPECT_EQ(last_position(bob), own) << "what nobody knows is no part of a position any more";
    for (std::uint64_t number = 1; number <= 3; ++number) from_peer(number);
    EXPECT_EQ(short_lines(bob.take()), Lines{"event b3"}) << "but it isn't sent twice";
    EXPECT_EQ(short_lines(ann.take()), (Lines{"event b1", "event b2", "event b3"}));
    EXPECT_EQ(last_position(bob), last_position(ann));
}

TEST_F(GatewayHistory, CatchesUpAfterALossOfTheLinkWithoutAGap) {
    Client& ann = member();
    publish_some(ann, 1, 1);
    ann.take();
    link_down();
    run();
    // Another worker's publications, in the meantime.
    weftd.broker().on_link_up(kPeer + 1, LinkRole::worker, "other", clock.now);
    for (int i = 2; i <= 4; ++i) {
        v1::Frame frame;
        frame.mutable_publish()->set_channel("chat:a");
        frame.mutable_publish()->set_data(std::to_string(i));
        weftd.broker().on_frame(kPeer + 1, frame, clock.now, clock.wall);
    }
    link_up();
    run();
    EXPECT_EQ(short_lines(ann.take()), (Lines{"event 2", "event 3", "event 4"}));
    publish_some(ann, 5, 5);
    EXPECT_EQ(short_lines(ann.take()), Lines{"event 5"});
}

TEST_F(GatewayHistory, TellsAGapWhenTheNodeForgotEverything) {
    Client& ann = member();
    publish_some(ann, 1, 1);
    ann.take();
    link_down();
    weftd.restart();
    say_rules(1000);
    link_up();
    run();
    EXPECT_EQ(short_lines(ann.take()), Lines{"gap"});
    publish_some(ann, 2, 2);
    EXPECT_EQ(short_lines(ann.take()), Lines{"event 2"});
    Client& bob = member(last_position(ann));
    EXPECT_EQ(short_lines(bob.take()), Lines{"subscribed recovered"}) << "told once, not for ever";
}

TEST_F(GatewayHistory, PausesTheReplayOfAReaderThatDoesNotRead) {
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    for (int i = 1; i <= 400; ++i) {
        say(ann, publish("chat:a", "", '"' + std::to_string(i) + std::string(1000, 'x') + '"'));
        run();
    }
    Client& bob = connect("bob");
    bob.take();
    bob.room = 0;
    say(bob, resume("chat:a", "s", start));
    for (int i = 0; i < 20; ++i) pass(std::chrono::milliseconds(100));
    EXPECT_GT(bob.socket->queue().bytes(), Gateway::kReplayRoom / 2);
    EXPECT_LT(bob.socket->queue().bytes(), 4 * Gateway::kReplayRoom) << "of 400 kB";
    EXPECT_FALSE(bob.closed());
    bob.room = SIZE_MAX;
    for (int i = 0; i < 20; ++i) {
        flush_now(bob);
        pass(std::chrono::milliseconds(100));
    }
    const Lines lines = bob.take();
    ASSERT_EQ(lines.size(), 401u);
    for (int i = 1; i <= 400; ++i) {
        EXPECT_EQ(short_lines({lines[static_cast<std::size_t>(i)]})[0].substr(6, std::to_string(i).size()),
                  std::to_string(i));
    }
}

TEST_F(GatewayHistory, AReplayThatIsCutOffGoesOnWhenTheLinkIsBack) {
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    for (int i = 1; i <= 300; ++i) {
        say(ann, publish("chat:a", "", '"' + std::to_string(i) + std::string(1000, 'x') + '"'));
        run();
    }
    Client& bob = connect("bob");
    bob.room = 10'000;
    say(bob, resume("chat:a", "s", start));
    for (int i = 0; i < 5; ++i) pass(std::chrono::milliseconds(100));
    link_down();
    run();
    link_up();
    bob.room = SIZE_MAX;
    for (int i = 0; i < 20; ++i) {
        flush_now(bob);
        pass(std::chrono::milliseconds(100));
    }
    EXPECT_EQ(bob.take().size(), 301u) << "the answer, and each event once";
}

TEST_F(GatewayHistory, AnswersEveryCommandThoughTheyOvertakeEachOther) {
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    publish_some(ann, 1, 2);
    Client& bob = connect("bob");
    bob.take();
    say(bob, resume("chat:a", "1", start));
    say(bob, resume("chat:a", "2", start));
    say(bob, unsubscribe("chat:a", "3"));
    say(bob, resume("chat:a", "4", start));
    run();
    bob.take();
    std::string ids;
    for (const std::string& text : bob.texts) ids += json_at(text, "/id") + ' ';
    EXPECT_NE(ids.find("1 2 3 4"), std::string::npos) << ids;
    publish_some(ann, 3, 3);
    EXPECT_EQ(short_lines(bob.take()), Lines{"event 3"});
}

TEST_F(GatewayHistory, RefusesEveryCommandOfOneWhoWaitedWhenThereIsNoRoomToAsk) {
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    publish_some(ann, 1, 1);
    ask(ann, unsubscribe("chat:a", "u"));  // the worker forgets the channel
    Client& bob = connect("bob");
    say(bob, resume("chat:a", "1", start));
    say(bob, subscribe("chat:a", "2"));
    carry_out();
    BackEnd back_end;
    link_stuck = true;
    for (std::size_t i = 0; i < Gateway::kMaxRequests; ++i) gateway().publish("chat:b", Json("1"), {}, back_end);
    carry_in();  // weftd's answer
    end_turn();
    EXPECT_EQ(bob.take(), (Lines{"error#1 4017 retry 1000", "error#2 4017 retry 1000"}));
    EXPECT_EQ(counters.subscriptions.value(), 0U);
    link_stuck = false;
    run();
    EXPECT_EQ(short_lines(ask(bob, resume("chat:a", "s", start))), (Lines{"subscribed recovered", "event 1"}));
    gateway().cancel(back_end);
}

TEST_F(GatewayHistory, LetsAClientOvertakeWhatItsLocationSubscribesItTo) {
    rules = ChannelRules();
    ChannelRule rule{*ChannelPattern::parse("chat:*"), true};
    rule.history_count = 1000;
    rule.latest = true;
    rules.add(std::move(rule));
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    publish_some(ann, 1, 1);
    for (const bool known : {true, false}) {
        if (!known) ask(ann, unsubscribe("chat:a", "u"));  // the worker forgets the channel
        // What comes with the handshake is carried out before the location's channels have answered.
        const struct {
            std::string said;
            Lines heard;
        } cases[] = {
            {subscribe("chat:a", "s"), {"subscribed", "event 1"}},
            {resume("chat:a", "s", start), {"subscribed recovered", "event 1"}},
            {unsubscribe("chat:a", "u"), {"unsubscribed#u"}},
        };
        for (const auto& [said, heard] : cases) {
            Client& bob = accept(endpoint, wire);
            auto entrance = std::make_unique<Entrance>();
            entrance->channels.push_back({"chat:a", std::nullopt});
            bob.socket->enter_by(std::move(entrance));
            gateway().open(*bob.socket, everything("bob"));
            say(bob, said);
            run();
            EXPECT_EQ(short_lines(bob.take()), heard) << known << ' ' << said;
            EXPECT_TRUE(bob.socket->may_read());
            EXPECT_EQ(ask(bob, ping("p")), Lines{"pong#p"});
            remove_now(bob);
        }
    }
    EXPECT_EQ(counters.subscriptions.value(), 0U);
    EXPECT_EQ(counters.channels.value(), 0U);
}

TEST_F(GatewayHistory, AnswersOneWhoIsTakenOutBeforeAPageHasCome) {
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    publish_some(ann, 1, 1);
    Client& bob = connect("bob");
    say(bob, resume("chat:a", "s", start));
    decide(v1::Revocation::UNSUBSCRIBE, [](auto& out) { out.set_channel("chat:a"); });
    EXPECT_EQ(bob.take(), Lines{"error#s 4013"});
    run();
    EXPECT_EQ(bob.take(), Lines{}) << "the page comes for nobody";
    say(bob, resume("chat:a", "s", start));
    decide(v1::Revocation::GRANT, [](auto& out) { out.set_grants(R"({"channels":{"chat:b":["*"]}})"); });
    EXPECT_EQ(bob.take(), Lines{"error#s 4010"});
    run();
    EXPECT_EQ(bob.take(), Lines{});
}

TEST_F(GatewayHistory, TellsOneWhoIsTakenOutInTheMiddleOfAReplay) {
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    for (int i = 1; i <= 300; ++i) {
        say(ann, publish("chat:a", "", '"' + std::string(1000, 'x') + '"'));
        run();
    }
    for (const bool grants : {false, true}) {
        Client& bob = connect("bob");
        bob.room = 10'000;
        say(bob, resume("chat:a", "s", start));
        for (int i = 0; i < 5; ++i) pass(std::chrono::milliseconds(100));
        if (grants) {
            decide(v1::Revocation::GRANT, [](auto& out) { out.set_grants(R"({"channels":{"chat:b":["*"]}})"); });
        } else {
            decide(v1::Revocation::UNSUBSCRIBE, [](auto& out) { out.set_channel("chat:a"); });
        }
        bob.room = SIZE_MAX;
        flush_now(bob);
        const Lines told = bob.take();
        ASSERT_LT(told.size(), 300U) << "he was still behind";
        EXPECT_EQ(told.back(), grants ? "unsubscribed chat:a 4010" : "unsubscribed chat:a 4013");
        run();
        EXPECT_EQ(bob.take(), Lines{});
        remove_now(bob);
    }
}

TEST_F(GatewayHistory, ServesThousandsWhoComeBackAtOnceAndSomeWhoLeaveAgain) {
    Client& ann = member();
    ann.take();
    const std::string start = last_position(ann);
    publish_some(ann, 1, 2);
    std::vector<Client*> crowd;
    for (int i = 0; i < 3000; ++i) crowd.push_back(&connect("bob"));
    for (Client* const one : crowd) say(*one, resume("chat:a", "s", start));
    for (std::size_t i = 0; i < crowd.size(); i += 3) say(*crowd[i], unsubscribe("chat:a", "u"));
    run();
    publish_some(ann, 3, 3);
    for (std::size_t i = 0; i < crowd.size(); ++i) {
        const Lines got = short_lines(crowd[i]->take());
        if (i % 3 == 0) {
            ASSERT_EQ(got.size(), 2U) << i;
            EXPECT_EQ(got[1], "unsubscribed#u") << i;
        } else {
            ASSERT_EQ(got, (Lines{"subscribed recovered", "event 1", "event 2", "event 3"})) << i;
        }
    }
}

}  // namespace
}  // namespace weft
