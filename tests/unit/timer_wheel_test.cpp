#include "limit/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace weft {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{milliseconds{1'000'003}};
constexpr auto kTick = TimerWheel::kTick;
constexpr milliseconds kSpan = kTick * TimerWheel::kSlots;

struct Deadline : Timed {
    explicit Deadline(int n = 0) : name(n) {}
    int name;
};

std::vector<int> expire(TimerWheel& wheel, Instant now) {
    std::vector<int> names;
    wheel.advance(now, [&](Timed& timed, Instant when) {
        EXPECT_EQ(when, now);
        EXPECT_FALSE(timed.armed());
        names.push_back(static_cast<Deadline&>(timed).name);
    });
    return names;
}

TEST(TimerWheel, CostsTwentyFourBytesATimed) {
    EXPECT_EQ(sizeof(Timed), 24U);
}

TEST(TimerWheel, NeverComesEarlyAndAtMostATickLate) {
    for (const milliseconds distance : {milliseconds{0}, milliseconds{1}, milliseconds{49}, milliseconds{50},
                                        milliseconds{51}, milliseconds{1000}, kSpan - milliseconds{1}, kSpan,
                                        kSpan + milliseconds{1}, kSpan * 3 + milliseconds{7}, milliseconds{hours{1}}}) {
        TimerWheel wheel(kStart);
        Deadline deadline;
        wheel.arm(deadline, kStart + distance);
        Instant now = kStart;
        while (deadline.armed()) {
            now += milliseconds{1};
            const bool came = !expire(wheel, now).empty();
            ASSERT_EQ(came, !deadline.armed());
            if (came) {
                EXPECT_GE(now, kStart + distance);
            }
            ASSERT_LE(now, kStart + distance + kTick) << "a deadline in " << distance.count() << " ms is overdue";
        }
    }
}

TEST(TimerWheel, CallsEachOnce) {
    TimerWheel wheel(kStart);
    Deadline a(1), b(2), c(3);
    wheel.arm(a, kStart + seconds{1});
    wheel.arm(b, kStart + seconds{1});
    wheel.arm(c, kStart + seconds{2});
    EXPECT_EQ(wheel.size(), 3U);
    EXPECT_EQ(expire(wheel, kStart + milliseconds{999}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + milliseconds{1050}).size(), 2U);
    EXPECT_EQ(wheel.size(), 1U);
    EXPECT_EQ(expire(wheel, kStart + milliseconds{1100}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + seconds{3}), std::vector<int>{3});
    EXPECT_EQ(expire(wheel, kStart + hours{1}), std::vector<int>{});
    EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, MovesADeadlineThatIsArmedAgain) {
    TimerWheel wheel(kStart);
    Deadline deadline(1);
    wheel.arm(deadline, kStart + seconds{1});
    wheel.arm(deadline, kStart + seconds{5});
    EXPECT_EQ(wheel.size(), 1U);
    EXPECT_EQ(expire(wheel, kStart + seconds{4}), std::vector<int>{});
    wheel.arm(deadline, kStart + milliseconds{4200});
    EXPECT_EQ(expire(wheel, kStart + milliseconds{4300}), std::vector<int>{1});
}

TEST(TimerWheel, ForgetsWhatIsDisarmedOrDestroyed) {
    TimerWheel wheel(kStart);
    Deadline a(1), c(3);
    auto b = std::make_unique<Deadline>(2);
    for (Timed* timed : {static_cast<Timed*>(&a), static_cast<Timed*>(b.get()), static_cast<Timed*>(&c)}) {
        wheel.arm(*timed, kStart + seconds{1});
    }
    wheel.disarm(a);
    wheel.disarm(a);
    EXPECT_FALSE(a.armed());
    b.reset();
    EXPECT_EQ(wheel.size(), 1U);
    EXPECT_EQ(expire(wheel, kStart + seconds{2}), std::vector<int>{3});
}

TEST(TimerWheel, DisarmsWhatOutlivesIt) {
    Deadline deadline;
    {
        TimerWheel wheel(kStart);
        wheel.arm(deadline, kStart + seconds{1});
    }
    EXPECT_FALSE(deadline.armed());
}

