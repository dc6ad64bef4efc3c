// A weftd with several shards, as workers and operators meet it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "e2e/test_link.hpp"
#include "e2e/weftd_process.hpp"

namespace weft::e2e {
namespace {

constexpr unsigned kShards = 4;

v1::Hello hello_to(unsigned shard, unsigned shards = kShards) {
    v1::Hello hello = TestLink::worker();
    hello.set_shard(shard);
    hello.set_shards(shards);
    hello.set_max_shards(16);
    return hello;
}

class WeftdShards : public testing::Test {
protected:
    WeftdShards() { EXPECT_TRUE(weftd_.wait_for({"event=ready", "shards=4"})) << weftd_.output(); }
    [[nodiscard]] std::string path(unsigned shard) const {
        return folder_.path("a.sock") + (shard == 0 ? "" : "." + std::to_string(shard));
    }

    Folder folder_;
    WeftdProcess weftd_{{"--config", folder_.write("a.yaml", "node: a\nshards: 4\nworkers: {listen: \"ipc://" +
                                                                 folder_.path("a.sock") + "\", mode: \"0640\"}\n")}};
};

TEST_F(WeftdShards, ListenAtAddressesOfTheirOwnAndSayWhichTheyAre) {
    std::uint64_t incarnation = 0;
    for (unsigned shard = 0; shard < kShards; ++shard) {
        struct stat file {};
        ASSERT_EQ(stat(path(shard).c_str(), &file), 0) << path(shard);
        EXPECT_EQ(file.st_mode & 0777, 0640U) << path(shard);
        TestLink link("ipc://" + path(shard), hello_to(shard, shard == 0 ? 0 : kShards));
        ASSERT_TRUE(link.until_up()) << shard;
        EXPECT_EQ(link.welcome.shards(), kShards);
        EXPECT_EQ(link.welcome.shard(), shard);
        if (shard == 0) incarnation = link.welcome.incarnation();
        EXPECT_EQ(link.welcome.incarnation(), incarnation) << "they are one process";
        link.subscribe("chat:a");
        EXPECT_TRUE(link.until([&] { return link.subscribed("chat:a"); })) << "each is a whole broker";
    }
    weftd_.signal(SIGTERM);
    EXPECT_EQ(weftd_.wait(), 0) << weftd_.output();
    for (unsigned shard = 0; shard < kShards; ++shard) EXPECT_NE(access(path(shard).c_str(), F_OK), 0) << path(shard);
}

TEST_F(WeftdShards, TurnAwayWorkersThatWouldLookForChannelsInTheWrongPlace) {
    const struct {
        unsigned at;
        v1::Hello hello;
        const char* why;
    } cases[] = {
        {0, TestLink::worker(), "this worker's module knows of 1 at most"},
        {1, hello_to(1, 2), "the worker goes by 2 shards"},
        {1, hello_to(2), "shard 1 of node a was dialed as shard 2"},
        {1, hello_to(0, 0), "shard 1 of node a was dialed as shard 0"},
    };
    for (const auto& one : cases) {
        TestLink link("ipc://" + path(one.at), one.hello);
        ASSERT_TRUE(link.until([&] { return !link.refusals.empty(); })) << one.why;
        EXPECT_NE(link.refusals.front().find(one.why), std::string::npos) << link.refusals.front();
        EXPECT_FALSE(link.up());
    }
}

TEST_F(WeftdShards, AllSayByeWhenWeftdEnds) {
    TestLink link("ipc://" + path(3), hello_to(3));
    ASSERT_TRUE(link.until_up());
    weftd_.signal(SIGINT);
    EXPECT_TRUE(link.until([&] { return !link.downs.empty(); }));
    EXPECT_EQ(link.downs.front(), "the listener said bye");
    EXPECT_EQ(weftd_.wait(), 0) << weftd_.output();
}

}  // namespace
}  // namespace weft::e2e
