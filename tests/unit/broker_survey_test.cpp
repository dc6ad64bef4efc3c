// Broker: what a node says of its channels and itself, and of its peers'.
#include <gtest/gtest.h>

#include <random>

#include "broker/broker.hpp"
#include "broker/pending_surveys.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr LinkId kWorker = 1, kOtherWorker = 2, kPeerIn = 11, kPeerB = 21, kPeerC = 22;

class BrokerSurvey : public testing::Test, public Broker::Outbox {
protected:
    BrokerSurvey() {
        BrokerSettings settings;
        settings.node = "a";
        settings.software = "weft/test";
        settings.shards = 4;
        broker_ = std::make_unique<Broker>(
            std::move(settings), [this] { return random_(); }, *this);
        broker_->on_tick(now_);
        up(kWorker, LinkRole::worker);
        up(kOtherWorker, LinkRole::worker);
    }
    void send(LinkId link, std::string_view bytes) override {
        v1::Frame frame;
        ASSERT_TRUE(frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
        sent_.emplace_back(link, std::move(frame));
    }
    void up(LinkId link, LinkRole role, const char* name = "") { broker_->on_link_up(link, role, name, now_); }
    void frame(LinkId link, const v1::Frame& frame) { broker_->on_frame(link, frame, now_, wall_); }
    void subscribe(LinkId link, const std::string& channel) {
        v1::Frame out;
        out.mutable_subscribe()->set_channel(channel);
        frame(link, out);
    }
    void count(LinkId link, const std::string& channel, std::uint64_t number) {
        v1::Frame out;
        auto& entry = *out.mutable_subscriptions()->add_entries();
        entry.set_channel(channel);
        entry.set_count(number);
        out.mutable_subscriptions()->set_connections(10 * link);
        frame(link, out);
    }
    void ask_channels(LinkId link, const std::string& pattern = {}) {
        v1::Frame out;
        out.mutable_read_channels()->set_request(7);
        out.mutable_read_channels()->set_pattern(pattern);
        frame(link, out);
    }
    void ask_nodes(LinkId link, bool alone = false) {
        v1::Frame out;
        out.mutable_read_nodes()->set_request(7);
        out.mutable_read_nodes()->set_alone(alone);
        frame(link, out);
    }
    /// What the link was told, or asked, of this kind since the last call.
    std::vector<v1::Frame> take(LinkId link, v1::Frame::BodyCase kind) {
        std::vector<v1::Frame> frames;
        std::erase_if(sent_, [&](const auto& one) {
            if (one.first != link || one.second.body_case() != kind) return false;
            frames.push_back(one.second);
            return true;
        });
        return frames;
    }
    /// "7: chat:a=3 of a b, without c"
    std::string page(LinkId link) {
        const auto frames = take(link, v1::Frame::kChannelsPage);
        if (frames.size() != 1) return std::to_string(frames.size()) + " pages";
        const v1::ChannelsPage& page = frames.front().channels_page();
        std::string text = std::to_string(page.request()) + ":";
        for (const auto& entry : page.channels()) {
            text += " " + entry.channel() + "=" + std::to_string(entry.subscribers());
        }
        text += " of";
        for (const auto& node : page.nodes()) text += " " + node;
        if (page.missing_size() > 0) text += ", without";
        for (const auto& node : page.missing()) text += " " + node;
        return text;
    }
    /// The peer has been asked, and answers so.
    void answer(LinkId peer, const std::string& node, const std::string& channel, std::uint64_t subscribers) {
        const auto asked = take(peer, v1::Frame::kReadChannels);
        ASSERT_EQ(asked.size(), 1U);
        v1::Frame out;
        out.mutable_channels_page()->set_request(asked.front().read_channels().request());
        out.mutable_channels_page()->add_nodes(node);
        auto& entry = *out.mutable_channels_page()->add_channels();
        entry.set_channel(channel);
        entry.set_subscribers(subscribers);
        frame(peer, out);
    }

    Instant now_{1000ms};
    WallTime wall_{1'700'000'000'000ms};
    std::mt19937_64 random_{1};
    std::vector<std::pair<LinkId, v1::Frame>> sent_;
    std::unique_ptr<Broker> broker_;
};

TEST_F(BrokerSurvey, CountsTheSubscribersOfAllWorkers) {
    subscribe(kWorker, "chat:a");
    subscribe(kOtherWorker, "chat:a");
    subscribe(kOtherWorker, "chat:b");
    ask_channels(kWorker);
    EXPECT_EQ(page(kWorker), "7: chat:a=2 chat:b=1 of a");
    count(kOtherWorker, "chat:a", 9);
    count(kOtherWorker, "chat:not_its_own", 9);
    ask_channels(kWorker);
    EXPECT_EQ(page(kWorker), "7: chat:a=10 chat:b=1 of a");
    broker_->on_link_down(kOtherWorker, now_);
    ask_channels(kWorker, "chat:*");
    EXPECT_EQ(page(kWorker), "7: chat:a=1 of a");
}

TEST_F(BrokerSurvey, RefusesWhatIsNoPattern) {
    ask_channels(kWorker, "chat**");
    const auto failed = take(kWorker, v1::Frame::kFailed);
    ASSERT_EQ(failed.size(), 1U);
    EXPECT_EQ(failed.front().failed().code(), 4006U);
    EXPECT_EQ(failed.front().failed().request(), 7U);
}

TEST_F(BrokerSurvey, AsksPeersAndPutsTheirAnswersTogether) {
    up(kPeerB, LinkRole::peer_out, "b");
    up(kPeerC, LinkRole::peer_out, "c");
    subscribe(kWorker, "chat:a");
    EXPECT_TRUE(take(kPeerB, v1::Frame::kReadChannels).empty()) << "nobody has asked";
    ask_channels(kWorker);
    answer(kPeerB, "b", "chat:a", 4);
    EXPECT_EQ(page(kWorker), "0 pages") << "one is awaited";
    answer(kPeerC, "c", "chat:z", 1);
    EXPECT_EQ(page(kWorker), "7: chat:a=5 chat:z=1 of a b c");
}

TEST_F(BrokerSurvey, NamesPeersThatDontAnswerInTimeOrGoAway) {
    up(kPeerB, LinkRole::peer_out, "b");
    up(kPeerC, LinkRole::peer_out, "c");
    ask_channels(kWorker);
    answer(kPeerC, "c", "chat:z", 1);
    now_ += 999ms;
    broker_->on_tick(now_);
    EXPECT_EQ(page(kWorker), "0 pages");
    now_ += 1ms;
    broker_->on_tick(now_);
    EXPECT_EQ(page(kWorker), "7: chat:z=1 of a c, without b");

    take(kPeerB, v1::Frame::kReadChannels);
    ask_channels(kWorker);
    answer(kPeerC, "c", "chat:z", 1);
    broker_->on_link_down(kPeerB, now_);
    EXPECT_EQ(page(kWorker), "7: chat:z=1 of a c, without b") << "at once";
    ask_channels(kWorker);
    answer(kPeerC, "c", "chat:z", 1);
    EXPECT_EQ(page(kWorker), "7: chat:z=1 of a c, without b") << "it is known to be down";
    now_ += 1h;
    ask_channels(kWorker);
    answer(kPeerC, "c", "chat:z", 1);
    EXPECT_EQ(page(kWorker), "7: chat:z=1 of a c") << "nobody expects it back";
}

TEST_F(BrokerSurvey, TellsPeersOfItselfAlone) {
    up(kPeerIn, LinkRole::peer_in, "b");
    up(kPeerB, LinkRole::peer_out, "b");
    subscribe(kWorker, "chat:a");
    subscribe(kPeerIn, "chat:b");
    ask_channels(kPeerIn);
    EXPECT_EQ(page(kPeerIn), "7: chat:a=1 of a") << "what a peer wants has no subscribers here";
    EXPECT_TRUE(take(kPeerB, v1::Frame::kReadChannels).empty());
    ask_nodes(kPeerIn);
    EXPECT_EQ(take(kPeerIn, v1::Frame::kNodesPage).size(), 1U);
    EXPECT_TRUE(take(kPeerB, v1::Frame::kReadNodes).empty());
}

TEST_F(BrokerSurvey, IgnoresAnswersToWhatItDidNotAsk) {
    up(kPeerB, LinkRole::peer_out, "b");
    v1::Frame page;
    page.mutable_channels_page()->set_request(1);
    frame(kPeerB, page);
    EXPECT_EQ(broker_->counts().ignored, 1U);
    ask_nodes(kWorker);
    frame(kPeerB, page);
    EXPECT_EQ(broker_->counts().ignored, 2U) << "it was asked about nodes";
    v1::Frame nodes;
    nodes.mutable_nodes_page()->set_request(1);
    frame(kPeerB, nodes);
    frame(kPeerB, nodes);
    EXPECT_EQ(broker_->counts().ignored, 3U) << "twice";
    EXPECT_EQ(take(kWorker, v1::Frame::kNodesPage).size(), 1U);
}

TEST_F(BrokerSurvey, SaysWhatTheNodeDoes) {
    up(kPeerB, LinkRole::peer_out, "b");
    subscribe(kWorker, "chat:a");
    count(kWorker, "chat:a", 3);
    now_ += 5s;
    ask_nodes(kWorker, true);
    const auto pages = take(kWorker, v1::Frame::kNodesPage);
    ASSERT_EQ(pages.size(), 1U);
    ASSERT_EQ(pages.front().nodes_page().nodes_size(), 1);
    const v1::NodeInfo& node = pages.front().nodes_page().nodes(0);
    EXPECT_EQ(node.node(), "a");
    EXPECT_EQ(node.software(), "weft/test");
    EXPECT_EQ(node.shards(), 4U);
    EXPECT_EQ(node.uptime_ms(), 5000U);
    EXPECT_EQ(node.workers(), 2U);
    EXPECT_EQ(node.peers(), 1U);
    EXPECT_EQ(node.connections(), 10U);
    EXPECT_EQ(node.subscriptions(), 3U);
    EXPECT_EQ(node.channels(), 1U);
}

TEST_F(BrokerSurvey, BoundsHowManyWaitAndForgetsThoseOfAWorkerThatIsGone) {
    up(kPeerB, LinkRole::peer_out, "b");
    for (std::size_t i = 0; i < PendingSurveys::kMax; ++i) ask_nodes(kOtherWorker);
    ask_nodes(kWorker);
    const auto failed = take(kWorker, v1::Frame::kFailed);
    ASSERT_EQ(failed.size(), 1U);
    EXPECT_EQ(failed.front().failed().code(), 4017U);
    EXPECT_GT(failed.front().failed().retry_after_ms(), 0U);
    broker_->on_link_down(kOtherWorker, now_);
    ask_nodes(kWorker);
    EXPECT_TRUE(take(kWorker, v1::Frame::kFailed).empty());
    now_ += 1s;
    broker_->on_tick(now_);
    EXPECT_EQ(take(kWorker, v1::Frame::kNodesPage).size(), 1U);
    EXPECT_TRUE(take(kOtherWorker, v1::Frame::kNodesPage).empty());
}

}  // namespace
}  // namespace weft
