// HookLane and its circuit breaker: which calls are made, which wait, and which are not made at all.
#include "call/hook_lane.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

class HookLaneTest : public testing::Test {
protected:
    HookLane::Settings settings{.timeout = 3s, .concurrency = 2, .queue = 2, .breaker = {.failures = 3, .pause = 5s}};
    HookLane lane{Hook::rpc, settings};
    Instant now{1000ms};

    bool admitted(std::uint64_t id) { return !lane.admit({Hook::rpc, id, "{}"}, now); }
    HookLane::Waiting take() { return lane.next(now).value(); }
    void one(CallOutcome outcome) {
        ASSERT_TRUE(admitted(1));
        const auto call = take();
        ASSERT_EQ(call.verdict, CallOutcome::allowed);
        lane.finish(call, outcome, now);
    }
    std::uint64_t count(CallOutcome outcome) { return lane.counts().calls[static_cast<std::size_t>(outcome)]; }
};

TEST_F(HookLaneTest, RunsAsManyAsMayAndLetsAsManyWait) {
    for (int id = 1; id <= 4; ++id) EXPECT_TRUE(admitted(static_cast<std::uint64_t>(id)));
    EXPECT_FALSE(admitted(5)) << "two to run, two to wait";
    const auto first = take();
    EXPECT_EQ(take().call.id, 2U);
    EXPECT_FALSE(lane.next(now).has_value());
    EXPECT_FALSE(lane.ready(now));
    EXPECT_FALSE(admitted(6));
    lane.finish(first, CallOutcome::allowed, now);
    EXPECT_TRUE(lane.ready(now));
    EXPECT_EQ(take().call.id, 3U);
    EXPECT_TRUE(admitted(7));
    EXPECT_EQ(count(CallOutcome::rejected), 2U);
}

TEST_F(HookLaneTest, WaitingCountsForTheTimeout) {
    for (std::uint64_t id = 1; id <= 3; ++id) admitted(id);
    take();
    take();
    EXPECT_EQ(lane.deadline(), now + 3s);
    now += 3s;
    const auto late = take();
    EXPECT_EQ(late.call.id, 3U);
    EXPECT_EQ(late.verdict, CallOutcome::timed_out);
    EXPECT_EQ(lane.error_of(CallOutcome::timed_out, now).code, 4019);
    EXPECT_EQ(count(CallOutcome::timed_out), 1U);
}

TEST_F(HookLaneTest, OpensAfterFailuresInARowAndTriesOneCallAfterThePause) {
    one(CallOutcome::failed);
    one(CallOutcome::timed_out);
    one(CallOutcome::refused);  // an answer all the same
    one(CallOutcome::failed);
    one(CallOutcome::failed);
    EXPECT_EQ(lane.breaker(), Breaker::State::closed);
    one(CallOutcome::unreachable);
    EXPECT_EQ(lane.breaker(), Breaker::State::open);
    now += 4s;
    const auto error = lane.admit({Hook::rpc, 9, "{}"}, now);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, 4017);
    EXPECT_EQ(error->retry_after, 1s) << "when it is tried again";
    now += 1s;
    EXPECT_TRUE(admitted(10));
    EXPECT_TRUE(admitted(11));
    const auto probe = take();
    EXPECT_EQ(lane.breaker(), Breaker::State::half_open);
    EXPECT_FALSE(lane.next(now).has_value()) << "one call decides";
    lane.finish(probe, CallOutcome::allowed, now);
    EXPECT_EQ(take().verdict, CallOutcome::allowed);
    EXPECT_EQ(lane.counts().opened, 1U);
}

TEST_F(HookLaneTest, AProbeThatFailsOpensItAgainAndEndsWhatWaits) {
    for (int i = 0; i < 3; ++i) one(CallOutcome::failed);
    now += 5s;
    admitted(1);
    admitted(2);
    const auto probe = take();
    lane.finish(probe, CallOutcome::failed, now);
    EXPECT_EQ(take().verdict, CallOutcome::rejected);
    EXPECT_FALSE(admitted(3));
    EXPECT_EQ(lane.counts().opened, 2U);
}

TEST_F(HookLaneTest, BoundsTheBytesThatWait) {
    EXPECT_FALSE(lane.admit({Hook::rpc, 1, std::string(HookLane::kMaxWaitingBytes, ' ')}, now).has_value());
    EXPECT_TRUE(lane.admit({Hook::rpc, 2, " "}, now).has_value());
    take();
    EXPECT_FALSE(lane.admit({Hook::rpc, 3, " "}, now).has_value());
}

}  // namespace
}  // namespace weft
