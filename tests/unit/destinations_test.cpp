// Which worker connections go to, and how long it is worth waiting for one.
#include "move/destinations.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;
using Answer = Destination::Answer;

constexpr Instant kBegin{1'000'000ms};
const Destinations::OthersCome kOthersCome = [] { return true; }, kNobodyComes = [] { return false; };

const Destinations::OthersCome kNotAsked = [] {
    ADD_FAILURE() << "it is of no matter whether others come";
    return true;
};

/// A connection wants to go, at kBegin.
struct DestinationsTest : testing::Test {
    DestinationsTest() { destinations.on_departure(kBegin); }
    Destination& worker(pid_t pid, Answer answer, std::uint64_t connections = 0) {
        Destination& added = destinations.add(pid);
        added.on_answer(answer, connections);
        return added;
    }
    Destinations destinations;
};

TEST_F(DestinationsTest, TakeThoseThatAreReadyInTheOrderOfTheirConnections) {
    worker(1, Answer::not_yet, 0);
    worker(2, Answer::never, 1);
    EXPECT_EQ(destinations.next(), nullptr) << "nobody is ready";
    Destination& many = worker(3, Answer::ready, 30);
    EXPECT_EQ(destinations.next(), &many);
    Destination& few = worker(4, Answer::ready, 20);
    EXPECT_EQ(destinations.next(), &few);
    few.load += 11;
    EXPECT_EQ(destinations.next(), &many) << "those that were sent there count";
    many.busy = true;
    EXPECT_EQ(destinations.next(), &few) << "one batch at a time";
    few.ready = false;
    EXPECT_EQ(destinations.next(), nullptr);
    few.on_answer(Answer::ready, 31);
    EXPECT_EQ(destinations.next(), &few) << "until it says so again";
    few.closed = true;
    few.on_answer(Answer::ready, 0);
    EXPECT_EQ(destinations.next(), nullptr) << "who is gone is not asked again";
}

TEST_F(DestinationsTest, KnowEachWorkerOnce) {
    EXPECT_TRUE(destinations.wants(7));
    Destination& gone = worker(7, Answer::ready);
    gone.closed = true;
    EXPECT_FALSE(destinations.wants(7)) << "also one that has gone";
    for (pid_t pid = 100; destinations.wants(pid); ++pid) worker(pid, Answer::not_yet);
    EXPECT_FALSE(destinations.wants(2'000'000)) << "there is a bound";
}

TEST_F(DestinationsTest, AreLookedForAtOnceAndThenNowAndThen) {
    EXPECT_TRUE(destinations.look(kBegin));
    EXPECT_FALSE(destinations.look(kBegin + 99ms));
    EXPECT_TRUE(destinations.look(kBegin + 100ms));
    EXPECT_FALSE(destinations.look(kBegin + 199ms));
}

TEST_F(DestinationsTest, AreExpectedOfAReloadForItsTime) {
    EXPECT_TRUE(destinations.expect_anybody(kBegin, kOthersCome));
    EXPECT_FALSE(destinations.expect_anybody(kBegin, kNobodyComes)) << "nginx stops";
    EXPECT_TRUE(destinations.expect_anybody(kBegin + 19'999ms, kOthersCome));
    EXPECT_FALSE(destinations.expect_anybody(kBegin + 20s, kOthersCome)) << "none has come";
    EXPECT_FALSE(destinations.expect_anybody(kBegin + 20s, kNotAsked)) << "it is too late for others";
    Destination& late = worker(1, Answer::not_yet);
    EXPECT_TRUE(destinations.expect_anybody(kBegin, kNotAsked));
    EXPECT_TRUE(destinations.expect_anybody(kBegin + 1h, kNobodyComes)) << "one is here";
    late.on_answer(Answer::never, 0);
    EXPECT_FALSE(destinations.expect_anybody(kBegin + 1h, kOthersCome));
}

TEST_F(DestinationsTest, AreGivenUpWhenNobodyIsThereOrComes) {
    EXPECT_TRUE(destinations.give_up(kBegin, kNobodyComes));
    EXPECT_FALSE(destinations.give_up(kBegin + 19'999ms, kOthersCome)) << "a reload's workers take their time";
    EXPECT_TRUE(destinations.give_up(kBegin + 20s, kOthersCome));
}

TEST_F(DestinationsTest, AreGivenUpWhenNoneHasGotReady) {
    worker(1, Answer::not_yet);
    EXPECT_FALSE(destinations.give_up(kBegin + 19'999ms, kOthersCome));
    EXPECT_FALSE(destinations.give_up(kBegin + 24'998ms, kOthersCome)) << "patience begins anew while it may come";
    EXPECT_TRUE(destinations.give_up(kBegin + 24'999ms, kOthersCome));
}

TEST_F(DestinationsTest, AreGivenUpByWhoIsNeverAtRestWhileOneIsReady) {
    worker(1, Answer::ready);
    EXPECT_FALSE(destinations.give_up(kBegin + 4'999ms, kOthersCome));
    EXPECT_TRUE(destinations.give_up(kBegin + 5s, kOthersCome));
    destinations.on_success(kBegin + 5s);
    EXPECT_FALSE(destinations.give_up(kBegin + 9'999ms, kOthersCome)) << "others still go";
    EXPECT_TRUE(destinations.give_up(kBegin + 10s, kOthersCome));
    destinations.on_departure(kBegin + 10s);
    EXPECT_FALSE(destinations.give_up(kBegin + 14'999ms, kOthersCome)) << "another wants to";
}

TEST_F(DestinationsTest, AreTriedStillByOthersWhenTheReadyOneGoes) {
    Destination& ready = worker(1, Answer::ready);
    worker(2, Answer::not_yet);
    EXPECT_FALSE(destinations.give_up(kBegin + 4s, kOthersCome));
    ready.closed = true;
    EXPECT_FALSE(destinations.give_up(kBegin + 6s, kOthersCome)) << "the other may get ready";
}

}  // namespace
}  // namespace weft
