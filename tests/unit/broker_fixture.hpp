// A broker whose frames are kept for the test to look at.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/broker.hpp"

namespace weft {

class BrokerFixture : public testing::Test, public Broker::Outbox {
protected:
    static constexpr LinkId kWorker = 1, kOtherWorker = 2, kPeerIn = 11, kPeerOut = 21;

    void send(LinkId link, std::string_view frame) override {
        v1::Frame decoded;
        ASSERT_TRUE(decoded.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
        if (!decoded.has_read_digest()) sent.emplace_back(link, std::move(decoded));
    }

    void start(BrokerSettings settings) {
        settings.node = "a";
        broker = std::make_unique<Broker>(
            settings, [this] { return random(); }, *this);
    }
    void up(LinkId link, LinkRole role) { broker->on_link_up(link, role, "b", now); }
    void frame(LinkId link, const v1::Frame& frame) {
        broker->on_frame(link, frame, now, WallTime(std::chrono::milliseconds(1'700'000'000'000)));
    }
    void want(LinkId link, const std::string& channel) {
        v1::Frame frame;
        frame.mutable_subscribe()->set_channel(channel);
        this->frame(link, frame);
    }
    void tick_after(std::chrono::milliseconds time) {
        now += time;
        broker->on_tick(now);
    }

    static void add_rule(v1::ChannelRules& rules, const std::string& pattern, bool ack) {
        v1::ChannelRule& rule = *rules.add_rules();
        rule.set_pattern(pattern);
        rule.mutable_history()->set_count(100);
        rule.mutable_history()->set_age_ms(3'600'000);
        rule.mutable_history()->set_ack(ack);
    }

    /// What was sent to the link since it was last asked for.
    std::vector<v1::Frame> take(LinkId link) {
        std::vector<v1::Frame> frames;
        std::erase_if(sent, [&](const auto& one) {
            if (one.first == link) frames.push_back(one.second);
            return one.first == link;
        });
        return frames;
    }
    v1::Frame take_one(LinkId link) {
        const auto frames = take(link);
        EXPECT_EQ(frames.size(), 1u);
        return frames.empty() ? v1::Frame{} : frames.front();
    }

    std::mt19937_64 random{7};
    Instant now{std::chrono::milliseconds(1'000'000)};
    std::vector<std::pair<LinkId, v1::Frame>> sent;
    std::unique_ptr<Broker> broker;
};

}  // namespace weft
