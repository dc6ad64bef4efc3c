#include "limit/shared_rates.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

namespace weft {
namespace {

using namespace std::chrono_literals;
using Kind = SharedRates::Kind;

constexpr SipKey kSecret{0x0123456789abcdef, 0xfedcba9876543210};

class SharedRatesTest : public testing::Test {
protected:
    explicit SharedRatesTest(std::size_t bytes = std::size_t{64} * 1024)
        : memory_(bytes), rates(*SharedRates::make(memory_, kSecret)) {}
    std::vector<std::byte> memory_;

public:
    SharedRates& rates;
    Instant now{1'000'000ms};
};

TEST_F(SharedRatesTest, LetsTheBurstPassAndThenTheRate) {
    const Rate rate{10, 4};
    const auto key = rates.key(Kind::user, "ann");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(rates.take(key, rate, now), 0ms) << i;
    EXPECT_EQ(rates.take(key, rate, now), 100ms);
    EXPECT_EQ(rates.take(key, rate, now + 40ms), 60ms) << "asking in vain makes nothing worse";
    EXPECT_EQ(rates.take(key, rate, now + 100ms), 0ms);
    EXPECT_EQ(rates.take(key, rate, now + 100ms), 100ms);
    now += 1h;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(rates.take(key, rate, now), 0ms) << "full again, and no fuller: " << i;
    EXPECT_EQ(rates.take(key, rate, now), 100ms);
}

TEST_F(SharedRatesTest, KeepsTheRateInTheLongRun) {
    for (const double per_second : {0.5, 1.0 / 60, 7.0, 333.0, 5000.0}) {
        const Rate rate{per_second, 20};
        const auto key = rates.key(Kind::channel, std::to_string(per_second));
        double passed = 0;
        const auto length = std::chrono::milliseconds(static_cast<std::int64_t>(300'000 / per_second));
        const auto step = std::max<std::chrono::milliseconds>(length / 20'000, 1ms);
        for (auto time = 0ms; time < length; time += step) {
            for (int i = 0; i < 30; ++i) passed += rates.take(key, rate, now + time) == 0ms ? 1 : 0;
        }
        EXPECT_GE(passed, 299) << per_second;
        EXPECT_LE(passed, 325) << per_second;
        now += length + 1h;
    }
}

TEST_F(SharedRatesTest, KeepsKeysAndKindsApart) {
    const Rate rate{1, 0};
    for (const Kind kind : {Kind::user, Kind::address, Kind::channel}) {
        for (const char* name : {"a", "b", "", "a:b"}) EXPECT_EQ(rates.take(rates.key(kind, name), rate, now), 0ms);
    }
    EXPECT_GT(rates.take(rates.key(Kind::user, "a"), rate, now), 0ms);
}

TEST_F(SharedRatesTest, DependsOnTheSecret) {
    std::vector<std::byte> memory(4096);
    const SharedRates* other = SharedRates::make(memory, {1, 2});
    EXPECT_NE(other->key(Kind::user, "ann"), rates.key(Kind::user, "ann"));
}

TEST_F(SharedRatesTest, HasNoLimitWithoutARate) {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(rates.take(rates.key(Kind::user, "x"), Rate{}, now), 0ms);
}

TEST_F(SharedRatesTest, TakesWorkersWhoseClocksDiffer) {
    const Rate rate{10, 0};
    const auto key = rates.key(Kind::user, "ann");
    EXPECT_EQ(rates.take(key, rate, now), 0ms);
    EXPECT_EQ(rates.take(key, rate, now - 5ms), 100ms) << "5 ms behind: no longer than for the others";
    EXPECT_EQ(rates.take(key, rate, now + 100ms), 0ms);
}

TEST_F(SharedRatesTest, CutsDownADebtThatALowerRateLeft) {
    const auto key = rates.key(Kind::user, "ann");
    const Rate slow{1.0 / 60, 10};
    for (int i = 0; i < 11; ++i) EXPECT_EQ(rates.take(key, slow, now), 0ms);
    const Rate fast{10, 1};
    EXPECT_EQ(rates.take(key, fast, now), 100ms) << "not eleven minutes";
}

TEST_F(SharedRatesTest, SurvivesAClockThatComesRound) {
    const Rate rate{10, 1};
    const auto key = rates.key(Kind::user, "ann");
    constexpr auto kRound = std::chrono::milliseconds((std::int64_t{1} << 44) / 1024);
    now = Instant(kRound - 50ms);
    EXPECT_EQ(rates.take(key, rate, now), 0ms);
    EXPECT_EQ(rates.take(key, rate, now), 0ms);
    EXPECT_EQ(rates.take(key, rate, now), 100ms);
    EXPECT_EQ(rates.take(key, rate, now + 60ms), 40ms) << "behind the turn";
    EXPECT_EQ(rates.take(key, rate, now + 100ms), 0ms);
    // A key that comes back after so long that its time looks as if it were ahead waits for its burst at most.
    EXPECT_LE(rates.take(key, rate, now + kRound / 2 + 24h), 100ms);
}

TEST_F(SharedRatesTest, TakesExtremeRates) {
    const auto key = rates.key(Kind::user, "x");
    for (int i = 0; i < 100; ++i) EXPECT_EQ(rates.take(key, Rate{1e6, 1'000'000}, now), 0ms);
    now += 1h;
    const Rate slow{1.0 / 60, 1'000'000};
    for (int i = 0; i < 100; ++i) EXPECT_EQ(rates.take(key, slow, now), 0ms);
    EXPECT_EQ(rates.take(rates.key(Kind::user, "y"), Rate{1e-12, 0}, now), 0ms);
    EXPECT_GT(rates.take(rates.key(Kind::user, "y"), Rate{1e-12, 0}, now), 24h);
}

TEST(SharedRates, NeedsRoomForASet) {
    std::vector<std::byte> memory(300);
    EXPECT_EQ(SharedRates::make(std::span(memory).first(100), kSecret), nullptr);
    const SharedRates* one = SharedRates::make(memory, kSecret);
    ASSERT_NE(one, nullptr);
    EXPECT_GE(one->capacity(), SharedRates::kWays);
}

TEST(SharedRates, ForgetsTheLeastInDebtWhenItIsFullAndSaysSo) {
    std::vector<std::byte> memory(256);
    SharedRates& rates = *SharedRates::make(memory, kSecret);
    const Instant now{1s};
    const Rate rate{1, 100};
    const auto heavy = rates.key(SharedRates::Kind::user, "heavy");
    for (int i = 0; i < 101; ++i) rates.take(heavy, rate, now);
    EXPECT_GT(rates.take(heavy, rate, now), 0ms);
    for (int i = 0; i < 5000; ++i) {
        ASSERT_EQ(rates.take(rates.key(SharedRates::Kind::user, std::to_string(i)), rate, now), 0ms)
            << "a newcomer is never refused for want of room";
    }
    EXPECT_GT(rates.forgotten(), 4000U);
    EXPECT_GT(rates.take(heavy, rate, now), 0ms) << "those who are most in debt are remembered";
    const std::uint64_t before = rates.forgotten();
    for (int i = 0; i < 5; ++i) {
        rates.take(rates.key(SharedRates::Kind::user, "later" + std::to_string(i)), rate, now + 10min);
    }
    EXPECT_EQ(rates.forgotten(), before) << "who has paid makes room without being forgotten";
}

/// Memory that forked processes share.
class SharedMemory {
public:
    static constexpr std::size_t kSize = std::size_t{64} * 1024;
    SharedMemory() : data_(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    ~SharedMemory() { munmap(data_, kSize); }
    [[nodiscard]] std::span<std::byte> room() const { return {static_cast<std::byte*>(data_), kSize - 4096}; }
    [[nodiscard]] std::uint64_t& passed(int i) const {
        return reinterpret_cast<std::uint64_t*>(static_cast<std::byte*>(data_) + kSize - 4096)[i * 8];
    }

private:
    void* data_;
};

TEST(SharedRates, HoldsOverProcessesThatTakeAtTheSameTime) {
    const SharedMemory memory;
    SharedRates& rates = *SharedRates::make(memory.room(), kSecret);
    constexpr int kProcesses = 4;
    constexpr std::uint32_t kBurst = 20'000;
    const Rate rate{1, kBurst};
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            const auto key = rates.key(Kind::user, "ann");
            for (int n = 0; n < 20'000; ++n) memory.passed(i) += rates.take(key, rate, Instant(1s)) == 0ms ? 1 : 0;
            _exit(0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) waitpid(child, nullptr, 0);
    std::uint64_t passed = 0;
    for (int i = 0; i < kProcesses; ++i) passed += memory.passed(i);
    EXPECT_EQ(passed, kBurst + 1) << "no token is taken twice, and none is lost";
}

TEST(SharedRates, GoesOnWhenProcessesAreKilledInTheMiddle) {
    const SharedMemory memory;
    SharedRates& rates = *SharedRates::make(memory.room(), kSecret);
    const Rate rate{1000, 10};
    for (int round = 0; round < 30; ++round) {
        const pid_t child = fork();
        if (child == 0) {
            for (std::uint64_t n = 0;; ++n) {
                rates.take(rates.key(Kind::user, std::to_string(n % 5000)), rate,
                           Instant(std::chrono::milliseconds(n / 100)));
                ++memory.passed(0);
            }
        }
        const std::uint64_t before = memory.passed(0);
        while (const_cast<volatile std::uint64_t&>(memory.passed(0)) < before + 1000) usleep(100);
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
    }
    const Instant later(48h);
    for (int n = 0; n < 5000; ++n) {
        const auto key = rates.key(Kind::user, std::to_string(n));
        for (int i = 0; i < 11; ++i) ASSERT_EQ(rates.take(key, rate, later), 0ms) << n;
        ASSERT_TRUE(rates.forgotten() > 0 || rates.take(key, rate, later) > 0ms) << n;
    }
}

}  // namespace
}  // namespace weft
