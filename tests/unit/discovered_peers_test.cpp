// Peers behind names: what comes, what goes, and when.
#include "discovered_peers.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;
using Endpoints = std::vector<std::string>;

constexpr auto kKeep = 30s;

Endpoint name(const std::string& text) {
    return *Endpoint::parse(text, Endpoint::Use::dial);
}
bool down(std::string_view) {
    return false;
}

class DiscoveredPeersTest : public testing::Test {
protected:
    DiscoveredPeersTest() { peers.set_names({name("dns+tcp://weft.internal:7400")}); }
    DiscoveredPeers peers{kKeep};
    Instant now{100s};
};

TEST_F(DiscoveredPeersTest, AreAllAddressesOfAName) {
    EXPECT_TRUE(peers.take(0, {"10.0.0.2", "fd00::2", "10.0.0.1"}, now));
    EXPECT_EQ(peers.endpoints(), (Endpoints{"tcp://10.0.0.1:7400", "tcp://10.0.0.2:7400", "tcp://[fd00::2]:7400"}));
    EXPECT_FALSE(peers.take(0, {"10.0.0.1", "10.0.0.2", "fd00::2"}, now)) << "in another order";
    EXPECT_TRUE(peers.take(0, {"10.0.0.3"}, now));
    EXPECT_EQ(peers.endpoints().size(), 4u) << "those that are missing stay for a while";
}

TEST_F(DiscoveredPeersTest, GoWhenNoAnswerHasHadThemForLongAndTheirLinkIsDown) {
    peers.take(0, {"10.0.0.1", "10.0.0.2", "10.0.0.3"}, now);
    now += kKeep - 1ms;
    peers.take(0, {"10.0.0.1"}, now);
    EXPECT_FALSE(peers.expire(now, down));
    now += 1ms;
    EXPECT_TRUE(peers.expire(now, [](std::string_view one) { return one == "tcp://10.0.0.2:7400"; }));
    EXPECT_EQ(peers.endpoints(), (Endpoints{"tcp://10.0.0.1:7400", "tcp://10.0.0.2:7400"})) << "the second is up";
    EXPECT_TRUE(peers.expire(now, down));
    EXPECT_EQ(peers.endpoints(), (Endpoints{"tcp://10.0.0.1:7400"}));
}

TEST_F(DiscoveredPeersTest, AreOfSeveralNames) {
    peers.set_names({name("dns+tcp://one:1"), name("dns+tcp://two:2")});
    peers.take(0, {"10.0.0.1"}, now);
    peers.take(1, {"10.0.0.1"}, now);
    EXPECT_EQ(peers.endpoints(), (Endpoints{"tcp://10.0.0.1:1", "tcp://10.0.0.1:2"}));
    peers.set_names({name("dns+tcp://one:1"), name("dns+tcp://two:2")});
    EXPECT_EQ(peers.endpoints().size(), 2u) << "the same names again";
    peers.set_names({name("dns+tcp://two:2")});
    EXPECT_TRUE(peers.endpoints().empty());
}

TEST_F(DiscoveredPeersTest, AreBounded) {
    Endpoints addresses;
    for (int i = 0; i < 100; ++i) addresses.push_back("10.0.0." + std::to_string(i));
    peers.take(0, addresses, now);
    EXPECT_EQ(peers.endpoints().size(), DiscoveredPeers::kMaxPeers);
}

}  // namespace
}  // namespace weft