TEST(TimerWheel, TakesADeadlineThatHasPassedAtTheNextTick) {
    TimerWheel wheel(kStart);
    expire(wheel, kStart + seconds{10});
    Deadline past(1), before_the_wheel(2);
    wheel.arm(past, kStart + seconds{1});
    wheel.arm(before_the_wheel, Instant{});
    EXPECT_EQ(expire(wheel, kStart + seconds{10} + kTick).size(), 2U);
}

TEST(TimerWheel, StandsStillWhenTimeDoes) {
    TimerWheel wheel(kStart);
    Deadline deadline(1);
    expire(wheel, kStart + seconds{10});
    wheel.arm(deadline, kStart + seconds{11});
    EXPECT_EQ(expire(wheel, kStart + seconds{10}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + seconds{5}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, Instant{}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + seconds{11} + kTick), std::vector<int>{1});
}

TEST(TimerWheel, LosesNothingInABigJump) {
    TimerWheel wheel(kStart);
    std::deque<Deadline> deadlines;
    for (int i = 0; i < 5000; ++i) wheel.arm(deadlines.emplace_back(i), kStart + milliseconds{37} * i);
    Deadline later(-1);
    wheel.arm(later, kStart + hours{2});
    EXPECT_EQ(expire(wheel, kStart + hours{1}).size(), 5000U);
    EXPECT_EQ(wheel.size(), 1U);
    EXPECT_EQ(expire(wheel, kStart + hours{3}), std::vector<int>{-1});
}

TEST(TimerWheel, KeepsDeadlinesYearsAway) {
    constexpr hours kYear{24 * 365};
    TimerWheel wheel(kStart);
    Deadline one(1), three(3), never(4);
    wheel.arm(one, kStart + kYear);
    wheel.arm(three, kStart + 3 * kYear);
    wheel.arm(never, Instant::max());
    EXPECT_EQ(expire(wheel, kStart + kYear - seconds{1}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + kYear + seconds{1}), std::vector<int>{1});
    EXPECT_EQ(expire(wheel, kStart + 3 * kYear - seconds{1}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + 3 * kYear + seconds{1}), std::vector<int>{3});
    // Ticks have 32 bits, so this goes beyond their wrap.
    wheel.arm(one, kStart + 6 * kYear);
    EXPECT_EQ(expire(wheel, kStart + 6 * kYear - seconds{1}), std::vector<int>{4}) << "it comes after 2^31 ticks";
    EXPECT_EQ(expire(wheel, kStart + 6 * kYear + seconds{1}), std::vector<int>{1});
    wheel.arm(one, kStart + 8 * kYear);
    EXPECT_EQ(expire(wheel, kStart + 8 * kYear - seconds{1}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + 80 * kYear), std::vector<int>{1});
}

TEST(TimerWheel, LetsACallbackArmAnew) {
    TimerWheel wheel(kStart);
    Deadline deadline;
    wheel.arm(deadline, kStart + seconds{1});
    int calls = 0;
    Instant now = kStart;
    for (int i = 0; i < 100; ++i) {
        wheel.advance(now += seconds{1} + kTick, [&](Timed& timed, Instant when) {
            ++calls;
            wheel.arm(timed, when + seconds{1});
        });
    }
    EXPECT_EQ(calls, 100);
}

TEST(TimerWheel, CallsWhatACallbackArmsOnlyInTheNextAdvance) {
    for (const Instant deadline : {kStart, kStart + hours{1}, kStart + hours{1} + kSpan}) {
        TimerWheel wheel(kStart);
        Deadline first, second;
        wheel.arm(first, kStart + seconds{1});
        int calls = 0;
        wheel.advance(kStart + hours{1}, [&](Timed& timed, Instant) {
            ++calls;
            wheel.arm(timed, deadline);
            wheel.arm(second, deadline);
        });
        EXPECT_EQ(calls, 1) << "a callback that always arms anew must not hold up the wheel";
        EXPECT_EQ(wheel.size(), 2U);
        EXPECT_EQ(expire(wheel, kStart + hours{1} + kSpan + kTick).size(), 2U);
    }
}

