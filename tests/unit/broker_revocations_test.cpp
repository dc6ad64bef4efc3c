// Broker: decisions about clients reach every worker and peer, also those that come later.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "broker/broker.hpp"
#include "weft/revocations.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr LinkId kWorker = 1, kOtherWorker = 2, kLaterWorker = 3, kPeerIn = 11, kPeerOut = 21, kLaterPeer = 12;

class BrokerRevocations : public testing::Test, public Broker::Outbox {
protected:
    BrokerRevocations() {
        BrokerSettings settings;
        settings.node = "a";
        broker_ = std::make_unique<Broker>(
            std::move(settings), [this] { return random_(); }, *this);
        up(kWorker, LinkRole::worker);
        up(kOtherWorker, LinkRole::worker);
        up(kPeerIn, LinkRole::peer_in);
        up(kPeerOut, LinkRole::peer_out);
        sent_.clear();
    }
    void send(LinkId link, std::string_view bytes) override {
        v1::Frame frame;
        ASSERT_TRUE(frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
        sent_.emplace_back(link, std::move(frame));
    }
    void up(LinkId link, LinkRole role) { broker_->on_link_up(link, role, "b", now_); }
    void frame(LinkId link, const v1::Frame& frame) { broker_->on_frame(link, frame, now_, wall_); }
    // Whom the link was told to revoke since the last call.
    std::vector<std::string> told(LinkId link) {
        std::vector<std::string> users;
        std::erase_if(sent_, [&](const auto& one) {
            if (one.first != link || !one.second.has_revocation()) return false;
            users.push_back(one.second.revocation().user() + (one.second.revocation().late() ? " late" : ""));
            return true;
        });
        return users;
    }
    static v1::Frame revoke(v1::Revocation::Kind kind, const std::string& user, std::uint32_t seconds = 0) {
        v1::Frame frame;
        frame.mutable_revoke()->set_request(7);
        frame.mutable_revoke()->set_seconds(seconds);
        frame.mutable_revoke()->mutable_revocation()->set_kind(kind);
        frame.mutable_revoke()->mutable_revocation()->set_user(user);
        return frame;
    }

    using Users = std::vector<std::string>;
    Instant now_{1000ms};
    WallTime wall_{1'700'000'000'000ms};
    std::mt19937_64 random_{1};
    std::vector<std::pair<LinkId, v1::Frame>> sent_;
    std::unique_ptr<Broker> broker_;
};

TEST_F(BrokerRevocations, TellsAllWorkersAndAllPeersAndAnswers) {
    frame(kWorker, revoke(v1::Revocation::DISCONNECT, "ann"));
    EXPECT_EQ(told(kWorker), Users{"ann"});
    EXPECT_EQ(told(kOtherWorker), Users{"ann"});
    EXPECT_EQ(told(kPeerIn), Users{"ann"});
    EXPECT_EQ(told(kPeerOut), Users{}) << "what begins here goes to those who dialed";
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].first, kWorker);
    EXPECT_EQ(sent_[0].second.published().request(), 7u);
}

TEST_F(BrokerRevocations, PassesAPeersOnButNeverBackNorTwice) {
    frame(kWorker, revoke(v1::Revocation::BAN, "ann", 60));
    v1::Frame news;
    for (const auto& [link, one] : sent_) {
        if (one.has_revocation()) news = one;
    }
    BrokerSettings settings;
    settings.node = "b";
    broker_ = std::make_unique<Broker>(
        std::move(settings), [this] { return random_(); }, *this);
    up(kWorker, LinkRole::worker);
    up(kPeerIn, LinkRole::peer_in);
    up(kPeerOut, LinkRole::peer_out);
    sent_.clear();
    frame(kPeerOut, news);
    EXPECT_EQ(told(kWorker), Users{"ann"});
    EXPECT_EQ(told(kPeerIn), Users{"ann"}) << "that peer may have no link to where it began";
    frame(kPeerOut, news);
    EXPECT_EQ(sent_.size(), 0u);
}

TEST_F(BrokerRevocations, TellsThoseWhoComeLater) {
    frame(kWorker, revoke(v1::Revocation::BAN, "ann", 7200));
    frame(kWorker, revoke(v1::Revocation::DISCONNECT, "bob"));
    up(kLaterWorker, LinkRole::worker);
    up(kLaterPeer, LinkRole::peer_in);
    for (const LinkId later : {kLaterWorker, kLaterPeer}) {
        auto users = told(later);
        std::ranges::sort(users);
        EXPECT_EQ(users, (Users{"ann late", "bob late"}));
    }
}

TEST_F(BrokerRevocations, RefusesWhatMakesNoSense) {
    frame(kWorker, revoke(v1::Revocation::DISCONNECT, ""));
    frame(kWorker, revoke(v1::Revocation::BAN, "ann", 0));
    ASSERT_EQ(sent_.size(), 2u);
    EXPECT_TRUE(sent_[0].second.has_failed());
    EXPECT_TRUE(sent_[1].second.has_failed());
}

TEST_F(BrokerRevocations, TakesNoOrdersFromPeers) {
    frame(kPeerIn, revoke(v1::Revocation::DISCONNECT, "ann"));
    frame(kPeerOut, revoke(v1::Revocation::DISCONNECT, "ann"));
    EXPECT_EQ(sent_.size(), 0u);
    EXPECT_EQ(broker_->counts().ignored, 2u);
}

TEST_F(BrokerRevocations, TellsThoseWhoComeLaterNoMoreThanTheSmallestQueueTakes) {
    constexpr std::size_t kSmallestQueue = std::size_t{8} << 20;  // limits.queue
    for (std::size_t i = 0; i < Revocations::kMax; ++i) {
        v1::Frame one = revoke(v1::Revocation::UNSUBSCRIBE, std::to_string(i) + std::string(250, 'x'));
        one.mutable_revoke()->mutable_revocation()->set_channel(std::string(255, 'c'));
        frame(kWorker, one);
        sent_.clear();
    }
    up(kLaterWorker, LinkRole::worker);
    ASSERT_EQ(sent_.size(), Revocations::kMax);
    std::size_t bytes = 0;
    for (const auto& [link, one] : sent_) bytes += one.ByteSizeLong() + 8;
    EXPECT_GT(bytes, Revocations::kMax * 500);
    EXPECT_LT(bytes, kSmallestQueue);
}

}  // namespace
}  // namespace weft
