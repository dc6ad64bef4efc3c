#include "gateway/channel_positions.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

const std::vector<std::string> kBoth{"chat:a", "chat:b=c"};

std::string text(const ChannelPositions& positions) {
    std::string out;
    positions.append(out);
    return out;
}

TEST(ChannelPositions, ReadsWhatItWrote) {
    for (const std::string said :
         {"chat:a=k3f.129", "chat:a=z.1_k3f.129,chat:b=c=b77.12", "chat:b=c=,chat:a=k3f.1", ""}) {
        const auto positions = ChannelPositions::parse(said, kBoth);
        ASSERT_TRUE(positions) << said << ": " << positions.error();
        EXPECT_EQ(text(*positions), said);
    }
}

TEST(ChannelPositions, TakesAPositionAloneForTheOnlyChannel) {
    const auto positions = ChannelPositions::parse("k3f.129", {"chat:a"});
    ASSERT_TRUE(positions);
    EXPECT_EQ(positions->find("chat:a"), "k3f.129");
    EXPECT_FALSE(ChannelPositions::parse("k3f.129", kBoth)) << "of which of the two?";
    const auto start = ChannelPositions::parse("", {"chat:a"});
    ASSERT_TRUE(start);
    EXPECT_EQ(start->find("chat:a"), "") << "where nothing had been published";
}

TEST(ChannelPositions, LeavesOutChannelsThatNobodyAskedFor) {
    const auto positions = ChannelPositions::parse("chat:x=k3f.1,chat:a=k3f.2", {"chat:a"});
    ASSERT_TRUE(positions);
    EXPECT_EQ(text(*positions), "chat:a=k3f.2");
    EXPECT_EQ(positions->find("chat:x"), std::nullopt);
}

TEST(ChannelPositions, RefusesWhatNoServerGave) {
    for (const std::string said :
         {"chat:a=nonsense", "chat:a=k3f.1_k3f.2", "chat:a=k3f", "chat:a", "chat:a=k3f.1,nonsense", ",chat:a=k3f.1",
          "chat:a=k3f.1 ", "chat:x=nonsense", "chat:a=k3f.99999999999999999999999"}) {
        const auto positions = ChannelPositions::parse(said, kBoth);
        ASSERT_FALSE(positions) << said;
        EXPECT_NE(positions.error().find("position"), std::string::npos) << positions.error();
    }
    EXPECT_FALSE(ChannelPositions::parse("nonsense", {"chat:a"}));
}

TEST(ChannelPositions, KeepsTheOrderInWhichChannelsWereFirstSet) {
    ChannelPositions positions;
    positions.set("chat:b", "z.1");
    positions.set("chat:a", "z.1");
    positions.set("chat:b", "z.2");
    EXPECT_EQ(text(positions), "chat:b=z.2,chat:a=z.1");
}

TEST(ChannelPositions, SplitsAtTheLastEqualsSign) {
    const auto entry = split_channel_position("chat:a=b=c=z.1");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->channel, "chat:a=b=c");
    EXPECT_EQ(entry->position, "z.1");
    EXPECT_FALSE(split_channel_position("chat:a"));
}

TEST(ChannelPositions, TakesInWhatAnotherOfItsKindWrote) {
    ChannelPositions positions;
    positions.set("chat:z", "k3f.1");
    positions.restore("chat:a=k3f.129,,no entry,chat:b=c=b77.12,chat:d=b77.1", 2);
    EXPECT_EQ(text(positions), "chat:a=k3f.129,chat:b=c=b77.12");
    positions.set("chat:a", "k3f.130");
    EXPECT_EQ(text(positions), "chat:a=k3f.130,chat:b=c=b77.12");
    positions.restore("", 2);
    EXPECT_EQ(text(positions), "");
}

}  // namespace
}  // namespace weft
