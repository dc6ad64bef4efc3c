// CPU time of the servers under test, and of the load generator, over one measurement.
#pragma once

#include <vector>

#include "json_writer.hpp"
#include "options.hpp"
#include "process_stats.hpp"

namespace weft::bench {

class CpuMeter {
public:
    /// Each server counts with the descendants that it has now.
    explicit CpuMeter(const std::vector<Server>& servers);

    void start();
    void stop();

    /// Between start() and stop(), of all servers; 0 when none was named.
    [[nodiscard]] double server_seconds() const;
    [[nodiscard]] double load_seconds() const { return own_after_ - own_before_; }

    /// Adds server_cpu_seconds, server_user_seconds, the percentages of `seconds` of wall time (of each server by its
    /// name, too), and load_cpu_percent. A load generator near 100 % has measured itself.
    void add_to(JsonObject& result, double seconds) const;

private:
    struct Metered {
        std::string name;
        std::vector<pid_t> pids;
        ProcessCost before;
        ProcessCost after;
    };
    std::vector<Metered> servers_;
    double own_before_ = 0;
    double own_after_ = 0;
};

}  // namespace weft::bench
