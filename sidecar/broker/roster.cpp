#include "broker/roster.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

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
    const auto [place, is_new] = present_.try_emplace(id, Present{users_.end(), looks_.end(), {}});
    Present& member = place->second;
    member.by.push_back(&attendance);
    Told told;
    if (is_new && attendance.user.empty()) {
        ++nameless_;
        told = {true, true};
    } else if (is_new) {
        member.user = users_.try_emplace(attendance.user).first;
        member.user->second.insert(id);
        told = {true, member.user->second.size() == 1};
    }
    look_at(id, member);
    return told;
}

Roster::Told Roster::hide(Attendance& attendance, std::uint64_t id) {
    const auto place = present_.find(id);
    if (place == present_.end() || std::erase(place->second.by, &attendance) == 0) return {};
    if (attendance.id == id) attendance.id = 0;
    look_at(id, place->second);
    if (!place->second.by.empty()) return {};
    const auto user = place->second.user;  // perhaps not attendance.user: a peer may give one id to two users
    present_.erase(place);
    if (user == users_.end()) {
        --nameless_;
        return {true, true};
    }
    user->second.erase(id);
    const bool last = user->second.empty();
    if (last) users_.erase(user);
    return {true, last};
}

void Roster::changed(const Attendance& attendance) {
    if (const auto place = present_.find(attendance.id); place != present_.end()) look_at(attendance.id, place->second);
}

// Keeps looks_ true to what is there of the member.
void Roster::look_at(std::uint64_t id, Present& member) {
    const auto& by = member.by;
    const bool vacant =
        !by.empty() && member.user != users_.end() && std::ranges::all_of(by, [&](const Attendance* one) {
            ++looked_at_;
            return one->lingering && one->info == by.front()->info;
        });
    if (member.vacant != looks_.end()) {
        if (vacant && member.vacant->first.second == by.front()->info) return;
        member.vacant->second.vacant.erase(id);
        settle(std::exchange(member.vacant, looks_.end()));
    }
    if (!vacant) return;
    member.vacant = looks_.try_emplace(Look(member.user->first, by.front()->info)).first;
    member.vacant->second.vacant.insert(id);
    settle(member.vacant);
}

void Roster::settle(Looks::iterator look) {
    const Alike& alike = look->second;
    if (!alike.vacant.empty() && !alike.held.empty()) return void(matches_.insert(look->first));
    matches_.erase(look->first);
    if (alike.vacant.empty() && alike.held.empty()) looks_.erase(look);
}

std::uint64_t Roster::vacant(std::string_view user, std::string_view info) const {
    const auto look = looks_.find(Look(user, info));
    return look == looks_.end() || look->second.vacant.empty() ? 0 : *look->second.vacant.begin();
}

std::vector<Attendance*> Roster::live(std::uint64_t id) const {
    std::vector<Attendance*> out;
    if (const auto place = present_.find(id); place != present_.end()) {
        std::ranges::copy_if(place->second.by, std::back_inserter(out),
                             [](const Attendance* one) { return !one->lingering; });
    }
    return out;
}

const std::string* Roster::last_of_user(const Attendance& attendance, std::uint64_t id) const {
    const auto place = present_.find(id);
    if (place == present_.end()) return nullptr;
    const Present& member = place->second;
    if (member.by.size() != 1 || member.by.front() != &attendance) return nullptr;
    return member.user == users_.end() || member.user->second.size() != 1 ? nullptr : &member.user->first;
}

void Roster::hold(Attendance& attendance) {
    attendance.held = true;
    attendance.turn = ++turns_;
    ++holds_;
    held_[attendance.user].emplace(attendance.turn, &attendance);
    const auto look = looks_.try_emplace(Look(attendance.user, attendance.info)).first;
    look->second.held.emplace(attendance.turn, &attendance);
    settle(look);
}

void Roster::release(Attendance& attendance) {
    attendance.held = false;
    const auto user = held_.find(attendance.user);
    if (user == held_.end() || user->second.erase(attendance.turn) == 0) return;
    --holds_;
    if (user->second.empty()) held_.erase(user);
    const auto look = looks_.find(Look(attendance.user, attendance.info));
    if (look == looks_.end()) return;
    look->second.held.erase(attendance.turn);
    settle(look);
}

Attendance* Roster::held(std::string_view user) const {
    const auto found = held_.find(user);
    return found == held_.end() ? nullptr : found->second.begin()->second;
}

Attendance* Roster::held_for_vacancy(std::string_view user) const {
    const auto match = matches_.lower_bound(Look(user, std::string_view{}));
    if (match == matches_.end() || match->first != user) return nullptr;
    return looks_.find(*match)->second.held.begin()->second;
}

void Roster::set_count(Attendance& attendance, std::uint64_t count) {
    counted_ += count - attendance.count;
    attendance.count = count;
}

void Roster::list(std::uint64_t after, const std::function<bool(const Attendance&)>& visit) const {
    for (auto next = present_.upper_bound(after); next != present_.end(); ++next) {
        const auto& by = next->second.by;
        const auto here = std::ranges::find(by, false, &Attendance::lingering);
        if (!visit(here == by.end() ? *by.front() : **here)) return;
    }
}

void Roster::for_each(const std::function<void(Attendance&)>& visit) {
    for (auto& [key, attendance] : all_) visit(attendance);
}

}  // namespace weft
