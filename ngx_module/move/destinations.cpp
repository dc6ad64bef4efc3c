#include "move/destinations.hpp"

#include <algorithm>

namespace weft {

void Destinations::on_departure(Instant now) noexcept {
    if (!begun_) {
        begun_ = true;
        began_at_ = now;
        next_look_ = now;
    }
    give_up_at_ = now + kPatience;
}

bool Destinations::look(Instant now) noexcept {
    if (now < next_look_) return false;
    next_look_ = now + kLook;
    return true;
}

bool Destinations::wants(pid_t pid) const noexcept {
    return known_.size() < kMost && std::ranges::none_of(known_, [pid](const auto& one) { return one->pid == pid; });
}

Destination* Destinations::next() const noexcept {
    Destination* best = nullptr;
    for (const auto& one : known_) {
        if (one->closed || !one->ready || one->busy) continue;
        if (best == nullptr || one->load < best->load) best = one.get();
    }
    return best;
}

bool Destinations::expect_anybody(Instant now, const OthersCome& others_come) const {
    if (std::ranges::any_of(known_, [](const auto& one) { return !one->closed; })) return true;
    return now < began_at_ + kReloadPatience && others_come();
}

bool Destinations::give_up(Instant now, const OthersCome& others_come) {
    if (!expect_anybody(now, others_come)) return true;
    const bool ready = std::ranges::any_of(known_, [](const auto& one) { return one->ready && !one->closed; });
    if (!ready && now < began_at_ + kReloadPatience) give_up_at_ = now + kPatience;
    return now >= give_up_at_;
}

}  // namespace weft
