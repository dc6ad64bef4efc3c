#include "broker/roster.hpp"

#include <algorithm>
#include <iterator>

namespace weft {

Attendance* Roster::find(Attendance::Key key) {
    const auto found = all_.find(key);
    return found == all_.end() ? nullptr : &found->second;
}

Attendance& Roster::add(Attendance::Key key) {
    Attendance& attendance = all_[key];
    attendance.roster = this;
    attendance.key = key;
    return attendance;
}

void Roster::remove(Attendance& attendance) {
    if (attendance.held) release(attendance);
    counted_ -= attendance.count;
    all_.erase(attendance.key);
}

Roster::Told Roster::show(Attendance& attendance, std::uint64_t id) {
    attendance.id = id;
    Present& present = present_[id];
    present.push_back(&attendance);
    if (present.size() > 1) return {};
    if (attendance.user.empty()) {
        ++nameless_;
        return {true, true};
    }
    auto& members = users_[attendance.user];
    members.push_back(id);
    return {true, members.size() == 1};
}

Roster::Told Roster::hide(Attendance& attendance, std::uint64_t id) {
    const auto place = present_.find(id);
    if (place == present_.end() || std::erase(place->second, &attendance) == 0) return {};
    if (attendance.id == id) attendance.id = 0;
    if (!place->second.empty()) return {};
    present_.erase(place);
    if (attendance.user.empty()) {
        --nameless_;
        return {true, true};
    }
    const auto user = users_.find(attendance.user);
    if (user == users_.end()) return {true, false};  // a peer that gave one id to two users
    std::erase(user->second, id);
    const bool last = user->second.empty();
    if (last) users_.erase(user);
    return {true, last};
}

std::uint64_t Roster::vacant(std::string_view user, std::string_view info) const {
    const auto members = users_.find(user);
    if (members == users_.end()) return 0;
    for (const std::uint64_t id : members->second) {
        const Present& present = present_.at(id);
        const bool free =
            std::ranges::all_of(present, [&](const Attendance* one) { return one->lingering && one->info == info; });
        if (free) return id;
    }
    return 0;
}

std::vector<Attendance*> Roster::live(std::uint64_t id) const {
    std::vector<Attendance*> out;
    if (const auto place = present_.find(id); place != present_.end()) {
        std::ranges::copy_if(place->second, std::back_inserter(out),
                             [](const Attendance* one) { return !one->lingering; });
    }
    return out;
}

bool Roster::last_of_user(const Attendance& attendance) const {
    const auto members = users_.find(attendance.user);
    if (members == users_.end() || members->second.size() != 1) return false;
    const Present& present = present_.at(members->second.front());
    return present.size() == 1 && present.front() == &attendance;
}

void Roster::hold(Attendance& attendance) {
    attendance.held = true;
    held_[attendance.user].push_back(&attendance);
}

void Roster::release(Attendance& attendance) {
    attendance.held = false;
    const auto user = held_.find(attendance.user);
    if (user == held_.end()) return;
    std::erase(user->second, &attendance);
    if (user->second.empty()) held_.erase(user);
}

Attendance* Roster::held(std::string_view user) const {
    const auto found = held_.find(user);
    return found == held_.end() ? nullptr : found->second.front();
}

Attendance* Roster::held_for_vacancy(std::string_view user) const {
    const auto found = held_.find(user);
    if (found == held_.end()) return nullptr;
    for (Attendance* const one : found->second) {
        if (vacant(user, one->info) != 0) return one;
    }
    return nullptr;
}

void Roster::set_count(Attendance& attendance, std::uint64_t count) {
    counted_ += count - attendance.count;
    attendance.count = count;
}

void Roster::list(std::uint64_t after, const std::function<bool(const Attendance&)>& visit) const {
    for (auto next = present_.upper_bound(after); next != present_.end(); ++next) {
        const Present& present = next->second;
        const auto here = std::ranges::find(present, false, &Attendance::lingering);
        if (!visit(here == present.end() ? *present.front() : **here)) return;
    }
}

void Roster::for_each(const std::function<void(Attendance&)>& visit) {
    for (auto& [key, attendance] : all_) visit(attendance);
}

}  // namespace weft
