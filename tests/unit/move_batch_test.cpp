// Connections that go at one moment.
#include "move/move_batch.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using Batch = MoveBatch<const char>;
using Stage = Batch::Stage;

constexpr char kAnn = 'a', kBob = 'b', kEve = 'e';

Batch batch_of_three() {
    Batch batch;
    batch.announce(7, {&kAnn, &kBob, &kEve});
    return batch;
}

TEST(MoveBatch, HearsOnlyWhatIsMeantForItsNumberAndStage) {
    EXPECT_FALSE(Batch().is(0, Stage::announced)) << "none is under way";
    Batch batch = batch_of_three();
    EXPECT_TRUE(batch.is(7, Stage::announced));
    EXPECT_FALSE(batch.is(6, Stage::announced)) << "an older one's answer";
    EXPECT_FALSE(batch.is(7, Stage::marking)) << "a mark that nobody asked for";
    EXPECT_FALSE(batch.is(7, Stage::sent)) << "nobody was sent";
    batch.mark();
    EXPECT_TRUE(batch.is(7, Stage::marking));
    EXPECT_FALSE(batch.is(7, Stage::announced)) << "answered twice";
}

TEST(MoveBatch, IsSentOnceEveryShardHasMarkedTheMoment) {
    Batch batch = batch_of_three();
    batch.mark();
    EXPECT_FALSE(batch.on_marked(3));
    EXPECT_FALSE(batch.on_marked(3));
    EXPECT_TRUE(batch.is(7, Stage::marking));
    EXPECT_TRUE(batch.on_marked(3));
    EXPECT_TRUE(batch.is(7, Stage::sent));
}

TEST(MoveBatch, IsDoneWithWhenEachOfThemIs) {
    Batch batch = batch_of_three();
    EXPECT_EQ(batch.find(kBob), 1U);
    batch.settle(1);
    EXPECT_EQ(batch.find(kBob), batch.size());
    EXPECT_EQ(batch.at(1), nullptr) << "it is not to be settled again";
    EXPECT_EQ(batch.at(2), &kEve) << "the others keep their places";
    EXPECT_EQ(batch.left(), 2U);
    batch.settle(0);
    batch.settle(2);
    EXPECT_TRUE(batch.empty());
    for (const std::uint64_t index : {std::uint64_t{0}, std::uint64_t{3}, UINT64_MAX}) {
        EXPECT_EQ(batch.at(index), nullptr) << index;
    }
    EXPECT_FALSE(batch.is(7, Stage::announced)) << "what is said of it comes too late";
    batch.announce(8, {&kAnn});
    EXPECT_TRUE(batch.is(8, Stage::announced));
}

TEST(MoveBatch, LetsThemStayUntilTheFirstHasLeftAChannel) {
    Batch batch = batch_of_three();
    EXPECT_TRUE(batch.can_stay());
    EXPECT_TRUE(batch.can_be_called_off());
    batch.mark();
    EXPECT_TRUE(batch.can_stay()) << "no shard has marked";
    batch.on_marked(2);
    EXPECT_FALSE(batch.can_stay()) << "one has: in its channels they would miss something";
    EXPECT_TRUE(batch.can_be_called_off());
    batch.on_marked(2);
    EXPECT_FALSE(batch.can_stay());
    EXPECT_FALSE(batch.can_be_called_off()) << "the other worker may have them";
    Batch next = batch_of_three();
    next.mark();
    next.on_marked(2);
    next.announce(9, {&kAnn});
    EXPECT_TRUE(next.can_stay()) << "marks of one batch are not another's";
}

TEST(MoveBatch, IsOverdueWhenNothingWasHeardOfItInTime) {
    const Instant due{std::chrono::seconds(10)};
    Batch batch;
    batch.expect_by(due);
    EXPECT_FALSE(batch.overdue(due)) << "none is under way";
    batch = batch_of_three();
    batch.expect_by(due);
    EXPECT_FALSE(batch.overdue(due - std::chrono::milliseconds(1)));
    EXPECT_TRUE(batch.overdue(due));
    batch.mark();
    batch.expect_by(due + std::chrono::seconds(10));
    EXPECT_FALSE(batch.overdue(due));
    for (std::size_t i = 0; i < 3; ++i) batch.settle(i);
    EXPECT_FALSE(batch.overdue(due + std::chrono::hours(1))) << "it is over";
}

}  // namespace
}  // namespace weft
