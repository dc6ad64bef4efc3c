#include "bench/window.hpp"

#include <gtest/gtest.h>

namespace weft::bench {
namespace {

TEST(FlightWindow, IsFullAtItsLimitAndHasRoomWhenAllSubscribersHaveAPublication) {
    FlightWindow window(2, 1, 3);
    EXPECT_TRUE(window.empty());
    window.depart(0, 0);
    EXPECT_FALSE(window.full());
    window.depart(0, 1);
    EXPECT_TRUE(window.full());
    EXPECT_FALSE(window.has_room(0, 2));
    window.arrive(0, 0);
    window.arrive(0, 0);
    EXPECT_TRUE(window.full()) << "one subscriber still lacks it";
    window.arrive(0, 0);
    EXPECT_FALSE(window.full());
    EXPECT_TRUE(window.has_room(0, 2));
    EXPECT_FALSE(window.empty());
}

TEST(FlightWindow, FreesPlacesInWhateverOrderPublicationsArrive) {
    FlightWindow window(4, 1, 1);
    for (std::uint32_t i = 0; i < 4; ++i) window.depart(0, i);
    window.arrive(0, 3);
    EXPECT_TRUE(window.has_room(0, 4));
    window.depart(0, 4);
    for (const std::uint32_t number : {1U, 0U, 4U, 2U}) window.arrive(0, number);
    EXPECT_TRUE(window.empty());
}

TEST(FlightWindow, BoundsEachChannelSoThatASlowOneCannotFillIt) {
    FlightWindow window(8, 8, 1);
    window.depart(0, 0);
    window.depart(0, 1);
    EXPECT_FALSE(window.full());
    EXPECT_FALSE(window.has_room(0, 2)) << "the channel's own places are taken";
    EXPECT_TRUE(window.has_room(1, 0));
}

TEST(FlightWindow, IgnoresWhatArrivesAfterItWasGivenUp) {
    FlightWindow window(2, 1, 2);
    window.depart(0, 0);
    window.arrive(0, 0);
    window.reset();
    EXPECT_TRUE(window.empty());
    window.arrive(0, 0);  // the straggler
    EXPECT_TRUE(window.empty());
    window.depart(0, 1);
    window.arrive(0, 0);
    window.arrive(0, 1);
    EXPECT_FALSE(window.empty());
    window.arrive(0, 1);
    EXPECT_TRUE(window.empty());
}

TEST(FlightWindow, KeepsCountThroughManyRounds) {
    constexpr std::uint32_t kChannels = 3;
    constexpr std::uint32_t kSubscribers = 5;
    FlightWindow window(7, kChannels, kSubscribers);
    std::uint32_t published[kChannels] = {};
    for (int round = 0; round < 1000; ++round) {
        std::uint32_t departed[kChannels] = {};
        for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
            while (window.has_room(channel, published[channel])) {
                window.depart(channel, published[channel]++);
                ++departed[channel];
            }
        }
        ASSERT_FALSE(window.empty());
        for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
            for (std::uint32_t i = 0; i < departed[channel] * kSubscribers; ++i) {
                window.arrive(channel, published[channel] - 1 - i / kSubscribers);
            }
        }
        ASSERT_TRUE(window.empty());
    }
}

}  // namespace
}  // namespace weft::bench
