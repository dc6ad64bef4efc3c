// Processes that are killed at any instruction while they change shared counts, as nginx's workers may be.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <vector>

#include "limit/connection_counts.hpp"
#include "ngx/robust_mutex.hpp"

namespace weft {
namespace {

using Hold = ConnectionCounts::Hold;
using Verdict = ConnectionCounts::Verdict;

class SharedMemory {
public:
    explicit SharedMemory(std::size_t size) : size_(size) {
        memory_ = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
    }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    ~SharedMemory() { munmap(memory_, size_); }
    [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_), size_}; }

private:
    void* memory_;
    std::size_t size_;
};

TEST(RobustMutex, TellsOfItsOwnersDeathBeforeTheSocketsAreClosed) {
    const SharedMemory memory(4096);
    auto* mutex = new (memory.bytes().data()) RobustMutex();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t owner = fork();
    if (owner == 0) {
        mutex->lock();
        if (write(ends[1], "x", 1) != 1) _exit(1);
        close(ends[0]);
        for (;;) pause();
    }
    close(ends[1]);
    char byte = 0;
    ASSERT_EQ(read(ends[0], &byte, 1), 1);
    EXPECT_EQ(mutex->try_lock(), RobustMutex::Lock::busy);
    kill(owner, SIGKILL);
    ASSERT_EQ(read(ends[0], &byte, 1), 0);  // what a client of it would see
    EXPECT_EQ(mutex->try_lock(), RobustMutex::Lock::inherited);
    EXPECT_EQ(mutex->try_lock(), RobustMutex::Lock::busy);
    mutex->unlock();
    EXPECT_EQ(mutex->lock(), RobustMutex::Lock::taken);
    mutex->unlock();
    waitpid(owner, nullptr, 0);
    close(ends[0]);
}

constexpr std::size_t kSeats = 3;
constexpr std::uint32_t kKeys = 4;
constexpr std::size_t kMemory = 1200;  // for some 25 records: each instruction takes 15 us to look behind

ConnectionKey key(std::uint32_t number) {
    return *address_key({reinterpret_cast<const std::uint8_t*>(&number), 4});
}

/// Something of everything that a worker does, at seat 1.
void work(ConnectionCounts& counts) {
    std::vector<Hold> open;
    std::mt19937 random(5);
    for (int i = 0; i < 30; ++i) {
        if (open.empty() || random() % 3 != 0) {
            Hold hold;
            if (counts.admit(1, key(random() % 8), key(1000 + random() % 8), {0, 4, 4}, hold) == Verdict::admitted) {
                open.push_back(hold);
            }
        } else {
            std::swap(open[random() % open.size()], open.back());
            counts.release(1, open.back());
            open.pop_back();
        }
        if (i == 20) counts.give_up(2);
    }
    for (std::uint32_t i = 2000; counts.used() < counts.capacity(); ++i) {
        Hold hold;
        counts.admit(1, key(i), std::nullopt, {0, 1, 0}, hold);
    }
    Hold hold;
    counts.admit(1, key(3000), std::nullopt, {0, 1, 0}, hold);  // which is one too many
    for (Hold& one : open) counts.release(1, one);
    counts.rebuild();  // as when another worker died before
}

/// What must hold once the dead worker's seat is given up: the others' counts are what they were, and all other memory
/// can be used. Changes the counts.
void expect_intact(ConnectionCounts& counts) {
    counts.give_up(1);
    counts.give_up(2);
    Hold hold;
    ASSERT_EQ(counts.admit(2, std::nullopt, std::nullopt, {kKeys, 0, 0}, hold), Verdict::total);
    for (std::uint32_t i = 0; i < kKeys; ++i) {
        ASSERT_EQ(counts.admit(2, key(i), std::nullopt, {0, 1, 0}, hold), Verdict::per_address) << i;
        ASSERT_EQ(counts.admit(2, key(i), std::nullopt, {kKeys + 1, 2, 0}, hold), Verdict::admitted) << i;
        counts.release(2, hold);
    }
    for (std::size_t i = kKeys; i < counts.capacity(); ++i) {
        ASSERT_EQ(counts.admit(2, key(static_cast<std::uint32_t>(5000 + i)), std::nullopt, {0, 1, 0}, hold),
                  Verdict::admitted)
            << i;
        hold = Hold();
    }
    ASSERT_EQ(counts.used(), counts.capacity());
    ASSERT_EQ(counts.admit(2, key(9999), std::nullopt, {0, 1, 0}, hold), Verdict::full);
}

