#include "limit/connection_counts.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace weft {
namespace {

using Hold = ConnectionCounts::Hold;
using Verdict = ConnectionCounts::Verdict;

constexpr std::size_t kSeats = 4;

class ConnectionCountsTest : public testing::Test {
protected:
    void make(std::size_t bytes) {
        memory_.assign(bytes, std::byte{0xa5});  // what a zone's memory holds before is not to matter
        counts = ConnectionCounts::make(memory_, kSeats, SipKey{1, 2});
        ASSERT_NE(counts, nullptr);
    }
    void SetUp() override { make(100'000); }

    static ConnectionKey address(std::uint32_t number) {
        return *address_key({reinterpret_cast<const std::uint8_t*>(&number), 4});
    }
    Verdict admit(std::size_t seat, std::uint32_t from, const std::string& user, const ConnectionLimits& limits,
                  Hold& hold) {
        return counts->admit(seat, address(from), user_key(user), limits, hold);
    }
    Verdict admit(std::size_t seat, std::uint32_t from, const std::string& user, const ConnectionLimits& limits) {
        holds_.emplace_back();
        return admit(seat, from, user, limits, holds_.back());
    }

    ConnectionCounts* counts = nullptr;

private:
    std::vector<std::byte> memory_;
    std::vector<Hold> holds_;
};

TEST_F(ConnectionCountsTest, AdmitsUpToEachLimitOverAllSeats) {
    const struct {
        ConnectionLimits limits;
        Verdict verdict;
    } cases[] = {
        {{3, 0, 0}, Verdict::total}, {{0, 3, 0}, Verdict::per_address}, {{0, 0, 3}, Verdict::per_user},
        {{3, 3, 3}, Verdict::total}, {{4, 3, 3}, Verdict::per_address}, {{4, 4, 3}, Verdict::per_user},
    };
    for (const auto& [limits, verdict] : cases) {
        SetUp();
        for (std::size_t seat = 0; seat < 3; ++seat) EXPECT_EQ(admit(seat, 1, "ann", limits), Verdict::admitted);
        for (std::size_t seat = 0; seat < kSeats; ++seat) EXPECT_EQ(admit(seat, 1, "ann", limits), verdict);
    }
}

TEST_F(ConnectionCountsTest, CountsMembersOfChannelsOverAllSeatsApartFromConnections) {
    const ConnectionKey lobby = channel_key("chat:lobby");
    const ConnectionKey other = channel_key("chat:other");
    EXPECT_EQ(counts->enter(0, lobby, 3), Verdict::admitted);
    EXPECT_EQ(counts->enter(1, lobby, 3), Verdict::admitted);
    EXPECT_EQ(counts->enter(1, lobby, 3), Verdict::admitted);
    for (std::size_t seat = 0; seat < kSeats; ++seat) EXPECT_EQ(counts->enter(seat, lobby, 3), Verdict::members);
    EXPECT_EQ(counts->enter(2, other, 1), Verdict::admitted);
    EXPECT_EQ(admit(0, 1, "chat:lobby", {1, 1, 1}), Verdict::admitted) << "nobody is connected yet";
    counts->leave(1, lobby);
    EXPECT_EQ(counts->enter(3, lobby, 3), Verdict::admitted);
    EXPECT_EQ(counts->enter(3, lobby, 3), Verdict::members);
    counts->give_up(1);
    EXPECT_EQ(counts->enter(3, lobby, 3), Verdict::admitted) << "what a dead worker held is free";
    EXPECT_EQ(counts->enter(3, lobby, 3), Verdict::members);
    counts->leave(0, other);
    EXPECT_EQ(counts->enter(0, other, 1), Verdict::members) << "leaving what one isn't in changes nothing";
}

TEST_F(ConnectionCountsTest, CountsEachAddressAndEachUserByItself) {
    const ConnectionLimits limits{0, 1, 1};
    EXPECT_EQ(admit(0, 1, "ann", limits), Verdict::admitted);
    EXPECT_EQ(admit(0, 2, "bob", limits), Verdict::admitted);
    EXPECT_EQ(admit(1, 3, "ann", limits), Verdict::per_user);
    EXPECT_EQ(admit(1, 1, "cid", limits), Verdict::per_address);
    EXPECT_EQ(admit(1, 3, "cid", limits), Verdict::admitted);
}

TEST_F(ConnectionCountsTest, CountsAUserWhoIsKnownOnlyLater) {
    const ConnectionLimits limits{2, 2, 1};
    const auto ann = *user_key("ann");
    Hold first;
    Hold second;
    EXPECT_EQ(admit(0, 1, "", limits, first), Verdict::admitted);
    EXPECT_EQ(admit(1, 1, "", limits, second), Verdict::admitted);
    EXPECT_EQ(counts->admit_user(0, ann, limits, first), Verdict::admitted) << "though the others are used up";
    EXPECT_EQ(counts->admit_user(1, ann, limits, second), Verdict::per_user);
    EXPECT_EQ(counts->used(), 3U) << "which counts nothing";
    counts->release(0, first);
    EXPECT_EQ(counts->admit_user(1, ann, limits, second), Verdict::admitted);
    counts->release(1, second);
    EXPECT_EQ(counts->used(), 0U);
    EXPECT_EQ(counts->admit_user(1, ann, limits, second), Verdict::admitted) << "what isn't counted has no limit";
    EXPECT_EQ(counts->used(), 0U);
}

TEST_F(ConnectionCountsTest, ARefusalCountsNothing) {
    const ConnectionLimits limits{0, 2, 1};
    EXPECT_EQ(admit(0, 1, "ann", limits), Verdict::admitted);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(admit(0, 1, "ann", limits), Verdict::per_user);
    EXPECT_EQ(admit(0, 1, "bob", limits), Verdict::admitted);
    EXPECT_EQ(counts->used(), 3U);
}

TEST_F(ConnectionCountsTest, ReleaseMakesRoomForOneMore) {
    const ConnectionLimits limits{2, 2, 2};
    Hold first;
    Hold second;
    ASSERT_EQ(admit(0, 1, "ann", limits, first), Verdict::admitted);
    ASSERT_EQ(admit(1, 1, "ann", limits, second), Verdict::admitted);
    ASSERT_EQ(admit(0, 1, "ann", limits), Verdict::total);
    counts->release(1, second);
    EXPECT_FALSE(second.counted);
    counts->release(1, second);  // which is empty now
    EXPECT_EQ(admit(2, 1, "ann", limits), Verdict::admitted);
    EXPECT_EQ(admit(2, 1, "ann", limits), Verdict::total);
    counts->release(0, first);
    EXPECT_EQ(counts->used(), 2U);
}

TEST_F(ConnectionCountsTest, WhatHasNoKeyIsCountedInTheTotalAlone) {
    Hold hold;
    const ConnectionLimits limits{2, 1, 1};
    EXPECT_EQ(counts->admit(0, std::nullopt, std::nullopt, limits, hold), Verdict::admitted);
    Hold other;
    EXPECT_EQ(counts->admit(0, std::nullopt, std::nullopt, limits, other), Verdict::admitted);
    EXPECT_EQ(counts->used(), 0U);
    EXPECT_EQ(admit(0, 1, "ann", limits), Verdict::total);
    counts->release(0, hold);
    EXPECT_EQ(admit(0, 1, "ann", limits), Verdict::admitted);
}

TEST_F(ConnectionCountsTest, ASeatGivenUpTakesItsCountsAlongAndNoOthers) {
    const ConnectionLimits limits{4, 4, 4};
    for (int i = 0; i < 3; ++i) ASSERT_EQ(admit(0, 1, "ann", limits), Verdict::admitted);
    Hold kept;
    ASSERT_EQ(admit(1, 1, "ann", limits, kept), Verdict::admitted);
    ASSERT_EQ(admit(1, 1, "ann", limits), Verdict::total);
    counts->give_up(0);
    counts->give_up(0);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(admit(i == 0 ? 2 : 0, 1, "ann", limits), Verdict::admitted) << i;
    EXPECT_EQ(admit(0, 1, "ann", limits), Verdict::total);
    counts->release(1, kept);
    EXPECT_EQ(admit(0, 1, "ann", limits), Verdict::admitted);
}

TEST_F(ConnectionCountsTest, WhenFullRefusesOnlyWhatALimitNeedsCounted) {
    make(2'000);
    const ConnectionLimits limits{0, 5, 0};
    const std::size_t room = counts->capacity();
    ASSERT_GT(room, 40U);
    ASSERT_LT(room, 60U);
    std::vector<Hold> holds(room);
    for (std::uint32_t i = 0; i < room; ++i) {
        ASSERT_EQ(counts->admit(0, address(i), std::nullopt, limits, holds[i]), Verdict::admitted) << i;
    }
    Hold hold;
    EXPECT_EQ(counts->admit(0, address(999), std::nullopt, limits, hold), Verdict::full);
    EXPECT_FALSE(hold.counted);
    EXPECT_EQ(counts->admit(0, address(3), std::nullopt, limits, hold), Verdict::admitted) << "it has a record";
    counts->release(0, hold);
    EXPECT_EQ(counts->admit(0, address(999), std::nullopt, {1000, 0, 0}, hold), Verdict::admitted)
        << "no limit asks for it";
    counts->release(0, hold);
    counts->release(0, holds[7]);
    EXPECT_EQ(counts->admit(0, address(999), std::nullopt, limits, hold), Verdict::admitted) << "there is room again";
    EXPECT_EQ(counts->used(), room);
}

TEST_F(ConnectionCountsTest, ARefusalForLackOfRoomForTheUserGivesTheAddressBack) {
    make(2'000);
    std::vector<Hold> holds(counts->capacity());
    for (std::uint32_t i = 0; i + 1 < holds.size(); ++i) {
        ASSERT_EQ(counts->admit(0, address(i), std::nullopt, {}, holds[i]), Verdict::admitted);
    }
    EXPECT_EQ(admit(0, 1000, "ann", {0, 1, 1}), Verdict::full);
    EXPECT_EQ(counts->used(), counts->capacity() - 1);
    Hold hold;
    EXPECT_EQ(counts->admit(0, address(1000), std::nullopt, {0, 1, 0}, hold), Verdict::admitted);
}

TEST_F(ConnectionCountsTest, FindsRoomInWhatASeatLeft) {
    make(20'000);
    std::vector<Hold> holds(counts->capacity());
    for (std::uint32_t i = 0; i < holds.size(); ++i) {
        ASSERT_EQ(counts->admit(0, address(i), std::nullopt, {0, 1, 0}, holds[i]), Verdict::admitted);
    }
    counts->give_up(0);
    for (std::uint32_t i = 0; i < holds.size(); ++i) {
        ASSERT_EQ(counts->admit(1, address(i + 100'000), std::nullopt, {0, 1, 0}, holds[i]), Verdict::admitted) << i;
    }
    EXPECT_EQ(counts->used(), counts->capacity());
}

TEST_F(ConnectionCountsTest, ForgetsWhatASeatLeftWithoutBeingAskedForIt) {
    std::vector<Hold> holds(1000);
    for (std::uint32_t i = 0; i < holds.size(); ++i) {
        ASSERT_EQ(counts->admit(0, address(i), std::nullopt, {}, holds[i]), Verdict::admitted);
    }
    counts->give_up(0);
    Hold hold;
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(counts->admit(1, address(5'000'000), std::nullopt, {}, hold), Verdict::admitted);
        counts->release(1, hold);
    }
    EXPECT_EQ(counts->used(), 0U);
}

TEST_F(ConnectionCountsTest, NeedsMemoryForOneRecordAtLeast) {
    std::vector<std::byte> memory(1000);
    EXPECT_EQ(ConnectionCounts::make(memory, 1000, {}), nullptr);
    EXPECT_EQ(ConnectionCounts::make({}, 1, {}), nullptr);
}

// Against a model that does the same with std::map, with seats given up and with rebuild() at any time.
TEST_F(ConnectionCountsTest, CountsWhatAPlainModelCounts) {
    struct Open {
        std::uint32_t from;
        std::string user;
        Hold hold;
    };
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        make(8'000);  // full now and then
        std::mt19937 random(seed);
        std::vector<Open> open[kSeats];
        for (int step = 0; step < 4'000; ++step) {
            const std::size_t seat = random() % kSeats;
            const std::uint32_t what = random() % 1000;
            if (what < 5) {
                counts->give_up(seat);
                open[seat].clear();
            } else if (what < 10) {
                counts->rebuild();
            } else if (what < 500 && !open[seat].empty()) {
                std::swap(open[seat][random() % open[seat].size()], open[seat].back());
                counts->release(seat, open[seat].back().hold);
                open[seat].pop_back();
            } else {
                Open one{static_cast<std::uint32_t>(random() % 70), "u" + std::to_string(random() % 70), {}};
                const ConnectionLimits limits{150, 3, 4};
                std::size_t total = 0;
                std::size_t from = 0;
                std::size_t of = 0;
                for (const auto& each : open) {
                    total += each.size();
                    for (const Open& other : each) {
                        from += other.from == one.from ? 1U : 0U;
                        of += other.user == one.user ? 1U : 0U;
                    }
                }
                const Verdict expected = total >= limits.total        ? Verdict::total
                                         : from >= limits.per_address ? Verdict::per_address
                                         : of >= limits.per_user      ? Verdict::per_user
                                                                      : Verdict::admitted;
                const Verdict verdict = admit(seat, one.from, one.user, limits, one.hold);
                if (verdict == Verdict::full) {
                    ASSERT_EQ(expected, Verdict::admitted);
                    ASSERT_GE(counts->used() + 1, counts->capacity());
                    continue;
                }
                ASSERT_EQ(verdict, expected) << step;
                if (verdict == Verdict::admitted) open[seat].push_back(one);
            }
        }
    }
}

}  // namespace
}  // namespace weft
