#include "simulation/simulated_crowd.hpp"

#include <iterator>

#include "simulation/names.hpp"

namespace weft::simulation {
namespace {

constexpr std::uint64_t kUsers = 12;                  // few, so that one is in a room several times
constexpr std::size_t kMaxMembers = 15;               // of a crowd in a room
constexpr std::uint32_t kLingers[] = {0, 500, 2000};  // ms

}  // namespace

SimulatedCrowd::SimulatedCrowd(SimulatedMesh& mesh, std::size_t node)
    : mesh_(mesh), node_(node), name_("crowd " + node_name(node)) {
    start();
}

void SimulatedCrowd::start() {
    v1::Hello hello;
    hello.set_kind(v1::Hello::WORKER);
    hello.set_name(name_);
    end_ = std::make_unique<DialingEnd>(mesh_, name_, hello, std::nullopt, node_, *this);
}

void SimulatedCrowd::crash() {
    mesh_.world_.trace(name_ + " crashes");
    const Wire wire = end_->wire;
    end_.reset();
    own_.clear();
    seen_.clear();
    reads_.clear();
    if (mesh_.world_.chance(0.5)) mesh_.nodes_[node_]->unreachable(wire.identity);
    start();
}

void SimulatedCrowd::stir() {
    const std::string room = "room:" + std::to_string(mesh_.world_.below(mesh_.plan_.rooms));
    Members& here = own_[room];
    if (here.size() < kMaxMembers && mesh_.world_.chance(here.empty() ? 1 : 0.5)) {
        const std::uint64_t client = mesh_.world_.random() | 1;
        const std::string user = "user " + std::to_string(mesh_.world_.below(kUsers));
        here.emplace(client, user);
        join(room, client, user);
    } else {
        const auto gone = std::next(here.begin(), static_cast<std::ptrdiff_t>(mesh_.world_.below(here.size())));
        v1::Frame frame;
        frame.mutable_member_leave()->set_channel(room);
        frame.mutable_member_leave()->set_client_id(gone->first);
        frame.mutable_member_leave()->set_at_once(mesh_.world_.chance(0.3));
        end_->dialer.send(frame);  // when there is no link, the next one will not name it
        here.erase(gone);
    }
    end_->pump();
}

Members SimulatedCrowd::members(const std::string& room) const {
    const auto found = own_.find(room);
    return found == own_.end() ? Members{} : found->second;
}

std::multiset<std::string> SimulatedCrowd::seen(const std::string& room) const {
    std::multiset<std::string> out;
    if (const auto found = seen_.find(room); found != seen_.end()) {
        for (const auto& [id, user] : found->second) out.insert(user);
    }
    return out;
}

void SimulatedCrowd::join(const std::string& room, std::uint64_t client, const std::string& user) {
    v1::Frame frame;
    frame.mutable_member_join()->set_channel(room);
    frame.mutable_member_join()->set_client_id(client);
    frame.mutable_member_join()->set_user(user);
    frame.mutable_member_join()->set_linger_ms(kLingers[client / 2 % std::size(kLingers)]);
    end_->dialer.send(frame);
}

void SimulatedCrowd::read(const std::string& room) {
    std::erase_if(reads_, [&](const auto& read) { return read.second == room; });
    v1::Frame frame;
    frame.mutable_read_members()->set_channel(room);
    frame.mutable_read_members()->set_request(next_request_);
    reads_[next_request_++] = room;
    end_->dialer.send(frame);
}

void SimulatedCrowd::on_link_up(const v1::Welcome&, Instant) {
    for (std::size_t i = 0; i < mesh_.plan_.rooms; ++i) {
        v1::Frame frame;
        frame.mutable_subscribe()->set_channel("room:" + std::to_string(i));
        end_->dialer.send(frame);
    }
    for (const auto& [room, members] : own_) {
        for (const auto& [client, user] : members) join(room, client, user);
    }
}

void SimulatedCrowd::on_link_frame(v1::Frame& frame, Instant) {
    switch (frame.body_case()) {
        case v1::Frame::kGap: return;
        case v1::Frame::kSubscribed: return read(frame.subscribed().channel());  // what changes from here on is told
        case v1::Frame::kMembersReset:
            for (std::size_t i = 0; i < mesh_.plan_.rooms; ++i) read("room:" + std::to_string(i));
            return;
        case v1::Frame::kMemberEvent: {
            const v1::MemberEvent& event = frame.member_event();
            if (!event.has_member()) return;
            auto& room = seen_[event.channel()];
            if (event.left()) {
                room.erase(event.member().id());
            } else {
                room[event.member().id()] = event.member().user();
            }
            return;
        }
        case v1::Frame::kMembersPage: {
            const v1::MembersPage& page = frame.members_page();
            const auto read = reads_.find(page.request());
            if (read == reads_.end()) return;
            auto& room = seen_[read->second];
            room.clear();
            for (const v1::Member& member : page.members()) room[member.id()] = member.user();
            return void(reads_.erase(read));
        }
        default: mesh_.violate(name_ + " got a frame that it can't have asked for: " + frame.ShortDebugString());
    }
}

void SimulatedCrowd::on_link_refused(const v1::Refused& refused, Instant) {
    mesh_.violate(name_ + " was refused: " + refused.message());
}

}  // namespace weft::simulation