// The worker is stepped through its work, and what it would leave if it were killed is looked at wherever that is new.
TEST(KilledWorker, LeavesNothingBehindWhicheverInstructionWasItsLast) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's own instructions are too many to step through";
#endif
    const SharedMemory memory(kMemory);
    ConnectionCounts* counts = ConnectionCounts::make(memory.bytes(), kSeats, SipKey{3, 4});
    ASSERT_NE(counts, nullptr);
    Hold hold;
    for (std::uint32_t i = 0; i < kKeys; ++i) {
        ASSERT_EQ(counts->admit(0, key(i), std::nullopt, {}, hold = Hold()), Verdict::admitted);
        ASSERT_EQ(counts->admit(2, key(i + kKeys / 2), std::nullopt, {}, hold = Hold()), Verdict::admitted);
    }

    const pid_t worker = fork();
    if (worker == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(77);
        raise(SIGSTOP);
        work(*counts);
        _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(worker, &status, 0), worker);
    if (WIFEXITED(status)) GTEST_SKIP() << "processes can't be traced here";
    const std::span<std::byte> bytes = memory.bytes();
    std::vector<std::byte> last;
    int states = 0;
    while (!WIFEXITED(status) && !HasFatalFailure()) {
        if (last.empty() || std::memcmp(last.data(), bytes.data(), last.size()) != 0) {
            last.assign(bytes.begin(), bytes.end());
            ++states;
            SCOPED_TRACE(states);
            counts->rebuild();
            expect_intact(*counts);
            std::copy(last.begin(), last.end(), bytes.begin());
        }
        ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, worker, nullptr, nullptr), 0);
        ASSERT_EQ(waitpid(worker, &status, 0), worker);
    }
    EXPECT_GT(states, 200);
    if (!WIFEXITED(status)) {
        kill(worker, SIGKILL);
        waitpid(worker, nullptr, 0);
    }
}

struct Shared {
    RobustMutex mutex;
    ConnectionCounts* counts = nullptr;
    std::atomic<std::uint64_t> steps{0};

    void lock() {
        if (mutex.lock() == RobustMutex::Lock::inherited) counts->rebuild();
    }
};

// The same with the lock, and with several at once.
TEST(KilledWorker, LeavesTheLockToTheOthers) {
    const SharedMemory memory(4096);
    auto* shared = new (memory.bytes().data()) Shared();
    shared->counts = ConnectionCounts::make(memory.bytes().subspan(sizeof(Shared)), kSeats, SipKey{3, 4});
    ASSERT_NE(shared->counts, nullptr);
    Hold hold;
    for (std::uint32_t i = 0; i < kKeys; ++i) {
        ASSERT_EQ(shared->counts->admit(0, key(i), std::nullopt, {}, hold = Hold()), Verdict::admitted);
    }
    for (int round = 0; round < 50; ++round) {
        SCOPED_TRACE(round);
        pid_t workers[kSeats] = {};
        const std::uint64_t before = shared->steps.load();
        for (std::size_t seat = 1; seat < kSeats; ++seat) {
            workers[seat] = fork();
            if (workers[seat] != 0) continue;
            for (std::uint32_t i = 0;; ++i) {
                shared->lock();
                Hold mine;
                shared->counts->admit(seat, key(i % 50), key(1000 + i % 30), {0, 5, 5}, mine);
                if (i % 40 != 0) shared->counts->release(seat, mine);
                shared->steps.fetch_add(1);
                shared->mutex.unlock();
            }
        }
        while (shared->steps.load() < before + 100) usleep(100);
        for (std::size_t seat = 1; seat < kSeats; ++seat) kill(workers[seat], SIGKILL);
        for (std::size_t seat = 1; seat < kSeats; ++seat) waitpid(workers[seat], nullptr, 0);
        shared->lock();
        std::vector<std::byte> now(memory.bytes().begin() + sizeof(Shared), memory.bytes().end());
        expect_intact(*shared->counts);
        std::copy(now.begin(), now.end(), memory.bytes().begin() + sizeof(Shared));
        for (std::size_t seat = 1; seat < kSeats; ++seat) shared->counts->give_up(seat);
        shared->mutex.unlock();
    }
}

}  // namespace
}  // namespace weft
