#include "cpu_meter.hpp"

namespace weft::bench {

CpuMeter::CpuMeter(const std::vector<Server>& servers) {
    for (const Server& server : servers) servers_.push_back({server.name, with_descendants({server.pid}), {}, {}});
}

void CpuMeter::start() {
    for (Metered& server : servers_) server.before = cpu_of(server.pids);
    own_before_ = own_cpu_seconds();
}

void CpuMeter::stop() {
    for (Metered& server : servers_) server.after = cpu_of(server.pids);
    own_after_ = own_cpu_seconds();
}

double CpuMeter::server_seconds() const {
    double sum = 0;
    for (const Metered& server : servers_) sum += server.after.cpu_seconds - server.before.cpu_seconds;
    return sum;
}

void CpuMeter::add_to(JsonObject& result, double seconds) const {
    double user = 0;
    for (const Metered& server : servers_) {
        user += server.after.user_seconds - server.before.user_seconds;
        result.add(server.name + "_cpu_percent",
                   100 * (server.after.cpu_seconds - server.before.cpu_seconds) / seconds);
    }
    result.add("server_cpu_seconds", server_seconds())
        .add("server_user_seconds", user)
        .add("server_cpu_percent", 100 * server_seconds() / seconds)
        .add("load_cpu_percent", 100 * load_seconds() / seconds);
}

}  // namespace weft::bench
