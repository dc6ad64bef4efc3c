// Has an nginx under test read its configuration again and again, by SIGHUP to its master.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace weft::bench {

class Reloader {
public:
    /// `master` is the process to signal, `count` times, `interval_ns` apart; 0 times: never.
    Reloader(pid_t master, std::uint32_t count, std::uint64_t interval_ns);

    void start(std::uint64_t now) { next_at_ = now; }

    /// Signals when it is time to. A reload that has begun no new worker yet is waited for, or signals would be taken
    /// for one.
    void run(std::uint64_t now);

    [[nodiscard]] std::uint32_t begun() const noexcept { return begun_; }
    /// All are begun, and the workers of all but the last of them are gone.
    [[nodiscard]] bool done();

private:
    [[nodiscard]] std::vector<pid_t> workers() const;
    [[nodiscard]] bool has_new_worker() const;

    pid_t master_;
    std::uint32_t count_;
    std::uint64_t interval_ns_;
    std::uint64_t next_at_ = 0;
    std::uint32_t begun_ = 0;
    std::vector<pid_t> before_;  // the workers at the last signal
};

}  // namespace weft::bench