TEST(TimerWheel, LetsACallbackDestroyAnyWhichIsDueInTheSameSlot) {
    for (const bool destroy : {false, true}) {
        TimerWheel wheel(kStart);
        std::vector<std::unique_ptr<Deadline>> deadlines;
        for (int i = 0; i < 10; ++i) {
            deadlines.push_back(std::make_unique<Deadline>(i));
            wheel.arm(*deadlines.back(), kStart + seconds{1});
        }
        int calls = 0;
        wheel.advance(kStart + seconds{2}, [&](Timed&, Instant) {
            ++calls;
            if (destroy) {
                deadlines.clear();  // itself included
            } else {
                for (auto& deadline : deadlines) wheel.disarm(*deadline);
            }
        });
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(wheel.size(), 0U);
    }
}

TEST(TimerWheel, LetsACallbackMoveAnotherThatIsDueToLater) {
    TimerWheel wheel(kStart);
    Deadline a(1), b(2);
    wheel.arm(a, kStart + seconds{1});
    wheel.arm(b, kStart + seconds{1});
    std::vector<int> names;
    wheel.advance(kStart + seconds{2}, [&](Timed& timed, Instant when) {
        names.push_back(static_cast<Deadline&>(timed).name);
        wheel.arm(&timed == &a ? b : a, when + seconds{5});
    });
    EXPECT_EQ(names.size(), 1U);
    EXPECT_EQ(expire(wheel, kStart + seconds{6}), std::vector<int>{});
    EXPECT_EQ(expire(wheel, kStart + seconds{8}).size(), 1U);
}

// Against a plain map of deadlines, from a seed: arming, moving, disarming, destroying, from within callbacks too, and
// steps of time from nothing to many turns.
TEST(TimerWheel, AgreesWithAPlainMap) {
    for (std::uint32_t seed = 1; seed <= 30; ++seed) {
        SCOPED_TRACE(seed);
        std::minstd_rand random(seed);
        const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
        TimerWheel wheel(kStart);
        Instant now = kStart;
        std::map<int, std::unique_ptr<Deadline>> alive;
        std::map<int, Instant> armed;
        int next_name = 0;

        const auto change_something = [&] {
            const auto pick = [&] { return std::next(alive.begin(), below(static_cast<std::uint32_t>(alive.size()))); };
            switch (alive.empty() ? 0 : below(5)) {
                case 0: {
                    auto deadline = std::make_unique<Deadline>(next_name++);
                    alive.emplace(deadline->name, std::move(deadline));
                    break;
                }
                case 1:
                case 2: {
                    auto& deadline = *pick()->second;
                    const auto when = now + milliseconds{below(1U << below(18))} - milliseconds{below(100)};
                    wheel.arm(deadline, when);
                    armed[deadline.name] = when;
                    break;
                }
                case 3: {
                    auto& deadline = *pick()->second;
                    wheel.disarm(deadline);
                    armed.erase(deadline.name);
                    break;
                }
                case 4: {
                    const auto at = pick();
                    armed.erase(at->first);
                    alive.erase(at);
                    break;
                }
            }
        };

        for (int step = 0; step < 1000; ++step) {
            for (auto changes = below(8); changes > 0; --changes) change_something();
            ASSERT_EQ(wheel.size(), armed.size());
            now += milliseconds{below(1U << below(18))};
            wheel.advance(now, [&](Timed& timed, Instant) {
                const int name = static_cast<Deadline&>(timed).name;
                ASSERT_TRUE(armed.contains(name));
                EXPECT_LE(armed[name], now) << "early";
                armed.erase(name);
                if (below(3) == 0) change_something();
            });
            // What a callback armed in the past comes with the next tick, so by then all is right again.
            const auto again = now + kTick;
            wheel.advance(again, [&](Timed& timed, Instant) {
                const int name = static_cast<Deadline&>(timed).name;
                EXPECT_LE(armed.at(name), again) << "early";
                armed.erase(name);
            });
            now = again;
            for (const auto& [name, when] : armed) ASSERT_GT(when + kTick, now) << "late: " << name;
        }
    }
}

}  // namespace
}  // namespace weft
