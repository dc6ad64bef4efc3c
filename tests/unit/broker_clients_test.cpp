// Broker: which connections there are, as its workers and its peers say.
#include <gtest/gtest.h>

#include <random>

#include "broker/broker.hpp"
#include "broker/pending_surveys.hpp"
#include "broker/subscriber_counts.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr LinkId kAsker = 1, kWorker = 2, kOld = 3, kPeerIn = 11, kPeerB = 21, kPeerC = 22;
constexpr LinkGreeting kNew{.clients = true};

class BrokerClients : public testing::Test, public Broker::Outbox {
protected:
    BrokerClients() {
        BrokerSettings settings;
        settings.node = "a";
        broker_ = std::make_unique<Broker>(
            std::move(settings), [this] { return random_(); }, *this);
        broker_->on_tick(now_);
        up(kAsker, LinkRole::worker, kNew);
        up(kWorker, LinkRole::worker, kNew);
    }
    void send(LinkId link, std::string_view bytes) override {
        v1::Frame frame;
        ASSERT_TRUE(frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
        sent_.emplace_back(link, std::move(frame));
    }
    void up(LinkId link, LinkRole role, LinkGreeting greeting, const char* name = "") {
        broker_->on_link_up(link, role, name, now_, greeting);
    }
    void frame(LinkId link, const v1::Frame& frame) { broker_->on_frame(link, frame, now_, wall_); }
    void pass(std::chrono::milliseconds time) {
        now_ += time;
        broker_->on_tick(now_);
    }
    void ask(LinkId link, const std::string& node = {}, std::uint32_t limit = 10, const std::string& user = {}) {
        v1::Frame out;
        v1::ReadClients& read = *out.mutable_read_clients();
        read.set_request(7);
        read.set_node(node);
        read.set_user(user);
        read.set_channel("chat:a");
        read.set_after(1);
        read.set_limit(limit);
        frame(link, out);
    }
    std::vector<v1::Frame> take(LinkId link, v1::Frame::BodyCase kind) {
        std::vector<v1::Frame> frames;
        std::erase_if(sent_, [&](const auto& one) {
            if (one.first != link || one.second.body_case() != kind) return false;
            frames.push_back(one.second);
            return true;
        });
        return frames;
    }
    bool asked(LinkId link) { return !take(link, v1::Frame::kReadClients).empty(); }
    /// What `link` says to a question of this number.
    void say(LinkId link, std::uint64_t number, const std::vector<std::uint64_t>& ids, const std::string& node = {},
             const std::string& missing = {}) {
        v1::Frame out;
        v1::ClientsPage& page = *out.mutable_clients_page();
        page.set_request(number);
        for (const std::uint64_t id : ids) {
            page.add_clients()->set_client_id(id);
            page.mutable_clients(page.clients_size() - 1)->set_node(node);
        }
        if (!node.empty()) page.add_nodes(node);
        if (!missing.empty()) page.add_missing(missing);
        frame(link, out);
    }
    /// It has been asked once, and answers.
    void answer(LinkId link, const std::vector<std::uint64_t>& ids, const std::string& node = {},
                const std::string& missing = {}) {
        const auto questions = take(link, v1::Frame::kReadClients);
        ASSERT_EQ(questions.size(), 1U) << link;
        say(link, questions.front().read_clients().request(), ids, node, missing);
    }
    /// "7: 2@a 3@b > 3 of a b, without c"
    std::string page(LinkId link) {
        const auto frames = take(link, v1::Frame::kClientsPage);
        if (frames.size() != 1) return std::to_string(frames.size()) + " pages";
        const v1::ClientsPage& page = frames.front().clients_page();
        std::string text = std::to_string(page.request()) + ":";
        for (const auto& client : page.clients()) {
            text += " " + std::to_string(client.client_id()) + "@" + client.node();
        }
        if (page.horizon() != 0) text += " > " + std::to_string(page.horizon());
        text += " of";
        for (const auto& node : page.nodes()) text += " " + node;
        if (page.missing_size() > 0) text += ", without";
        for (const auto& node : page.missing()) text += " " + node;
        return text;
    }
    /// Code and message of the one Failed that it was sent.
    std::string failure(LinkId link) {
        const auto frames = take(link, v1::Frame::kFailed);
        if (frames.size() != 1) return std::to_string(frames.size()) + " failures";
        EXPECT_EQ(frames.front().failed().request(), 7U);
        return std::to_string(frames.front().failed().code()) + " " + frames.front().failed().message();
    }

    Instant now_{1000ms};
    WallTime wall_{1'700'000'000'000ms};
    std::mt19937_64 random_{1};
    std::vector<std::pair<LinkId, v1::Frame>> sent_;
    std::unique_ptr<Broker> broker_;
};

TEST_F(BrokerClients, AsksItsWorkersAndPutsTheirAnswersTogether) {
    ask(kAsker, {}, 10, "ann");
    const auto questions = take(kWorker, v1::Frame::kReadClients);
    ASSERT_EQ(questions.size(), 1U);
    const v1::ReadClients& question = questions.front().read_clients();
    EXPECT_EQ(question.user() + " " + question.channel(), "ann chat:a");
    EXPECT_EQ(question.after(), 1U);
    EXPECT_EQ(question.limit(), 10U);
    say(kWorker, question.request(), {2, 5});
    EXPECT_EQ(page(kAsker), "0 pages") << "who asks is asked, too";
    answer(kAsker, {4});
    EXPECT_EQ(page(kAsker), "7: 2@a 4@a 5@a of a");
}

TEST_F(BrokerClients, AnswersAPageOfManyAnswers) {
    ask(kAsker, {}, 3);
    answer(kWorker, {2, 5, 6});
    answer(kAsker, {3, 4});
    EXPECT_EQ(page(kAsker), "7: 2@a 3@a 4@a > 4 of a");
    ask(kAsker, {}, 5000);
    const auto questions = take(kWorker, v1::Frame::kReadClients);
    ASSERT_EQ(questions.size(), 1U);
    EXPECT_EQ(questions.front().read_clients().limit(), SubscriberCounts::kMaxPage);
}

TEST_F(BrokerClients, AsksPeersWhoAskTheirOwnWorkers) {
    up(kPeerB, LinkRole::peer_out, kNew, "b");
    up(kPeerC, LinkRole::peer_out, kNew, "c");
    ask(kAsker);
    answer(kAsker, {});
    answer(kWorker, {2});
    answer(kPeerB, {3}, "b");
    EXPECT_EQ(page(kAsker), "0 pages") << "one is awaited";
    answer(kPeerC, {4}, {}, "c");
    EXPECT_EQ(page(kAsker), "7: 2@a 3@b 4@ of a b, without c") << "c says that it couldn't ask all of its workers";
}

TEST_F(BrokerClients, TellsAPeerOfItsOwnWorkersAlone) {
    up(kPeerIn, LinkRole::peer_in, {}, "b");
    up(kPeerB, LinkRole::peer_out, kNew, "b");
    up(kPeerC, LinkRole::peer_out, kNew, "c");
    broker_->on_link_down(kPeerC, now_);
    ask(kPeerIn);
    EXPECT_FALSE(asked(kPeerB));
    answer(kAsker, {3});
    answer(kWorker, {2});
    EXPECT_EQ(page(kPeerIn), "7: 2@a 3@a of a") << "and who is missing in the mesh is not its business";
}

TEST_F(BrokerClients, NamesItselfWhenAWorkerIsSilent) {
    up(kPeerIn, LinkRole::peer_in, {}, "b");
    ask(kAsker);
    ask(kPeerIn);
    for (const v1::Frame& question : take(kAsker, v1::Frame::kReadClients)) {
        say(kAsker, question.read_clients().request(), {2});
    }
    pass(499ms);
    EXPECT_EQ(page(kPeerIn), "0 pages");
    pass(1ms);
    EXPECT_EQ(page(kPeerIn), "7: 2@a of, without a") << "while the peer still waits";
    pass(499ms);
    EXPECT_EQ(page(kAsker), "0 pages");
    pass(1ms);
    EXPECT_EQ(page(kAsker), "7: 2@a of, without a");
    const auto ignored = broker_->counts().ignored;
    for (const v1::Frame& question : take(kWorker, v1::Frame::kReadClients)) {
        say(kWorker, question.read_clients().request(), {3});
    }
    EXPECT_EQ(broker_->counts().ignored, ignored + 2) << "too late";
    EXPECT_EQ(page(kAsker), "0 pages");
}

TEST_F(BrokerClients, DoesNotAwaitAWorkerThatIsGone) {
    ask(kAsker);
    answer(kAsker, {2});
    broker_->on_link_down(kWorker, now_);
    EXPECT_EQ(page(kAsker), "7: 2@a of a") << "at once: its connections are gone with it";
}

TEST_F(BrokerClients, ForgetsWhatSomebodyAskedWhoIsGone) {
    ask(kWorker);
    answer(kAsker, {2});
    broker_->on_link_down(kWorker, now_);
    pass(2s);
    EXPECT_EQ(page(kWorker), "0 pages");
}

TEST_F(BrokerClients, NamesPeersThatAreSilentOrAway) {
    up(kPeerB, LinkRole::peer_out, kNew, "b");
    up(kPeerC, LinkRole::peer_out, kNew, "c");
    broker_->on_link_down(kWorker, now_);
    ask(kAsker);
    answer(kAsker, {2});
    answer(kPeerC, {3}, "c");
    pass(1s);
    EXPECT_EQ(page(kAsker), "7: 2@a 3@c of a c, without b");
    take(kPeerB, v1::Frame::kReadClients);
    ask(kAsker);
    answer(kAsker, {2});
    answer(kPeerC, {3}, "c");
    broker_->on_link_down(kPeerB, now_);
    EXPECT_EQ(page(kAsker), "7: 2@a 3@c of a c, without b") << "at once";
    ask(kAsker);
    answer(kAsker, {2});
    answer(kPeerC, {3}, "c");
    EXPECT_EQ(page(kAsker), "7: 2@a 3@c of a c, without b") << "it is known to be down";
}

TEST_F(BrokerClients, AsksNobodyWhoIsOfAnEarlierVersion) {
    up(kOld, LinkRole::worker, {});
    up(kPeerB, LinkRole::peer_out, {}, "b");
    ask(kAsker);
    EXPECT_FALSE(asked(kOld));
    EXPECT_FALSE(asked(kPeerB));
    answer(kAsker, {});
    answer(kWorker, {2});
    EXPECT_EQ(page(kAsker), "7: 2@a of a, without b") << "a tool, or a worker without connections";
    v1::Frame count;
    count.mutable_subscriptions()->set_connections(5);
    frame(kOld, count);
    ask(kAsker);
    answer(kAsker, {});
    answer(kWorker, {2});
    EXPECT_EQ(page(kAsker), "7: 2@a of, without a b") << "connections that nobody tells of";
}

TEST_F(BrokerClients, AsksOneNode) {
    up(kPeerB, LinkRole::peer_out, kNew, "b");
    up(kPeerC, LinkRole::peer_out, kNew, "c");
    broker_->on_link_down(kPeerC, now_);
    ask(kAsker, "b");
    EXPECT_FALSE(asked(kAsker));
    answer(kPeerB, {3}, "b");
    EXPECT_EQ(page(kAsker), "7: 3@b of b") << "c is not asked for";
    ask(kAsker, "a");
    EXPECT_FALSE(asked(kPeerB));
    answer(kAsker, {2});
    answer(kWorker, {});
    EXPECT_EQ(page(kAsker), "7: 2@a of a");
    ask(kAsker, "c");
    EXPECT_EQ(page(kAsker), "7: of, without c") << "it is down";
    ask(kAsker, "d");
    EXPECT_EQ(failure(kAsker), "4006 no node of this name is known");
    pass(1h);
    ask(kAsker, "c");
    EXPECT_EQ(failure(kAsker), "4006 no node of this name is known") << "nobody expects it back";
}

TEST_F(BrokerClients, IgnoresAnswersToWhatItDidNotAsk) {
    up(kPeerB, LinkRole::peer_out, kNew, "b");
    up(kOld, LinkRole::worker, {});
    ask(kAsker);
    const auto questions = take(kWorker, v1::Frame::kReadClients);
    ASSERT_EQ(questions.size(), 1U);
    const std::uint64_t number = questions.front().read_clients().request();
    auto ignored = broker_->counts().ignored;
    say(kWorker, number + 1, {9});
    say(kOld, number, {9});
    EXPECT_EQ(broker_->counts().ignored, ignored + 2);
    say(kWorker, number, {2});
    say(kWorker, number, {9});
    EXPECT_EQ(broker_->counts().ignored, ignored + 3) << "twice";
    v1::Frame channels;
    channels.mutable_channels_page()->set_request(number);
    frame(kPeerB, channels);
    EXPECT_EQ(broker_->counts().ignored, ignored + 4) << "it was asked about clients";
    answer(kPeerB, {}, "b");
    answer(kAsker, {});
    EXPECT_EQ(page(kAsker), "7: 2@a of a b");
}

TEST_F(BrokerClients, BoundsHowManyWait) {
    up(kPeerIn, LinkRole::peer_in, {}, "b");
    for (std::size_t i = 0; i < PendingSurveys::kMax; ++i) ask(kWorker);
    ask(kAsker);
    EXPECT_EQ(failure(kAsker), "4017 too many ask about the mesh at once, try again");
    take(kAsker, v1::Frame::kReadClients);
    ask(kPeerIn);
    EXPECT_EQ(page(kPeerIn), "7: of, without a") << "a peer is told in the page: Failed would be about something else";
    EXPECT_FALSE(asked(kAsker));
    broker_->on_link_down(kWorker, now_);
    ask(kAsker);
    EXPECT_TRUE(asked(kAsker));
}

}  // namespace
}  // namespace weft
