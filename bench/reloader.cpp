#include "reloader.hpp"

#include <algorithm>
#include <csignal>

#include "process_stats.hpp"

namespace weft::bench {

Reloader::Reloader(pid_t master, std::uint32_t count, std::uint64_t interval_ns)
    : master_(master), count_(count), interval_ns_(interval_ns) {}

std::vector<pid_t> Reloader::workers() const {
    std::vector<pid_t> all = with_descendants({master_});
    std::erase(all, master_);
    return all;
}

bool Reloader::has_new_worker() const {
    return std::ranges::any_of(workers(),
                               [this](pid_t pid) { return std::ranges::find(before_, pid) == before_.end(); });
}

void Reloader::run(std::uint64_t now) {
    if (begun_ == count_ || now < next_at_) return;
    if (begun_ > 0 && !has_new_worker()) {
        next_at_ = now + interval_ns_ / 50;
        return;
    }
    before_ = workers();
    ::kill(master_, SIGHUP);
    ++begun_;
    next_at_ = now + interval_ns_;
}

bool Reloader::done() {
    if (begun_ < count_) return false;
    if (count_ == 0) return true;
    const std::vector<pid_t> now = workers();
    return has_new_worker() &&
           std::ranges::none_of(before_, [&now](pid_t pid) { return std::ranges::find(now, pid) != now.end(); });
}

}  // namespace weft::bench
