// Connections that come at one moment.
#include "move/move_party.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr unsigned kShards = 2;

/// The first and the last are let in, the second isn't.
MoveParty party_of_three() {
    MoveParty party(7);
    for (const bool let_in : {true, false, true}) party.add(let_in);
    return party;
}

TEST(MoveParty, IsOverWhenAllWereAwaitedAndEachHasComeOrGone) {
    MoveParty party = party_of_three();
    party.await();
    EXPECT_FALSE(party.over());
    EXPECT_TRUE(party.on_here(0));
    EXPECT_TRUE(party.settle(0));
    EXPECT_FALSE(party.over()) << "one is still to come";
    EXPECT_TRUE(party.on_gone(2));
    EXPECT_TRUE(party.over());
}

TEST(MoveParty, IsNotOverBeforeTheOtherWorkerHasHeardOfIt) {
    MoveParty party(7);
    party.add(false);
    EXPECT_FALSE(party.over()) << "that all were refused is to be said";
    party.await();
    EXPECT_TRUE(party.over());
}

TEST(MoveParty, CountsNothingThatIsSaidOfWhoIsNotDue) {
    MoveParty party = party_of_three();
    party.await();
    for (const std::uint64_t index : {std::uint64_t{1}, std::uint64_t{3}, UINT64_MAX}) {
        EXPECT_FALSE(party.on_here(index)) << "refused, or none: " << index;
        EXPECT_FALSE(party.on_gone(index)) << index;
        EXPECT_FALSE(party.settle(index)) << index;
    }
    EXPECT_FALSE(party.settle(0)) << "it isn't here";
    EXPECT_TRUE(party.on_here(0));
    EXPECT_FALSE(party.on_here(0)) << "twice";
    EXPECT_FALSE(party.on_gone(0)) << "it is here";
    EXPECT_TRUE(party.settle(0));
    EXPECT_FALSE(party.settle(0)) << "twice";
    EXPECT_FALSE(party.on_gone(0)) << "it is served";
    EXPECT_FALSE(party.over()) << "the last one is due all the same";
    EXPECT_TRUE(party.on_gone(2));
    EXPECT_FALSE(party.on_here(2)) << "gone is gone";
    EXPECT_TRUE(party.over());
}

TEST(MoveParty, IsDecidedWhenEveryShardHasToldTheMoment) {
    MoveParty party = party_of_three();
    party.await();
    EXPECT_FALSE(party.decided(kShards));
    EXPECT_FALSE(party.on_marked(kShards));
    EXPECT_FALSE(party.decided(kShards)) << "the other shard's channels are still the old worker's";
    EXPECT_TRUE(party.expects_marks(kShards));
    EXPECT_TRUE(party.on_marked(kShards));
    EXPECT_TRUE(party.decided(kShards));
    EXPECT_FALSE(party.expects_marks(kShards)) << "another mark is of no use";
    EXPECT_FALSE(party.on_link_lost(kShards)) << "the moment has come: the link doesn't matter any more";
}

TEST(MoveParty, IsLostWithTheLinkOnceItWasAwaited) {
    MoveParty party = party_of_three();
    EXPECT_FALSE(party.on_link_lost(kShards)) << "nobody has asked for the moment yet";
    party.await();
    EXPECT_FALSE(party.on_marked(kShards));
    EXPECT_TRUE(party.on_link_lost(kShards));
    EXPECT_TRUE(party.decided(kShards)) << "who comes is refused at once";
    EXPECT_FALSE(party.expects_marks(kShards)) << "one that comes after all is of no use";
    EXPECT_FALSE(party.on_link_lost(kShards)) << "once";
    EXPECT_FALSE(party.over()) << "each is to be told";
}

}  // namespace
}  // namespace weft
