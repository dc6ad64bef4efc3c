#include "limit/token_bucket.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace weft {
namespace {

using std::chrono::milliseconds;

Instant at(std::int64_t ms) {
    return Instant(milliseconds(ms));
}

// How many of `asked` are allowed at once.
int take_at_once(TokenBucket& bucket, const Rate& rate, Instant now, int asked) {
    int taken = 0;
    for (int i = 0; i < asked; ++i) taken += bucket.take(rate, now) == milliseconds{0};
    return taken;
}

TEST(TokenBucket, IsEightBytes) {
    EXPECT_EQ(sizeof(TokenBucket), 8U);
}

TEST(TokenBucket, AllowsTheBurstAndOneMoreAtOnce) {
    for (const std::uint32_t burst : {0U, 1U, 20U, 200U, 10000U}) {
        for (const std::int64_t start : {0LL, 1LL, 123456789LL, 0xFFFFFFFFLL, 0x123456789ALL}) {
            TokenBucket bucket;
            EXPECT_EQ(take_at_once(bucket, {.per_second = 10, .burst = burst}, at(start), 20000),
                      static_cast<int>(burst) + 1)
                << "burst " << burst << " at " << start;
        }
    }
}

TEST(TokenBucket, RefillsAtTheRate) {
    const Rate rate{.per_second = 100, .burst = 200};
    TokenBucket bucket;
    std::int64_t now = 5000;
    ASSERT_EQ(take_at_once(bucket, rate, at(now), 1000), 201);
    EXPECT_EQ(take_at_once(bucket, rate, at(now += 1000), 1000), 100);
    EXPECT_EQ(take_at_once(bucket, rate, at(now += 10), 1000), 1);
    EXPECT_EQ(take_at_once(bucket, rate, at(now += 9), 1000), 0);
    EXPECT_EQ(take_at_once(bucket, rate, at(now += 1), 1000), 1);
    EXPECT_EQ(take_at_once(bucket, rate, at(now += 60000), 1000), 201) << "it holds no more than burst + 1";
}

TEST(TokenBucket, LetsAMessagePassAtExactlyTheRateForEver) {
    const struct {
        double per_second;
        int every_ms;
    } cases[] = {{100, 10}, {10, 100}, {1000, 1}, {5.0 / 60, 12000}, {3, 334}};
    for (const auto& c : cases) {
        const Rate rate{.per_second = c.per_second, .burst = 0};
        TokenBucket bucket;
        for (std::int64_t i = 0; i < 100000; ++i) {
            ASSERT_EQ(bucket.take(rate, at(i * c.every_ms)), milliseconds{0}) << c.per_second << "/s, message " << i;
        }
    }
}

TEST(TokenBucket, SaysHowLongToWait) {
    const struct {
        Rate rate;
        std::int64_t wait;
    } cases[] = {
        {{.per_second = 100, .burst = 3}, 10}, {{.per_second = 3, .burst = 0}, 334},
        {{.per_second = 1e6, .burst = 5}, 1},  {{.per_second = 5.0 / 60, .burst = 1}, 12000},
        {{.per_second = 1, .burst = 0}, 1000},
    };
    for (const auto& c : cases) {
        TokenBucket bucket;
        ASSERT_EQ(take_at_once(bucket, c.rate, at(777), 10), static_cast<int>(c.rate.burst) + 1);
        EXPECT_EQ(bucket.take(c.rate, at(777)), milliseconds{c.wait}) << c.rate.per_second;
        if (c.wait > 1) {
            EXPECT_GT(bucket.take(c.rate, at(777 + c.wait - 1)), milliseconds{0}) << "a millisecond early";
        }
        EXPECT_EQ(bucket.take(c.rate, at(777 + c.wait)), milliseconds{0}) << "after the wait";
    }
}

TEST(TokenBucket, MakesNoMessageLateForTheRoundingOfItsFloat) {
    const Rate rate{.per_second = 10, .burst = 9};
    TokenBucket bucket;
    ASSERT_EQ(take_at_once(bucket, rate, at(0), 20), 10);
    ASSERT_EQ(take_at_once(bucket, rate, at(170), 20), 1);  // 9.3 are missing, which as a float is a little more
    EXPECT_EQ(bucket.take(rate, at(170)), milliseconds{30});
    EXPECT_EQ(bucket.take(rate, at(200)), milliseconds{0});
}

TEST(TokenBucket, ServesWhoeverWaitsAsLongAsHeWasTold) {
    for (std::uint32_t seed = 1; seed <= 50; ++seed) {
        std::minstd_rand random(seed);
        const Rate rate{.per_second = std::exp2(static_cast<double>(random() % 1600) / 100 - 4),
                        .burst = static_cast<std::uint32_t>(random() % 300)};
        TokenBucket bucket;
        std::int64_t now = random();
        for (int i = 0; i < 2000; ++i) {
            const auto wait = bucket.take(rate, at(now));
            if (wait > milliseconds{0}) {
                now += wait.count();
                ASSERT_EQ(bucket.take(rate, at(now)), milliseconds{0}) << "seed " << seed << ", take " << i;
            }
            if (random() % 4 == 0) now += random() % 50;
        }
    }
}

TEST(TokenBucket, AllowsNoMoreThanTheRateHoweverItIsAsked) {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        std::minstd_rand random(seed);
        const Rate rate{.per_second = 1 + static_cast<double>(random() % 200),
                        .burst = static_cast<std::uint32_t>(random() % 500)};
        TokenBucket bucket;
        std::int64_t taken = 0;
        constexpr std::int64_t kLength = 100'000;
        for (std::int64_t now = 0; now <= kLength; now += random() % 3) {
            taken += bucket.take(rate, at(now)) == milliseconds{0};
        }
        const double allowed = rate.burst + 1 + rate.per_second * kLength / 1000;
        EXPECT_LE(static_cast<double>(taken), allowed * 1.001) << "seed " << seed;
        EXPECT_GE(static_cast<double>(taken), allowed * 0.999 - 1) << "seed " << seed;
    }
}

