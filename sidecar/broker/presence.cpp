#include "broker/presence.hpp"

#include <algorithm>
#include <utility>

#include "weft/channel.hpp"
#include "weft/codes.hpp"

namespace weft {

Presence::Presence(Settings settings, Sender& sender, ChannelTable& channels, const std::vector<LinkId>& peers_in,
                   std::uint64_t life)
    : settings_(settings),
      sender_(sender),
      channels_(channels),
      peers_in_(peers_in),
      life_(life == 0 ? 1 : life),
      nodes_(1) {}

Roster* Presence::find_roster(std::string_view channel) {
    const auto found = rosters_.find(channel);
    return found == rosters_.end() ? nullptr : &found->second;
}

Roster& Presence::roster(const std::string& channel) {
    return rosters_.try_emplace(channel, channel).first->second;
}

void Presence::drop_if_empty(Roster& roster) {
    if (roster.empty()) rosters_.erase(rosters_.find(roster.name()));
}

std::uint64_t Presence::members(std::string_view channel) const {
    const auto found = rosters_.find(channel);
    return found == rosters_.end() ? 0 : found->second.members();
}

// --- links --------------------------------------------------------------------------------------------------------

void Presence::begin(Instant now) {
    if (std::exchange(begun_, true)) return;
    begun_at_ = now;
}

void Presence::awaits(LinkId link) {
    if (!gathered_ && std::ranges::find(awaiting_, link) == awaiting_.end()) awaiting_.push_back(link);
}

void Presence::on_move(LinkId link, Instant now) {
    if (moving_.empty()) left_alone_since_ = now;
    moving_[link] = now + kMoving;
}

void Presence::on_worker_down(LinkId link, Instant now) {
    const auto move = moving_.find(link);
    const auto grace = move == moving_.end() ? std::chrono::milliseconds{0} : kMoving;
    std::erase(awaiting_, link);
    std::erase_if(held_reads_, [link](const auto& read) { return read.first == link; });
    std::vector<Attendance*> theirs;
    for (const auto& [version, own] : changes_) {
        if (own->link == link || own->counts.contains(link)) theirs.push_back(own);
    }
    for (const auto& [deadline, own] : deadlines_) {
        if (own->link == link && own->held) theirs.push_back(own);
    }
    for (Attendance* const own : theirs) {
        if (own->key.client == 0) {
            own->counts.erase(link);
            recounted(*own);
        } else if (own->held) {
            end(*own);
        } else if (!own->lingering) {
            linger(*own, std::max(own->linger, grace), now);
        }
    }
    // Of what is left alone, some has not been taken over yet at all.
    for (const std::string& name : left_alone_) find_roster(name)->find({0, 0})->counts.erase(link);
}

// --- own members --------------------------------------------------------------------------------------------------

void Presence::join(LinkId link, const v1::MemberJoin& join, Instant now) {
    begin(now);
    awaits(link);
    if (!is_channel_name(join.channel()) || join.client_id() == 0 || join.user().size() > kMaxUser ||
        join.info().size() > kMaxInfo) {
        return void(++refused_);
    }
    Roster* known = find_roster(join.channel());
    const Attendance::Key key{0, join.client_id()};
    if (Attendance* const own = known == nullptr ? nullptr : known->find(key)) {
        own->link = link;  // it has moved, perhaps from a worker of another nginx.conf
        own->linger = std::min(std::chrono::milliseconds(join.linger_ms()), kMaxLinger);
        if (!own->lingering) return;
        clear_deadline(*own);
        own->lingering = false;
        known->changed(*own);
        changed(*own);
        return part(*known, own->id);
    }
    const auto linger = std::min(std::chrono::milliseconds(join.linger_ms()), kMaxLinger);
    bool hold = false;
    if (known != nullptr) {
        const bool there = !join.user().empty() && known->has_user(join.user());
        hold = there && linger.count() > 0 && known->vacant(join.user(), join.info()) == 0;
        // Most of those held back take places that are there already, so they are no part of the members' number.
        if (known->members() >= kMaxChannelMembers) return void(++refused_);
        if (hold && known->holds() >= kMaxChannelMembers) return void(++refused_);
    }
    if (own_ >= kMaxMembers) return void(++refused_);
    Roster& in = roster(join.channel());
    Attendance& own = in.add(key);
    ++own_;
    own.link = link;
    own.user = join.user();
    own.info = join.info();
    own.linger = linger;
    if (hold) {
        in.hold(own);
        return set_deadline(own, now + own.linger);
    }
    reveal(own);
}

void Presence::leave(LinkId link, const v1::MemberLeave& leave, Instant now) {
    Roster* const in = find_roster(leave.channel());
    Attendance* const own = in == nullptr ? nullptr : in->find({0, leave.client_id()});
    if (own == nullptr || own->link != link || own->key.client == 0) return;
    if (own->held || leave.at_once() || own->linger.count() == 0) return end(*own);
    if (!own->lingering) linger(*own, own->linger, now);
}

void Presence::count(LinkId link, const v1::MemberCount& count, Instant now) {
    begin(now);
    awaits(link);
    if (!is_channel_name(count.channel())) return void(++refused_);
    Roster* known = find_roster(count.channel());
    if (known == nullptr && count.count() == 0) return;
    Roster& in = roster(count.channel());
    Attendance* own = in.find({0, 0});
    if (own == nullptr) {
        if (own_ >= kMaxMembers) {
            drop_if_empty(in);
            return void(++refused_);
        }
        own = &in.add({0, 0});
        ++own_;
    }
    if (count.count() == 0) {
        own->counts.erase(link);
    } else {
        own->counts[link] = count.count();
    }
    recounted(*own);
}

void Presence::recounted(Attendance& own) {
    if (!moving_.empty()) return void(left_alone_.insert(own.roster->name()));
    if (!left_alone_.empty()) left_alone_.erase(own.roster->name());
    take_count(own);
}

void Presence::take_count(Attendance& own) {
    std::uint64_t sum = 0;
    for (const auto& [worker, connections] : own.counts) sum += connections;
    if (sum == own.count && own.version != 0) return;
    recount_.insert(own.roster->name());
    own.roster->set_count(own, sum);
    if (sum == 0) return end(own);
    changed(own);
}

void Presence::take_counts(std::size_t& left) {
    for (; left > 0 && !left_alone_.empty(); --left) {
        const auto name = left_alone_.extract(left_alone_.begin());
        take_count(*find_roster(name.value())->find({0, 0}));
    }
}

void Presence::reveal(Attendance& own) {
    if (own.held) own.roster->release(own);
    clear_deadline(own);
    const std::uint64_t place = own.user.empty() ? 0 : own.roster->vacant(own.user, own.info);
    show(own, place != 0 ? place : own.key.client);
    changed(own);
    part(*own.roster, own.id);  // it may have been here before, and lost its place
}

bool Presence::has_room(const Attendance& own) {
    return own.roster->members() < kMaxChannelMembers || own.roster->vacant(own.user, own.info) != 0;
}

void Presence::linger(Attendance& own, std::chrono::milliseconds time, Instant now) {
    if (time.count() == 0) return end(own);
    own.lingering = true;
    own.roster->changed(own);
    set_deadline(own, now + time);
    changed(own);
    const std::string user = own.user;
    fill_vacancies(*own.roster, user);
}

void Presence::end(Attendance& own) {
    clear_deadline(own);
    Roster& in = *own.roster;
    if (!own.held && own.version != 0) {
        changes_.erase(std::exchange(own.version, 0));
        ++version_;
        if (!peers_in_.empty()) {
            change_.mutable_member_change()->set_version(version_);
            v1::MemberEntry& entry = *change_.mutable_member_change()->mutable_entry();
            entry.Clear();
            entry.set_channel(in.name());
            entry.set_client_id(own.key.client);
            entry.set_gone(true);
            sender_.send(peers_in_, change_);
        }
    }
    --own_;
    if (own.id != 0) hide(own, own.id);
    in.remove(own);
    drop_if_empty(in);
}

void Presence::describe(const Attendance& attendance, v1::MemberEntry& entry) {
    entry.Clear();
    entry.set_channel(attendance.roster->name());
    entry.set_client_id(attendance.key.client);
    entry.set_id(attendance.id);
    entry.set_user(attendance.user);
    entry.set_info(attendance.info);
    entry.set_lingering(attendance.lingering);
    entry.set_count(attendance.count);
}

void Presence::changed(Attendance& own) {
    if (own.held) return;
    if (own.version != 0) changes_.erase(own.version);
    own.version = ++version_;
    changes_.emplace_hint(changes_.end(), own.version, &own);
    if (peers_in_.empty()) return;
    change_.mutable_member_change()->set_version(version_);
    describe(own, *change_.mutable_member_change()->mutable_entry());
    sender_.send(peers_in_, change_);
}

void Presence::set_deadline(Attendance& own, Instant at) {
    clear_deadline(own);
    own.deadline = deadlines_.emplace(at, &own);
}

void Presence::clear_deadline(Attendance& own) {
    if (!own.deadline) return;
    deadlines_.erase(*own.deadline);
    own.deadline.reset();
}

// --- what is told -------------------------------------------------------------------------------------------------

/// Of several connections that stand for one member, the one that it was in the first place keeps it, else the one with
/// the lowest client id: all nodes see it so, and each moves its own.
void Presence::part(Roster& roster, std::uint64_t id) {
    std::vector<Attendance*> live = roster.live(id);
    std::erase_if(live, [](const Attendance* one) { return one->key.node == 0 && one->version == 0; });  // it is ending
    if (live.size() < 2) return;
    const auto keeper = std::ranges::min_element(
        live, {}, [id](const Attendance* one) { return std::pair(one->key.client != id, one->key.client); });
    live.erase(keeper);
    for (Attendance* const own : live) {
        if (own->key.node != 0) continue;
        show(*own, own->key.client);
        hide(*own, id);
        changed(*own);
        part(roster,
             own->id);  // somebody may have taken that place meanwhile; its owner keeps it, so this comes to an end
    }
}

void Presence::fill_vacancies(Roster& roster, const std::string& user) {
    if (user.empty()) return;
    while (Attendance* const own = roster.held_for_vacancy(user)) reveal(*own);
}

void Presence::show(Attendance& attendance, std::uint64_t id) {
    const Roster::Told told = attendance.roster->show(attendance, id);
    if (told.changed) tell(attendance, id, false, told.edge);
}

void Presence::hide(Attendance& attendance, std::uint64_t id) {
    Roster& in = *attendance.roster;
    if (const std::string* const user = in.last_of_user(attendance, id)) {
        // The user doesn't go while there is another connection that nobody has been told of.
        if (Attendance* const next = in.held(*user)) reveal(*next);
    }
    const Roster::Told told = in.hide(attendance, id);
    if (told.changed) tell(attendance, id, true, told.edge);
}

void Presence::tell(const Attendance& attendance, std::uint64_t id, bool left, bool edge) {
    const Roster& in = *attendance.roster;
    const Channel* const channel = channels_.find(in.name());
    if (channel == nullptr || channel->workers.empty()) return;
    if (!gathered_) return void(recount_.insert(in.name()));
    v1::MemberEvent& event = *event_.mutable_member_event();
    event.set_channel(in.name());
    event.set_count(in.members());
    event.set_left(left);
    event.set_edge(edge);
    event.mutable_member()->set_id(id);
    event.mutable_member()->set_client_id(attendance.key.client);
    event.mutable_member()->set_user(attendance.user);
    event.mutable_member()->set_info(attendance.info);
    sender_.send(channel->workers, event_);
}

void Presence::tell_count(const std::string& name) {
    const Channel* const channel = channels_.find(name);
    if (channel == nullptr || channel->workers.empty()) return;
    v1::Frame frame;
    frame.mutable_member_event()->set_channel(name);
    frame.mutable_member_event()->set_count(members(name));
    sender_.send(channel->workers, frame);
}

void Presence::read(LinkId link, const v1::ReadMembers& request) {
    if (gathered_) return answer(link, request);
    if (held_reads_.size() < kMaxHeldReads) return void(held_reads_.emplace_back(link, request));
    v1::Frame frame;
    frame.mutable_failed()->set_request(request.request());
    frame.mutable_failed()->set_code(static_cast<std::uint32_t>(Code::unavailable));
    frame.mutable_failed()->set_message("this node has just started and doesn't know all members yet");
    frame.mutable_failed()->set_retry_after_ms(static_cast<std::uint32_t>(settings_.gather_wait.count()));
    sender_.send(link, frame);
}

void Presence::answer(LinkId link, const v1::ReadMembers& request) {
    constexpr std::size_t kAround = 32;  // bytes of a member besides its texts
    v1::Frame frame;
    v1::MembersPage& page = *frame.mutable_members_page();
    page.set_request(request.request());
    page.set_complete(true);
    if (const Roster* const in = find_roster(request.channel())) {
        page.set_count(in->members());
        page.set_users(in->users());
        const std::size_t most =
            request.limit() == 0 ? kPageMembers : std::min<std::size_t>(request.limit(), kPageMembers);
        std::size_t bytes = 0;
        in->list(request.after(), [&](const Attendance& attendance) {
            bytes += attendance.user.size() + attendance.info.size() + kAround;
            if (static_cast<std::size_t>(page.members_size()) == most || bytes > kPageBytes) {
                page.set_complete(false);
                return false;
            }
            v1::Member& member = *page.add_members();
            member.set_id(attendance.id);
            member.set_client_id(attendance.key.client);
            member.set_user(attendance.user);
            member.set_info(attendance.info);
            return true;
        });
    }
    sender_.send(link, frame);
}

void Presence::finish_gathering() {
    gathered_ = true;
    v1::Frame frame;
    frame.mutable_members_reset();
    sender_.send(awaiting_, frame);
    awaiting_.clear();
    for (const auto& [link, request] : std::exchange(held_reads_, {})) answer(link, request);
}

void Presence::on_tick(Instant now) {
    begin(now);
    if (!gathered_) {
        const auto waited = now - begun_at_;
        const auto synced = static_cast<std::size_t>(std::ranges::count_if(nodes_, &Node::synced));
        const bool complete = waited >= settings_.gather_wait && synced >= settings_.expected_peers;
        if (complete || waited >= settings_.gather_limit) finish_gathering();
    }
    for (std::size_t i = 1; i < nodes_.size(); ++i) {
        if (!nodes_[i].drop_at || now < *nodes_[i].drop_at) continue;
        nodes_[i].drop_at.reset();
        collect_departures(static_cast<NodeIndex>(i), nodes_[i].link == 0);
    }
    std::size_t left = kMaxEndings;
    while (left > 0 && !deadlines_.empty() && deadlines_.begin()->first <= now) {
        --left;
        Attendance& own = *deadlines_.begin()->second;
        if (own.held && has_room(own)) {
            reveal(own);
        } else {
            if (own.held) ++refused_;
            end(own);
        }
    }
    for (; left > 0 && !departures_.empty(); --left) {
        const Departure next = std::move(departures_.front());
        departures_.pop_front();
        Roster* const in = find_roster(next.channel);
        Attendance* const gone = in == nullptr ? nullptr : in->find(next.key);
        if (gone != nullptr && gone->round == next.round) forget(*gone);
    }
    std::erase_if(moving_, [now](const auto& move) { return move.second <= now; });
    left = kMaxEndings;
    if (moving_.empty() || now - left_alone_since_ >= kMaxMoving) take_counts(left);
    if (left_alone_.empty()) left_alone_since_ = now;
    if (!gathered_) return;
    for (; left > 0 && !recount_.empty(); --left) {
        tell_count(*recount_.begin());
        recount_.erase(recount_.begin());
    }
}

}  // namespace weft
