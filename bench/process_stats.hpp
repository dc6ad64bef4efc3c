// What the servers under test cost, as the kernel sees it: proc(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace weft::bench {

struct ProcessCost {
    double cpu_seconds = 0;       // user and system, all threads
    double user_seconds = 0;      // of them in user mode
    std::uint64_t pss_bytes = 0;  // /proc/PID/smaps_rollup: shared pages counted once over all who share them
};

/// `roots` and all their descendants at this moment: nginx's master leads to its workers.
std::vector<pid_t> with_descendants(const std::vector<pid_t>& roots);

/// The sum over `pids`; processes that are gone count nothing. CPU time has the kernel's tick as its unit (10 ms).
ProcessCost cpu_of(const std::vector<pid_t>& pids);

/// The same with the memory, which takes the kernel milliseconds: not while something is being timed.
ProcessCost cost_of(const std::vector<pid_t>& pids);

/// CPU seconds of this process.
double own_cpu_seconds();

}  // namespace weft::bench
