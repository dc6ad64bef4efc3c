// Broker: what it answers while it doesn't hold yet what its peers held when it started.
#include "broker_fixture.hpp"
#include "weft/codes.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

class Filling : public BrokerFixture {
protected:
    void SetUp() override {
        BrokerSettings settings;
        settings.expected_peers = 1;
        fill_wait = settings.fill_wait;
        start(settings);
        broker->on_tick(now);
        up(kWorker, LinkRole::worker);
    }
    void rules(std::uint64_t generation) {
        v1::ChannelRules rules;
        rules.set_generation(generation);
        add_rule(rules, "kept:*", false);
        broker->on_rules(rules);
    }
    void publish(const std::string& channel, const std::string& id) {
        v1::Frame frame;
        frame.mutable_publish()->set_channel(channel);
        frame.mutable_publish()->set_data("1");
        frame.mutable_publish()->set_message_id(id);
        frame.mutable_publish()->set_request(1);
        this->frame(kWorker, frame);
    }
    void fill() {
        tick_after(fill_wait + 1ms);
        ASSERT_TRUE(broker->filled());
    }

    std::chrono::milliseconds fill_wait{};
};

TEST_F(Filling, RefusesWhatMayBeARepeat) {
    rules(1);
    publish("kept:1", "m1");
    EXPECT_EQ(take_one(kWorker).failed().code(), static_cast<std::uint32_t>(Code::unavailable));
    publish("kept:1", "");
    EXPECT_TRUE(take_one(kWorker).has_published()) << "nobody repeats what has no id";
    publish("plain", "m1");
    EXPECT_TRUE(take_one(kWorker).has_published()) << "a channel without history has nothing to be filled with";
    fill();
    take(kWorker);
    publish("kept:1", "m1");
    EXPECT_TRUE(take_one(kWorker).has_published());
    EXPECT_EQ(broker->counts().repeated, 0u);
}

TEST_F(Filling, AnswersASubscriberOfAKeptChannelWhenItIsDone) {
    rules(1);
    want(kWorker, "kept:1");
    EXPECT_TRUE(take(kWorker).empty());
    want(kWorker, "plain");
    EXPECT_EQ(take_one(kWorker).subscribed().channel(), "plain");
    fill();
    EXPECT_TRUE(take_one(kWorker).subscribed().history());
}

// weftctl brings no rules, and may be the first to come to a weftd that was restarted.
TEST_F(Filling, DoesNotTakeAChannelForUnkeptBeforeAnyRulesAreKnown) {
    want(kWorker, "kept:1");
    want(kWorker, "plain");
    publish("kept:1", "");
    const v1::Failed refused = take_one(kWorker).failed();
    EXPECT_EQ(refused.code(), static_cast<std::uint32_t>(Code::unavailable));
    EXPECT_GT(refused.retry_after_ms(), 0u);
    tick_after(1ms);
    EXPECT_TRUE(take(kWorker).empty());
    rules(1);
    EXPECT_EQ(take_one(kWorker).subscribed().channel(), "plain") << "nothing has to be fetched for it";
    rules(2);
    EXPECT_TRUE(take(kWorker).empty());
    fill();
    EXPECT_TRUE(take_one(kWorker).subscribed().history());
    publish("kept:1", "");
    EXPECT_EQ(broker->counts().published, 1u);
}

TEST_F(Filling, EndsWithoutRulesToo) {
    want(kWorker, "chat");
    fill();
    const v1::Subscribed answer = take_one(kWorker).subscribed();
    EXPECT_EQ(answer.channel(), "chat");
    EXPECT_FALSE(answer.history());
    publish("chat", "");
    EXPECT_EQ(broker->counts().published, 1u);
}

}  // namespace
}  // namespace weft
