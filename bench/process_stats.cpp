#include "process_stats.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace weft::bench {
namespace {

struct Stat {
    pid_t parent;
    std::uint64_t user_ticks;
    std::uint64_t system_ticks;
};

// Fields 4, 14 and 15 of /proc/PID/stat. The command's name (field 2) may hold spaces and brackets: start behind its
// end.
std::optional<Stat> read_stat(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    const auto end = line.rfind(')');
    if (end == std::string::npos) return std::nullopt;
    std::istringstream fields(line.substr(end + 1));
    std::string skipped;
    Stat stat{};
    fields >> skipped >> stat.parent;
    for (int field = 5; field < 14; ++field) fields >> skipped;
    fields >> stat.user_ticks >> stat.system_ticks;
    if (!fields) return std::nullopt;
    return stat;
}

std::uint64_t pss_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    std::string word;
    std::uint64_t kilobytes = 0;
    while (file >> word) {
        if (word == "Pss:" && file >> kilobytes) return kilobytes * 1024;
    }
    return 0;
}

}  // namespace

std::vector<pid_t> with_descendants(const std::vector<pid_t>& roots) {
    std::vector<std::pair<pid_t, pid_t>> children;  // parent, child
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto pid = static_cast<pid_t>(std::stol(name));
        if (const auto stat = read_stat(pid)) children.emplace_back(stat->parent, pid);
    }
    std::vector<pid_t> found = roots;
    for (std::size_t i = 0; i < found.size(); ++i) {  // grows as it goes: breadth first
        for (const auto& [parent, child] : children) {
            if (parent == found[i] && std::find(found.begin(), found.end(), child) == found.end())
                found.push_back(child);
        }
    }
    return found;
}

ProcessCost cpu_of(const std::vector<pid_t>& pids) {
    static const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    ProcessCost cost;
    for (const pid_t pid : pids) {
        const auto stat = read_stat(pid);
        if (!stat) continue;
        cost.user_seconds += static_cast<double>(stat->user_ticks) / ticks;
        cost.cpu_seconds += static_cast<double>(stat->user_ticks + stat->system_ticks) / ticks;
    }
    return cost;
}

ProcessCost cost_of(const std::vector<pid_t>& pids) {
    ProcessCost cost = cpu_of(pids);
    for (const pid_t pid : pids) cost.pss_bytes += pss_of(pid);
    return cost;
}

double own_cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace weft::bench
