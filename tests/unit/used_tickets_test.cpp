// Tickets for one use: remembered once, until nobody would accept them, and whatever happens to workers.
#include "limit/used_tickets.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace weft {
namespace {

using Verdict = UsedTickets::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::array<SipKey, 2> kSecrets{SipKey{1, 2}, SipKey{3, 4}};
constexpr std::array<std::uint8_t, 16> kScope{1, 2, 3};
const WallTime kNow{seconds(1'700'000'000)};

struct Table {
    explicit Table(std::size_t size) : memory(size, std::byte{0xa5}), tickets(UsedTickets::make(memory, kSecrets)) {}
    Verdict use(const std::string& id, WallTime until = kNow + seconds(60), WallTime now = kNow) const {
        return tickets->use(kScope, id, until, now);
    }
    std::vector<std::byte> memory;
    UsedTickets* tickets;
};

TEST(UsedTickets, TakeEachOnce) {
    const Table table(64 * 1024);
    EXPECT_EQ(table.use("a"), Verdict::fresh);
    EXPECT_EQ(table.use("a"), Verdict::used);
    EXPECT_EQ(table.use("b"), Verdict::fresh);
    EXPECT_EQ(table.use("a", kNow + seconds(1000)), Verdict::used);
    EXPECT_EQ(table.use(std::string(255, 'x')), Verdict::fresh);
    EXPECT_EQ(table.use(std::string(255, 'x')), Verdict::used);
    EXPECT_EQ(table.use(std::string(254, 'x')), Verdict::fresh);
    EXPECT_EQ(table.tickets->used(kNow), 4U);
}

TEST(UsedTickets, AreApartForEachKeyThatSignedThem) {
    const Table table(64 * 1024);
    EXPECT_EQ(table.use("a"), Verdict::fresh);
    EXPECT_EQ(table.tickets->use(std::array<std::uint8_t, 16>{9}, "a", kNow + seconds(60), kNow), Verdict::fresh);
    EXPECT_EQ(table.use("a"), Verdict::used);
}

TEST(UsedTickets, AreRememberedUntilTheyExpireAndNoLonger) {
    const Table table(64 * 1024);
    const WallTime until = kNow + milliseconds(10'500);
    EXPECT_EQ(table.use("a", until), Verdict::fresh);
    EXPECT_EQ(table.use("a", until, until - milliseconds(1)), Verdict::used);
    EXPECT_EQ(table.use("a", until + seconds(60), until + seconds(1)), Verdict::fresh) << "as its place is free now";
    EXPECT_EQ(table.tickets->used(until + seconds(1)), 1U);
    EXPECT_NE(table.use("b", kNow, kNow), Verdict::fresh) << "one that has expired already";
    EXPECT_EQ(table.use("c", WallTime(seconds(253'402'300'799))), Verdict::fresh);
    EXPECT_EQ(table.use("c", WallTime(seconds(253'402'300'799)), WallTime(seconds(4'000'000'000))), Verdict::used);
}

TEST(UsedTickets, RefuseWhatTheyCantRemember) {
    const Table table(1024);
    ASSERT_EQ(table.tickets->capacity(), UsedTickets::kWays);
    int fresh = 0;
    for (int i = 0; i < 100; ++i) {
        const Verdict verdict = table.use(std::to_string(i), kNow + seconds(60 + i));
        if (verdict == Verdict::fresh) ++fresh;
        EXPECT_EQ(verdict, i < 32 ? Verdict::fresh : Verdict::full) << i;
    }
    EXPECT_EQ(fresh, 32);
    EXPECT_EQ(table.use("0", kNow + seconds(60)), Verdict::used) << "those that are there are known";
    // The first expires: there is room for one.
    EXPECT_EQ(table.use("x", kNow + seconds(500), kNow + seconds(60)), Verdict::fresh);
    EXPECT_EQ(table.use("y", kNow + seconds(500), kNow + seconds(60)), Verdict::full);
    EXPECT_EQ(table.use(std::string(UsedTickets::kMaxName, 'x')), Verdict::full) << "too long a name";
}

TEST(UsedTickets, TakesMostOfItsCapacity) {
    for (const std::size_t size : {std::size_t{48} << 10, std::size_t{1} << 20, std::size_t{4} << 20}) {
        const Table table(size);
        std::size_t count = 0;
        while (table.use("ticket-" + std::to_string(count)) == Verdict::fresh) ++count;
        const double share = static_cast<double>(count) / static_cast<double>(table.tickets->capacity());
        RecordProperty("room_" + std::to_string(size), std::to_string(count));
        EXPECT_GT(share, 0.85) << count << " of " << table.tickets->capacity();
        EXPECT_EQ(table.tickets->used(kNow), count);
    }
}

TEST(UsedTickets, NeedRoomForASet) {
    std::vector<std::byte> memory(500);
    EXPECT_EQ(UsedTickets::make(memory, kSecrets), nullptr);
    EXPECT_EQ(UsedTickets::make({}, kSecrets), nullptr);
    std::vector<std::byte> more(5000);
    for (std::size_t i = 0; i < 16; ++i) {
        EXPECT_NE(UsedTickets::make(std::span(more).subspan(i), kSecrets), nullptr) << i;
    }
}

// As in killed_worker_test.cpp: a worker is stepped through its work, and what it would leave if it were killed is
// looked at wherever that is new.
TEST(UsedTickets, AreKnownOrNotWhicheverInstructionWasAWorkersLast) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's own instructions are too many to step through";
#endif
    constexpr std::size_t kMemory = 4096;
    void* shared = mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    const std::span<std::byte> memory(static_cast<std::byte*>(shared), kMemory);
    UsedTickets* tickets = UsedTickets::make(memory, kSecrets);
    ASSERT_NE(tickets, nullptr);
    const auto use = [&](const std::string& id, int until, int now) {
        return tickets->use(kScope, id, kNow + seconds(until), kNow + seconds(now));
    };
    // Half of the places hold what has expired, some what hasn't.
    for (int i = 0; i < 100; ++i) ASSERT_EQ(use("old-" + std::to_string(i), 10, 0), Verdict::fresh);
    for (int i = 0; i < 8; ++i) ASSERT_EQ(use("kept-" + std::to_string(i), 1000, 20), Verdict::fresh);

    constexpr int kWork = 12;
    const pid_t worker = fork();
    if (worker == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(77);
        raise(SIGSTOP);
        for (int i = 0; i < kWork; ++i) use("new-" + std::to_string(i), 1000, 20);
        _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(worker, &status, 0), worker);
    if (WIFEXITED(status)) GTEST_SKIP() << "processes can't be traced here";
    std::vector<std::byte> last;
    int states = 0;
    while (!WIFEXITED(status) && !HasFatalFailure()) {
        if (last.empty() || std::memcmp(last.data(), memory.data(), last.size()) != 0) {
            last.assign(memory.begin(), memory.end());
            SCOPED_TRACE(++states);
            for (int i = 0; i < 8; ++i) ASSERT_EQ(use("kept-" + std::to_string(i), 1000, 20), Verdict::used) << i;
            // Those that the worker got through, in order, are known; the others can be used, once.
            int known = 0;
            while (known < kWork && use("new-" + std::to_string(known), 1000, 20) == Verdict::used) ++known;
            for (int i = known; i < kWork; ++i) {
                ASSERT_EQ(use("new-" + std::to_string(i), 1000, 20), i == known ? Verdict::used : Verdict::fresh) << i;
            }
            ASSERT_EQ(tickets->used(kNow + seconds(20)), std::size_t{8} + kWork);
            std::copy(last.begin(), last.end(), memory.begin());
        }
        ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, worker, nullptr, nullptr), 0);
        ASSERT_EQ(waitpid(worker, &status, 0), worker);
    }
    EXPECT_GE(states, 2 * kWork);
    if (!WIFEXITED(status)) {
        kill(worker, SIGKILL);
        waitpid(worker, nullptr, 0);
    }
    munmap(shared, kMemory);
}

}  // namespace
}  // namespace weft
