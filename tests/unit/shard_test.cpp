// Which shard has a channel, where it listens, and what each shard gets of a node's configuration.
#include "weft/shard.hpp"

#include <gtest/gtest.h>

#include "config.hpp"
#include "shards.hpp"

namespace weft {
namespace {

TEST(Shard, OfAChannelIsTheSameForEver) {
    // Changing one of these makes workers and nodes of two versions look for a channel in different places.
    constexpr unsigned kCounts[] = {1, 2, 3, 4, 16};
    const struct {
        const char* channel;
        unsigned shards[std::size(kCounts)];
    } cases[] = {
        {"chat:a", {0, 0, 1, 1, 5}},       {"chat:lobby", {0, 1, 1, 2, 10}},   {"a", {0, 1, 2, 3, 14}},
        {"user:7:notes", {0, 0, 0, 0, 0}}, {"ticker:EURUSD", {0, 0, 0, 1, 4}}, {"x:y:z.0_-", {0, 1, 2, 2, 11}},
    };
    for (const auto& one : cases) {
        for (std::size_t i = 0; i < std::size(kCounts); ++i) {
            EXPECT_EQ(shard_of(one.channel, kCounts[i]), one.shards[i]) << one.channel << " of " << kCounts[i];
        }
    }
}

TEST(Shard, EachGetsItsPartOfTheChannels) {
    for (const unsigned shards : {2U, 3U, 7U, kMaxShards}) {
        std::vector<unsigned> channels(shards);
        for (int i = 0; i < 20'000; ++i) ++channels[shard_of("chat:" + std::to_string(i), shards)];
        for (const unsigned count : channels) EXPECT_NEAR(count, 20'000 / shards, 20'000 / shards / 5) << shards;
    }
}

TEST(Shard, AddressesAreFoundFromTheFirst) {
    const struct {
        const char* address;
        unsigned shard;
        const char* expected;  // null: there is none
    } cases[] = {
        {"ipc:///run/weft/weftd.sock", 0, "ipc:///run/weft/weftd.sock"},
        {"ipc:///run/weft/weftd.sock", 3, "ipc:///run/weft/weftd.sock.3"},
        {"ipc://@weft", 1, "ipc://@weft.1"},
        {"tcp://127.0.0.1:7400", 0, "tcp://127.0.0.1:7400"},
        {"tcp://127.0.0.1:7400", 15, "tcp://127.0.0.1:7415"},
        {"tcp://[::1]:7400", 1, "tcp://[::1]:7401"},
        {"tcp://*:65534", 1, "tcp://*:65535"},
        {"tcp://*:65534", 2, nullptr},
        {"dns+tcp://weft.internal:7400", 2, "dns+tcp://weft.internal:7402"},
        {"dns+tcp://weft.internal", 2, nullptr},
        {"tcp://host", 1, nullptr},
        {"tcp://host:74x", 1, nullptr},
        {"inproc://x", 1, nullptr},
    };
    for (const auto& one : cases) {
        const auto found = shard_address(one.address, one.shard);
        EXPECT_EQ(found.value_or("none"), one.expected == nullptr ? "none" : one.expected) << one.address;
    }
}

Config node(unsigned shards) {
    Config config;
    config.node = "a";
    config.shards = shards;
    config.mesh.listen = "tcp://127.0.0.1:7400";
    config.mesh.peers = {"tcp://127.0.0.1:7400", "tcp://127.0.0.1:7500"};
    return config;
}

TEST(ShardConfig, DividesWhatTheNodeMayUse) {
    Config config = node(4);
    config.history.max_bytes = 400 << 20;
    config.publish.id_bytes = 40 << 20;
    config.limits.max_channels = 10;
    config.limits.queue = 64 << 20;
    const Config last = shard_config(config, 3);
    EXPECT_EQ(last.workers.listen, "ipc:///run/weft/weftd.sock.3");
    EXPECT_EQ(last.mesh.listen, "tcp://127.0.0.1:7403");
    EXPECT_EQ(last.mesh.peers, (std::vector<std::string>{"tcp://127.0.0.1:7403", "tcp://127.0.0.1:7503"}));
    EXPECT_EQ(last.history.max_bytes, 100U << 20);
    EXPECT_EQ(last.publish.id_bytes, 10U << 20);
    EXPECT_EQ(last.limits.max_channels, 3U);
    EXPECT_EQ(last.limits.queue, 16U << 20);
    config.limits.queue = kMinLinkQueue;
    EXPECT_EQ(shard_config(config, 0).limits.queue, kMinLinkQueue);
    EXPECT_EQ(shard_config(node(1), 0), node(1));
}

TEST(ShardConfig, FindsAddressesThatShardsCannotHave) {
    EXPECT_EQ(wrong_shards(node(16)), "");
    Config high = node(4);
    high.mesh.listen = "tcp://127.0.0.1:65533";
    EXPECT_EQ(wrong_shards(high),
              "4 shards have no addresses at \"tcp://127.0.0.1:65533\": one would be at a port over 65535");
    Config near = node(4);
    near.mesh.peers = {"tcp://127.0.0.1:7403"};
    EXPECT_EQ(wrong_shards(near),
              "shard 3 of \"tcp://127.0.0.1:7400\" would be at \"tcp://127.0.0.1:7403\", which is "
              "taken; expected 4 ports in a row for each node");
    near.shards = 3;
    EXPECT_EQ(wrong_shards(near), "");
    Config http = node(2);
    http.http = {"127.0.0.1", 7401};
    EXPECT_NE(wrong_shards(http), "");
    Config deep = node(11);
    deep.workers.listen = "ipc:///" + std::string(104, 'x');
    EXPECT_NE(wrong_shards(deep).find("one would be at \"ipc:///xxx"), std::string::npos);
}

TEST(ShardConfig, IsReadFromAFile) {
    Config defaults;
    defaults.node = "a";
    EXPECT_EQ(parse_config("", "w.yaml", defaults)->shards, 1U);
    EXPECT_EQ(parse_config("shards: 16\n", "w.yaml", defaults)->shards, 16U);
    const struct {
        const char* text;
        const char* error;
    } cases[] = {
        {"shards: 0\n", "w.yaml:1:9: shards: \"0\" is not a number of shards; expected 1 to 16"},
        {"shards: 17\n", "w.yaml:1:9: shards: \"17\" is not a number of shards; expected 1 to 16"},
        {"shards: two\n", "w.yaml:1:9: shards: \"two\" is not a number of shards; expected 1 to 16"},
        {"shards: [2]\n", "w.yaml:1:9: shards: is a list; expected a number"},
        {"workers: {listen: \"tcp://127.0.0.1:65535\"}\nshards: 2\n",
         "w.yaml:2:9: shards: 2 shards have no addresses at \"tcp://127.0.0.1:65535\": one would be at a port "
         "over 65535"},
    };
    for (const auto& one : cases) {
        const auto config = parse_config(one.text, "w.yaml", defaults);
        ASSERT_FALSE(config) << one.text;
        EXPECT_EQ(config.error().front().text(), one.error);
    }
    Config wanted = defaults;
    wanted.shards = 2;
    EXPECT_EQ(keys_that_need_a_restart(defaults, wanted), std::vector<std::string>{"shards"});
}

TEST(WrongShard, IsSaidToWhoDialsIt) {
    v1::Welcome welcome;
    welcome.set_node("b");
    welcome.set_shards(4);
    welcome.set_shard(1);
    const struct {
        v1::Hello::Kind kind;
        unsigned shards, shard, max_shards;
        const char* says;  // a part of it; empty: welcome
    } cases[] = {
        {v1::Hello::WORKER, 4, 1, 16, ""},
        {v1::Hello::WORKER, 4, 2, 16, "shard 1 of node b was dialed as shard 2"},
        {v1::Hello::WORKER, 0, 0, 16, "shard 1 of node b was dialed as shard 0"},
        {v1::Hello::WORKER, 2, 1, 16, "node b has 4 shards, the worker goes by 2 shards"},
        {v1::Hello::WORKER, 0, 1, 0, "node b has 4 shards, and this worker's module knows of 1 at most"},
        {v1::Hello::PEER, 4, 1, 0, ""},
        {v1::Hello::PEER, 0, 0, 0, "node a has 1 shard, node b has 4 shards"},
        {v1::Hello::PEER, 4, 3, 0, "shard 1 of node b was dialed as shard 3"},
        {v1::Hello::TOOL, 0, 0, 0, ""},
    };
    for (const auto& one : cases) {
        v1::Hello hello;
        hello.set_kind(one.kind);
        hello.mutable_peer()->set_node("a");
        hello.set_shards(one.shards);
        hello.set_shard(one.shard);
        hello.set_max_shards(one.max_shards);
        const std::string wrong = wrong_shard(hello, welcome);
        if (*one.says == '\0') {
            EXPECT_EQ(wrong, "");
        } else {
            EXPECT_NE(wrong.find(one.says), std::string::npos) << wrong;
        }
    }
}

TEST(WrongShard, IsNoneBetweenNodesOfAVersionThatHadOne) {
    v1::Hello hello;
    hello.set_kind(v1::Hello::PEER);
    hello.set_shards(1);
    v1::Welcome before;
    EXPECT_EQ(wrong_shard(hello, before), "");
    hello.set_shards(4);
    EXPECT_NE(wrong_shard(hello, before), "");
}

}  // namespace
}  // namespace weft
