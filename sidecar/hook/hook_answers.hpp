// What became of calls, on its way from the thread that makes them to the one that asked.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "call/hook.hpp"

namespace weft {

class HookAnswers {
public:
    /// Throws std::system_error.
    HookAnswers();
    ~HookAnswers();
    HookAnswers(const HookAnswers&) = delete;
    HookAnswers& operator=(const HookAnswers&) = delete;

    /// Readable while something is there.
    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// All that is there, in the order in which it came. `into` is emptied first. Costs next to nothing when nothing
    /// is.
    void take(std::vector<HookAnswer>& into);
    /// From any thread.
    void push(HookAnswer answer);

private:
    int fd_;
    std::atomic<bool> any_{false};
    std::mutex mutex_;
    std::vector<HookAnswer> answers_;  // guarded by mutex_; no more than there are calls under way
};

}  // namespace weft
