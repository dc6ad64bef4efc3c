// What a node says of itself is what its shards say.
#include "node_status.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

TEST(NodeStatus, IsFilledWhenAllShardsAreAndAsOldAsTheOldest) {
    NodeStatus shards[3];
    for (unsigned i = 0; i < 3; ++i) {
        shards[i].node = "a";
        shards[i].filled = i != 1;
        shards[i].at = Instant(1000ms + i * 10ms);
        shards[i].workers = 2 + i;
        shards[i].counts.channels = 10 + i;
        shards[i].counts.ids = 1;
        shards[i].worker_bytes = 100;
        shards[i].followers.push_back({"b", 2, i * 1ms});
        if (i == 2) shards[i].followers.push_back({"c", 1, 5ms});
        shards[i].peers.push_back({"tcp://b:" + std::to_string(i), "b", i != 2, i});
    }
    NodeStatus all = status_of_all(shards);
    EXPECT_FALSE(all.filled);
    EXPECT_EQ(all.at, Instant(1000ms));
    EXPECT_EQ(all.workers, 2U) << "that have all their links";
    EXPECT_EQ(all.counts.channels, 33U);
    EXPECT_EQ(all.counts.ids, 3U);
    EXPECT_EQ(all.worker_bytes, 300U);
    ASSERT_EQ(all.peers.size(), 3U);
    EXPECT_EQ(all.peers[2].endpoint, "tcp://b:2");
    ASSERT_EQ(all.followers.size(), 2U) << "a peer is one, though it has a link to each shard";
    EXPECT_EQ(all.followers[0].unacknowledged, 6U);
    EXPECT_EQ(all.followers[0].lag, 2ms) << "of the shard that waits longest";
    EXPECT_EQ(all.followers[1].node, "c");
    ASSERT_EQ(all.shards.size(), 3U);
    EXPECT_EQ(all.shards[1].channels, 11U);
    shards[1].filled = true;
    EXPECT_TRUE(status_of_all(shards).filled);
}

}  // namespace
}  // namespace weft
