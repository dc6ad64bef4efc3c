// A load generator that can't see a loss is worthless: each fault, fed in by hand, must be counted as what it is.
#include "bench/audit.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <ostream>
#include <vector>

namespace weft::bench {
namespace {

constexpr std::uint32_t kChannel = 3;

// Publishes 0 to `published` - 1 to one subscriber, who gets `numbers`.
Audit judged(std::uint32_t published, std::initializer_list<std::uint32_t> numbers) {
    Audit audit(kChannel + 1, 1);
    for (std::uint32_t i = 0; i < published; ++i) audit.publish(kChannel);
    Ledger ledger;
    for (const std::uint32_t number : numbers) audit.deliver(ledger, kChannel, {kChannel, number, 0});
    return audit;
}

TEST(Audit, IsCleanWhenEverythingCameOnceAndInOrder) {
    const Audit audit = judged(5, {0, 1, 2, 3, 4});
    EXPECT_TRUE(audit.clean());
    EXPECT_EQ(audit.expected(), 5U);
    EXPECT_EQ(audit.delivered(), 5U);
    EXPECT_EQ(audit.lost(), 0U);
}

struct Case {
    const char* name;
    std::uint32_t published;
    std::initializer_list<std::uint32_t> numbers;
    std::uint64_t lost, duplicates, reordered, stray;
};

void PrintTo(const Case& given, std::ostream* out) {
    *out << given.name;
}

class EachFault : public testing::TestWithParam<Case> {};

TEST_P(EachFault, IsCountedAndSpoilsTheRun) {
    const Case& given = GetParam();
    const Audit audit = judged(given.published, given.numbers);
    EXPECT_EQ(audit.lost(), given.lost);
    EXPECT_EQ(audit.duplicates(), given.duplicates);
    EXPECT_EQ(audit.reordered(), given.reordered);
    EXPECT_EQ(audit.stray(), given.stray);
    EXPECT_EQ(audit.delivered(), given.numbers.size());
    EXPECT_FALSE(audit.clean());
}

const Case kFaults[] = {
    {"TheFirstIsLost", 4, {1, 2, 3}, 1, 0, 0, 0},
    {"OneInTheMiddleIsLost", 4, {0, 1, 3}, 1, 0, 0, 0},
    {"TheLastIsLost", 4, {0, 1, 2}, 1, 0, 0, 0},
    {"AllAreLost", 4, {}, 4, 0, 0, 0},
    {"ARunIsLost", 100, {0, 99}, 98, 0, 0, 0},
    {"OneComesTwiceAtOnce", 3, {0, 1, 1, 2}, 0, 1, 0, 0},
    {"OneComesTwiceLater", 5, {0, 1, 2, 3, 1, 4}, 0, 1, 0, 0},
    {"OneComesThreeTimes", 2, {0, 0, 0, 1}, 0, 2, 0, 0},
    {"TwoChangePlaces", 4, {0, 2, 1, 3}, 0, 0, 1, 0},
    {"OneComesLastOfAll", 4, {1, 2, 3, 0}, 0, 0, 1, 0},
    {"AllComeBackwards", 4, {3, 2, 1, 0}, 0, 0, 3, 0},
    {"OneComesLateAndAgain", 4, {0, 2, 1, 1, 3}, 0, 1, 1, 0},
    {"ADuplicateDoesNotMakeUpForALoss", 3, {0, 0, 2}, 1, 1, 0, 0},
    {"OneWasNeverPublished", 2, {0, 1, 2}, 0, 0, 0, 1},
    {"WhatWasNeverPublishedDoesNotMakeUpForALoss", 3, {0, 1, 7}, 1, 0, 0, 1},
};
INSTANTIATE_TEST_SUITE_P(Audit, EachFault, testing::ValuesIn(kFaults),
                         [](const auto& info) { return info.param.name; });

TEST(Audit, CountsACopyOfAnotherChannelAsStrayAndNotAsReceived) {
    Audit audit(2, 1);
    audit.publish(0);
    audit.publish(1);
    Ledger ledger;
    EXPECT_FALSE(audit.deliver(ledger, 0, {1, 0, 0}));
    EXPECT_EQ(audit.stray(), 1U);
    EXPECT_EQ(audit.lost(), 2U);
    EXPECT_FALSE(audit.clean());
}

TEST(Audit, SeesALossOfOneSubscriberAmongMany) {
    constexpr std::uint32_t kSubscribers = 50;
    Audit audit(1, kSubscribers);
    std::vector<Ledger> ledgers(kSubscribers);
    for (std::uint32_t number = 0; number < 20; ++number) {
        audit.publish(0);
        for (std::size_t i = 0; i < ledgers.size(); ++i) {
            if (i != 17 || number != 11) audit.deliver(ledgers[i], 0, {0, number, 0});
        }
    }
    EXPECT_EQ(audit.expected(), 1000U);
    EXPECT_EQ(audit.lost(), 1U);
    EXPECT_FALSE(audit.clean());
}

TEST(Audit, IsNotCleanAfterADisconnectOrAStall) {
    Audit disconnected = judged(1, {0});
    disconnected.disconnect();
    EXPECT_EQ(disconnected.disconnects(), 1U);
    EXPECT_FALSE(disconnected.clean());
    Audit stalled = judged(1, {0});
    stalled.stall();
    EXPECT_EQ(stalled.stalls(), 1U);
    EXPECT_FALSE(stalled.clean());
}

TEST(Audit, TellsFirstCopiesFromOthers) {
    Audit audit(1, 1);
    for (int i = 0; i < 3; ++i) audit.publish(0);
    Ledger ledger;
    EXPECT_TRUE(audit.deliver(ledger, 0, {0, 0, 0}));
    EXPECT_FALSE(audit.deliver(ledger, 0, {0, 0, 0}));
    EXPECT_TRUE(audit.deliver(ledger, 0, {0, 2, 0}));
    EXPECT_TRUE(audit.deliver(ledger, 0, {0, 1, 0}));
}

using Verdict = Ledger::Verdict;

TEST(Ledger, TellsLateFromDuplicateForTheLast64Numbers) {
    Ledger ledger;
    ASSERT_EQ(ledger.enter(0), Verdict::in_order);
    ASSERT_EQ(ledger.enter(100), Verdict::ahead);
    EXPECT_EQ(ledger.enter(37), Verdict::late) << "63 behind the newest";
    EXPECT_EQ(ledger.enter(37), Verdict::duplicate);
    EXPECT_EQ(ledger.enter(99), Verdict::late);
    EXPECT_EQ(ledger.enter(99), Verdict::duplicate);
    EXPECT_EQ(ledger.enter(100), Verdict::duplicate);
    EXPECT_EQ(ledger.enter(36), Verdict::duplicate) << "64 behind: no longer known, so not counted as received";
    EXPECT_EQ(ledger.enter(101), Verdict::in_order);
    EXPECT_EQ(ledger.enter(98), Verdict::late) << "the window has moved on by one";
}

TEST(Ledger, KeepsItsWindowThroughAStepOfAnySize) {
    for (const std::uint32_t step : {1U, 2U, 62U, 63U, 64U, 65U, 1000U}) {
        Ledger ledger;
        ledger.enter(0);
        ledger.enter(step);
        const Verdict again = ledger.enter(0);
        EXPECT_EQ(again, Verdict::duplicate) << step;
        if (step > 1) {
            EXPECT_EQ(ledger.enter(step - 1), Verdict::late) << step;
        }
        EXPECT_EQ(ledger.enter(step), Verdict::duplicate) << step;
    }
}

}  // namespace
}  // namespace weft::bench
