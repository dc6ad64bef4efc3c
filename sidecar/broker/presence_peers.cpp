// Presence: what nodes tell each other of their members.
#include <algorithm>
#include <utility>

#include "broker/presence.hpp"
#include "weft/channel.hpp"

namespace weft {

Presence::Node* Presence::node_of(LinkId link, NodeIndex& index) {
    const auto found =
        std::find_if(nodes_.begin() + 1, nodes_.end(), [link](const Node& node) { return node.link == link; });
    if (found == nodes_.end()) return nullptr;
    index = static_cast<NodeIndex>(found - nodes_.begin());
    return &*found;
}

void Presence::on_peer_up(LinkId link, std::string_view name, Instant now) {
    begin(now);
    auto place = std::find_if(nodes_.begin() + 1, nodes_.end(), [name](const Node& node) { return node.name == name; });
    if (place == nodes_.end()) {
        place = std::find_if(nodes_.begin() + 1, nodes_.end(),
                             [](const Node& node) { return node.link == 0 && node.members == 0 && !node.drop_at; });
        if (place == nodes_.end()) {
            if (nodes_.size() == kMaxNodes) return;
            place = nodes_.emplace(nodes_.end());
        }
        const std::uint32_t round = place->round;  // what departs still may be of those who were here before
        *place = Node{};
        place->name = name;
        place->round = round + 1;
    }
    place->link = link;
    place->paging = false;
    place->synced = false;
    place->drop_at.reset();
    v1::Frame frame;
    frame.mutable_sync_members()->set_life(place->life);
    frame.mutable_sync_members()->set_version(place->version);
    sender_.send(link, frame);
}

void Presence::on_peer_down(LinkId link, Instant now) {
    NodeIndex index = 0;
    Node* const node = node_of(link, index);
    if (node == nullptr) return;
    node->link = 0;
    if (std::exchange(node->paging, false)) node->life = 0;  // what came is not all
    node->drop_at = now + settings_.member_timeout;
}

// Answered from where the asking node stands: nothing of it is kept here.
void Presence::sync(LinkId link, const v1::SyncMembers& request) {
    v1::Frame frame;
    v1::MemberChanges& page = *frame.mutable_member_changes();
    page.set_life(life_);
    page.set_version(version_);
    page.set_complete(true);
    page.set_unchanged(request.cursor() == 0 && request.life() == life_ && request.version() == version_);
    std::size_t bytes = 0;
    auto next = page.unchanged() ? changes_.end() : changes_.upper_bound(request.cursor());
    for (; next != changes_.end(); ++next) {
        if (bytes >= kPageBytes || static_cast<std::size_t>(page.entries_size()) == kPageMembers) {
            page.set_complete(false);
            break;
        }
        v1::MemberEntry& entry = *page.add_entries();
        describe(*next->second, entry);
        bytes += entry.ByteSizeLong();
        page.set_cursor(next->first);
    }
    sender_.send(link, frame);
}

void Presence::on_changes(LinkId link, const v1::MemberChanges& page, Instant now) {
    NodeIndex index = 0;
    Node* const node = node_of(link, index);
    if (node == nullptr) return;
    if (page.unchanged()) {
        node->synced = true;
        node->drop_at = now + settings_.member_timeout;  // of what was left of the life before, if anything
        return;
    }
    if (!std::exchange(node->paging, true)) ++node->round;
    for (const v1::MemberEntry& entry : page.entries()) apply(index, entry);
    if (!page.complete()) {
        v1::Frame frame;
        frame.mutable_sync_members()->set_cursor(page.cursor());
        sender_.send(link, frame);
        return;
    }
    node->paging = false;
    node->synced = true;
    // The members of a node that was restarted come back when its workers find it again.
    node->drop_at = now + (node->life == page.life() ? std::chrono::milliseconds{0} : settings_.member_timeout);
    node->life = page.life();
    node->version = page.version();
}

void Presence::on_change(LinkId link, const v1::MemberChange& change) {
    NodeIndex index = 0;
    Node* const node = node_of(link, index);
    if (node == nullptr) return;
    if (node->synced) node->version = change.version();
    apply(index, change.entry());
}

void Presence::apply(NodeIndex index, const v1::MemberEntry& entry) {
    Node& node = nodes_[index];
    const Attendance::Key key{index, entry.client_id()};
    if (entry.gone()) {
        Roster* const in = find_roster(entry.channel());
        Attendance* const gone = in == nullptr ? nullptr : in->find(key);
        if (gone != nullptr) forget(*gone);
        return;
    }
    if (!is_channel_name(entry.channel()) || entry.user().size() > kMaxUser || entry.info().size() > kMaxInfo ||
        (key.client != 0 && entry.id() == 0)) {
        return void(++refused_);
    }
    Roster* in = find_roster(entry.channel());
    Attendance* theirs = in == nullptr ? nullptr : in->find(key);
    if (theirs == nullptr) {
        if (node.members >= kMaxMembers) return void(++refused_);
        in = &roster(entry.channel());
        theirs = &in->add(key);
        theirs->user = entry.user();
        ++node.members;
    }
    theirs->round = node.round;
    if (key.client == 0) {
        in->set_count(*theirs, entry.count());
        recount_.insert(in->name());
        return;
    }
    theirs->info = entry.info();
    theirs->lingering = entry.lingering();
    in->changed(*theirs);
    if (theirs->id != entry.id()) {
        const std::uint64_t before = theirs->id;
        show(*theirs, entry.id());
        if (before != 0) hide(*theirs, before);
    }
    if (theirs->lingering) return fill_vacancies(*in, theirs->user);
    part(*in, theirs->id);
}

void Presence::forget(Attendance& attendance) {
    Roster& in = *attendance.roster;
    --nodes_[attendance.key.node].members;
    if (attendance.key.client == 0) recount_.insert(in.name());
    if (attendance.id != 0) hide(attendance, attendance.id);
    in.remove(attendance);
    drop_if_empty(in);
}

// Walks over everything; done once when a node is given up, or has told its whole set.
void Presence::collect_departures(NodeIndex index, bool all) {
    Node& node = nodes_[index];
    if (all) node.life = 0;
    if (node.members == 0) return;
    for (auto& [name, in] : rosters_) {
        in.for_each([&, &channel = name](Attendance& attendance) {  // clang captures no structured binding
            if (attendance.key.node != index || (!all && attendance.round == node.round)) return;
            departures_.push_back({channel, attendance.key, attendance.round});
        });
    }
}

}  // namespace weft