TEST(TokenBucket, RefillsThoughSomebodyAsksEveryMillisecond) {
    // A thousandth of a token a time is lost in the rounding of a float of a million: it must not be added that way.
    const Rate rate{.per_second = 1, .burst = 1'000'000};
    TokenBucket bucket;
    ASSERT_EQ(take_at_once(bucket, rate, at(0), 1'000'002), 1'000'001);
    int taken = 0;
    for (std::int64_t now = 1; now <= 10'000; ++now) taken += bucket.take(rate, at(now)) == milliseconds{0};
    EXPECT_EQ(taken, 10);
}

TEST(TokenBucket, TakesTimeGoingBackwardsForNoTimePassing) {
    const Rate rate{.per_second = 10, .burst = 9};
    TokenBucket bucket;
    ASSERT_EQ(take_at_once(bucket, rate, at(100000), 4), 4);
    EXPECT_EQ(take_at_once(bucket, rate, at(50000), 10), 6) << "what was there is there";
    EXPECT_EQ(take_at_once(bucket, rate, at(99999), 10), 0) << "time that was refilled already";
    EXPECT_EQ(take_at_once(bucket, rate, at(100000), 10), 0);
    EXPECT_EQ(take_at_once(bucket, rate, at(100100), 10), 1);
}

TEST(TokenBucket, CountsOnAcrossTheWrapOfItsClock) {
    const Rate rate{.per_second = 10, .burst = 9};
    for (const std::int64_t wrap : {0x100000000LL, 0x80000000LL, 0x500000000LL}) {
        TokenBucket bucket;
        ASSERT_EQ(take_at_once(bucket, rate, at(wrap - 50), 20), 10);
        EXPECT_EQ(take_at_once(bucket, rate, at(wrap + 49), 20), 0);
        EXPECT_EQ(take_at_once(bucket, rate, at(wrap + 50), 20), 1);
    }
}

TEST(TokenBucket, IsFullAfterWeeksOfSilence) {
    const Rate rate{.per_second = 10, .burst = 9};
    for (const std::int64_t days : {1, 24, 25, 30, 49}) {
        TokenBucket bucket;
        ASSERT_EQ(take_at_once(bucket, rate, at(1000), 20), 10);
        EXPECT_EQ(take_at_once(bucket, rate, at(1000 + days * 24 * 3600 * 1000), 20), 10) << days << " days";
    }
}

TEST(TokenBucket, AllowsEverythingWithoutARate) {
    TokenBucket bucket;
    EXPECT_EQ(take_at_once(bucket, {.per_second = 0, .burst = 0}, at(1), 1000), 1000);
    EXPECT_EQ(take_at_once(bucket, {.per_second = 1, .burst = 4}, at(1), 1000), 5) << "and counts nothing meanwhile";
}

TEST(TokenBucket, FollowsARateThatChanges) {
    TokenBucket bucket;
    ASSERT_EQ(take_at_once(bucket, {.per_second = 10, .burst = 99}, at(0), 1000), 100);
    EXPECT_EQ(take_at_once(bucket, {.per_second = 10, .burst = 0}, at(99), 10), 0);
    EXPECT_EQ(take_at_once(bucket, {.per_second = 10, .burst = 0}, at(100), 10), 1)
        << "tokens that the smaller bucket doesn't hold aren't owed";
}

}  // namespace
}  // namespace weft
