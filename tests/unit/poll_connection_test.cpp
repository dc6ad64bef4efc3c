// Clients that ask, and are answered when there is something to say.
#include "gateway/poll_connection.hpp"

#include "unit/listener_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class Poll : public ListenerGateway {
protected:
    /// What an answer has, a line a frame.
    static Lines frames(const Far& far) {
        Lines lines;
        for (int i = 0;; ++i) {
            const std::string frame = json_at(far.answer.value_or("{}"), "/frames/" + std::to_string(i));
            if (frame.empty()) return lines;
            lines.push_back(describe(frame));
        }
    }
};

TEST_F(Poll, IsAnsweredAtOnceWhenItComesFromNowhere) {
    Far& far = poll({{"chat:a", {}}, {"chat:b", {}}});
    ASSERT_TRUE(far.answer);
    EXPECT_EQ(frames(far), (Lines{"subscribed chat:a @k.0", "subscribed chat:b @k.0"}));
    EXPECT_EQ(json_at(*far.answer, "/position"), "chat:a=k.0,chat:b=k.0");
    EXPECT_EQ(far.position, "chat:a=k.0,chat:b=k.0");
    EXPECT_TRUE(far.gone());
    EXPECT_EQ(counters.active.value(), 0U);
    EXPECT_EQ(counters.subscriptions.value(), 0U);
}

TEST_F(Poll, IsHeldWhileItKnowsAll) {
    Far& far = poll({{"chat:a", "k.0"}});
    EXPECT_FALSE(far.answer);
    EXPECT_EQ(counters.subscriptions.value(), 1U);
    deliver({publication("chat:a", "1", "k.1"), publication("chat:a", "2", "k.2")});
    EXPECT_EQ(frames(far), (Lines{"subscribed chat:a @k.0 recovered", "event chat:a 1 @k.1", "event chat:a 2 @k.2"}));
    EXPECT_EQ(far.position, "chat:a=k.2");
    EXPECT_TRUE(far.gone());
}

TEST_F(Poll, IsToldWhatItCanNotHave) {
    weftd.position = "k.5";
    Far& far = poll({{"chat:a", "k.3"}});
    EXPECT_EQ(frames(far), Lines{"subscribed chat:a @k.5"}) << "not recovered";
    EXPECT_EQ(far.position, "chat:a=k.5");
}

TEST_F(Poll, IsAnsweredWithNothingWhenTheTimeIsOver) {
    endpoint.heartbeat = 5s;
    Far& far = poll({{"chat:a", "k.0"}});
    pass(4s);
    EXPECT_FALSE(far.answer);
    pass(2s);
    EXPECT_EQ(far.answer, "") << "answered, without a body";
    EXPECT_EQ(far.position, "chat:a=k.0");
    EXPECT_TRUE(far.gone());
}

TEST_F(Poll, IsAnsweredAtOnceWhenItAsksForThat) {
    Far& far = poll({{"chat:a", "k.0"}, {"chat:b", "k.0"}}, true);
    EXPECT_EQ(far.answer, "") << "there is nothing new";
    EXPECT_EQ(far.position, "chat:a=k.0,chat:b=k.0");
}

TEST_F(Poll, WaitsForAllOfItsChannelsBeforeItSaysThatNothingIsNew) {
    weftd.answers = false;
    Far& far = poll({{"chat:a", "k.0"}, {"chat:b", "k.0"}}, true);
    deliver({subscribed("chat:a", "k.0")});
    EXPECT_FALSE(far.answer);
    deliver({subscribed("chat:b", "k.0")});
    EXPECT_EQ(far.answer, "");
}

TEST_F(Poll, IsToldWhenItEnds) {
    Far& far = poll({{"chat:a", "k.0"}});
    far.connection->end(Code::revoked);
    run();
    ASSERT_TRUE(far.answer);
    EXPECT_NE(far.answer->find(R"({"type":"close","payload":{"code":4013,"reason":"revoked"}})"), std::string::npos)
        << *far.answer;
    EXPECT_EQ(far.position, "chat:a=k.0") << "it may come back from there";
}

TEST_F(Poll, IsGoneWhenItsPeerIs) {
    Far& far = poll({{"chat:a", "k.0"}});
    far.connection->on_end_of_input();
    run();
    EXPECT_TRUE(far.gone());
    EXPECT_FALSE(far.answer);
    EXPECT_TRUE(far.closed_by_peer);
    EXPECT_EQ(counters.subscriptions.value(), 0U);
}

TEST_F(Poll, LeavesForTheNextWhatIsBehindALongAnswer) {
    Far& far = poll({{"chat:a", "k.0"}});
    const std::string data = '"' + std::string(5000, 'x') + '"';
    std::vector<v1::Frame> many;
    for (int n = 1; n <= 10; ++n) many.push_back(publication("chat:a", data, "k." + std::to_string(n)));
    deliver(many);
    ASSERT_TRUE(far.answer);
    const Lines said = frames(far);
    EXPECT_GE(far.answer->size(), PollConnection::kEnough);
    EXPECT_LT(said.size(), 11U);
    const std::string last = "k." + std::to_string(said.size() - 1);
    EXPECT_EQ(said.back(), "event chat:a " + data.substr(1, 5000) + " @" + last);
    EXPECT_EQ(far.position, "chat:a=" + last) << "from where the next goes on";
}

TEST_F(Poll, LeavesNothingForTheNextThatThatWouldNotGet) {
    Far& far = poll({{"chat:a", "k.0"}});
    const std::string data = '"' + std::string(5000, 'x') + '"';
    std::vector<v1::Frame> many;
    for (int n = 1; n <= 10; ++n) many.push_back(publication("chat:a", data, "k." + std::to_string(n)));
    many.push_back(signal("chat:a", "typing", {}, 7));
    deliver(many);
    const Lines said = frames(far);
    ASSERT_FALSE(said.empty());
    EXPECT_LT(said.size(), 11U);
    EXPECT_EQ(said.back(), "signal chat:a typing");
}

}  // namespace
}  // namespace weft
