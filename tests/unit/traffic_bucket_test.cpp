#include "limit/traffic_bucket.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr Rate kNoRate{};
constexpr ByteRate kNoBytes{};

TEST(TrafficBucket, LetsEverythingPassWithoutLimits) {
    TrafficBucket bucket;
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(bucket.take(kNoRate, kNoBytes, 1'000'000, Instant(0ms)).wait, 0ms);
}

TEST(TrafficBucket, CountsMessagesAsATokenBucketDoes) {
    TrafficBucket bucket;
    TokenBucket token;
    const Rate rate{10, 5};
    Instant now{1'000'000ms};
    std::uint32_t state = 7;
    for (int i = 0; i < 5000; ++i) {
        state = state * 1664525 + 1013904223;
        now += std::chrono::milliseconds((state >> 16) % 180);
        const auto expected = token.take(rate, now);
        ASSERT_EQ(bucket.take(rate, kNoBytes, 100, now).wait, expected) << i;
    }
}

TEST(TrafficBucket, LetsBytesPassUpToTheBurstAndThenAtTheRate) {
    TrafficBucket bucket;
    const ByteRate rate{1000, 500};
    Instant now{5s};
    EXPECT_EQ(bucket.take(kNoRate, rate, 400, now).wait, 0ms);
    EXPECT_EQ(bucket.take(kNoRate, rate, 400, now).wait, 0ms) << "something was left, so it passes whole";
    const auto refused = bucket.take(kNoRate, rate, 1, now);
    EXPECT_EQ(refused.wait, 300ms) << "what was overdrawn is paid back first";
    EXPECT_TRUE(refused.bytes);
    EXPECT_EQ(bucket.take(kNoRate, rate, 1, now + 299ms).wait, 1ms);
    EXPECT_EQ(bucket.take(kNoRate, rate, 1, now + 300ms).wait, 0ms);
}

TEST(TrafficBucket, LetsAMessageLargerThanTheBurstPassOnce) {
    TrafficBucket bucket;
    const ByteRate rate{1000, 10};
    EXPECT_EQ(bucket.take(kNoRate, rate, 100'000, Instant(1s)).wait, 0ms);
    EXPECT_EQ(bucket.take(kNoRate, rate, 1, Instant(1s)).wait, 99'990ms);
}

TEST(TrafficBucket, TakesNothingOfEitherWhenOneIsShort) {
    TrafficBucket bucket;
    const Rate messages{1, 1};
    const ByteRate bytes{1000, 100};
    EXPECT_EQ(bucket.take(messages, bytes, 1000, Instant(1s)).wait, 0ms);
    for (int i = 0; i < 50; ++i) {
        const auto refused = bucket.take(messages, bytes, 1000, Instant(1s));
        EXPECT_TRUE(refused.bytes);
        EXPECT_EQ(refused.wait, 900ms) << "asking in vain makes nothing worse";
    }
    EXPECT_EQ(bucket.take(messages, bytes, 1, Instant(1900ms)).wait, 0ms) << "and cost no message";
}

TEST(TrafficBucket, KeepsTheRateOfBytesInTheLongRun) {
    TrafficBucket bucket;
    const ByteRate rate{10'000, 5'000};
    std::size_t passed = 0;
    Instant now{1s};
    for (; now < Instant(101s); now += 7ms) {
        if (bucket.take(kNoRate, rate, 700, now).wait == 0ms) passed += 700;
    }
    EXPECT_GE(passed, 1'000'000U);
    EXPECT_LE(passed, 1'006'500U);
}

TEST(TrafficBucket, TakesAClockThatGoesBackForOneThatStands) {
    TrafficBucket bucket;
    const ByteRate rate{1000, 0};
    EXPECT_EQ(bucket.take(kNoRate, rate, 1000, Instant(100s)).wait, 0ms);
    EXPECT_EQ(bucket.take(kNoRate, rate, 1, Instant(90s)).wait, 1000ms);
    EXPECT_EQ(bucket.take(kNoRate, rate, 1, Instant(101s)).wait, 0ms);
}

TEST(TrafficBucket, IsSmall) {
    static_assert(sizeof(TrafficBucket) == 12);
}

}  // namespace
}  // namespace weft
