// Who is in which channel: the members of this node, copies of those of its peers, and what workers are told of them.
//
// Each node is the only writer of its own members. It numbers their changes and sends each to all peers, over links
// that lose nothing unseen; on a new link the peer asks for the whole set, page by page, unless it knows the newest
// number already. Subscribers are told what the union of all nodes has won and lost (Roster).
//
// Nothing is told that is over soon: a member whose connection is gone lingers before it leaves, and a connection whose
// user is in the channel already is held back as long, for it may be that of a client that comes back before its old
// connection is known to be gone. A held one takes the place of a member of its user that lingers, silently. Two nodes
// may fill one place before they hear of each other, or its owner comes back; then one keeps it, and the others become
// members of their own.
//
// A connection that moves from one worker of this node to another stays the member that it was: whichever worker named
// it last owns it, and what another says of it counts no more. While a worker hands connections over (on_move), numbers
// of connections that only workers' sums make up are left as they were, since each of the two speaks for itself; and
// the members of one that is gone linger until the other can have named them.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "broker/channel.hpp"
#include "broker/roster.hpp"
#include "broker/sender.hpp"

namespace weft {

class Presence {
public:
    static constexpr std::size_t kMaxInfo = 1024;              // bytes
    static constexpr std::size_t kMaxUser = 255;               // bytes
    static constexpr std::size_t kMaxMembers = 200'000;        // of one node, over all channels
    static constexpr std::size_t kMaxChannelMembers = 10'000;  // a channel that has so many takes (or holds) no more
    static constexpr std::chrono::milliseconds kMaxLinger{600'000};
    static constexpr std::size_t kPageBytes = std::size_t{64} * 1024;
    static constexpr std::size_t kPageMembers = 1000;
    static constexpr std::size_t kMaxEndings =
        2048;  // members that leave, and channels that are counted anew, in a tick
    static constexpr std::size_t kMaxHeldReads = 1024;
    static constexpr std::size_t kMaxNodes = 4 * kMaxPeers;     // that are remembered
    static constexpr std::chrono::milliseconds kMoving{2'000};  // after on_move, for both workers to say who is where
    static constexpr std::chrono::milliseconds kMaxMoving{6'000};  // and numbers are left alone no longer than this

    struct Settings {
        std::chrono::milliseconds member_timeout{30'000};  // of a node that is down, until its members leave
        std::chrono::milliseconds gather_wait{1'000};      // after the start, for workers to say who is there
        std::chrono::milliseconds gather_limit{5'000};     // and for peers
        std::size_t expected_peers = 0;
    };

    /// `peers_in` are the links of peers that dialed us, kept by the caller. All references must outlive this; `life`
    /// is random.
    Presence(Settings settings, Sender& sender, ChannelTable& channels, const std::vector<LinkId>& peers_in,
             std::uint64_t life);

    /// The worker hands connections over to another about now. Say it again while it goes on.
    void on_move(LinkId link, Instant now);
    void on_worker_down(LinkId link, Instant now);
    void on_peer_up(LinkId link, std::string_view name, Instant now);
    void on_peer_down(LinkId link, Instant now);

    // From workers. What is out of bounds is refused and counted.
    void join(LinkId link, const v1::MemberJoin& join, Instant now);
    void leave(LinkId link, const v1::MemberLeave& leave, Instant now);
    void count(LinkId link, const v1::MemberCount& count, Instant now);
    void read(LinkId link, const v1::ReadMembers& request);
    // From peers.
    void sync(LinkId link, const v1::SyncMembers& request);
    void on_change(LinkId link, const v1::MemberChange& change);
    void on_changes(LinkId link, const v1::MemberChanges& page, Instant now);

    void on_tick(Instant now);

    [[nodiscard]] std::uint64_t members(std::string_view channel) const;
    /// Whether a node that started has heard of everybody, as far as workers and peers could be reached in time. Until
    /// then workers are told numbers only, and those who read wait.
    [[nodiscard]] bool gathered() const noexcept { return gathered_; }
    /// Of this node, in all channels.
    [[nodiscard]] std::size_t own() const noexcept { return own_; }
    /// Joins that were over a bound.
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

private:
    struct Node {
        std::string name;
        LinkId link = 0;         // 0: down
        std::uint64_t life = 0;  // of the set that is known completely, and its version; else 0
        std::uint64_t version = 0;
        std::uint32_t round = 0;  // of full sets
        bool paging = false;      // a full set is coming
        bool synced = false;      // since the link came up
        std::size_t members = 0;
        std::optional<Instant> drop_at;  // what is older than `round` (of a node that is down: all) leaves then
    };
    struct Departure {
        std::string channel;
        Attendance::Key key;
        std::uint32_t round;
    };

    void begin(Instant now);
    void awaits(LinkId link);
    Roster& roster(const std::string& channel);
    Roster* find_roster(std::string_view channel);
    Node* node_of(LinkId link, NodeIndex& index);
    void drop_if_empty(Roster& roster);

    // Own attendances.
    void changed(Attendance& own);
    void recounted(Attendance& own);   ///< may remove it, unless connections are moving
    void take_count(Attendance& own);  ///< may remove it
    void take_counts(std::size_t& left);
    void reveal(Attendance& own);
    static bool has_room(const Attendance& own);  ///< for one held back to become a member
    void end(Attendance& own);
    void linger(Attendance& own, std::chrono::milliseconds time, Instant now);
    void set_deadline(Attendance& own, Instant at);
    void clear_deadline(Attendance& own);

    void part(Roster& roster, std::uint64_t id);
    void fill_vacancies(Roster& roster, const std::string& user);
    void show(Attendance& attendance, std::uint64_t id);
    void hide(Attendance& attendance, std::uint64_t id);
    void apply(NodeIndex index, const v1::MemberEntry& entry);
    void forget(Attendance& attendance);
    void collect_departures(NodeIndex index, bool all);

    void tell(const Attendance& attendance, std::uint64_t id, bool left, bool edge);
    void tell_count(const std::string& channel);
    void finish_gathering();
    void answer(LinkId link, const v1::ReadMembers& request);
    static void describe(const Attendance& attendance, v1::MemberEntry& entry);

    Settings settings_;
    Sender& sender_;
    ChannelTable& channels_;
    const std::vector<LinkId>& peers_in_;
    std::uint64_t life_;
    std::vector<Node> nodes_;  // by NodeIndex; the first is this one
    std::map<std::string, Roster, std::less<>> rosters_;
    std::map<std::uint64_t, Attendance*> changes_;   // ours, by when each changed last; without those held back
    std::multimap<Instant, Attendance*> deadlines_;  // ours, that linger or are held back
    std::uint64_t version_ = 0;
    std::size_t own_ = 0;
    std::uint64_t refused_ = 0;
    std::deque<Departure> departures_;
    std::set<std::string> recount_;     // channels whose number of members is to be told
    std::map<LinkId, Instant> moving_;  // workers that hand connections over, until when; at most as many as there are
    Instant left_alone_since_{};        // numbers are, while any is moving
    std::set<std::string> left_alone_;  // channels of which workers have said another number meanwhile
    std::vector<LinkId> awaiting_;      // workers that are told when this node knows all members
    std::vector<std::pair<LinkId, v1::ReadMembers>> held_reads_;
    bool begun_ = false;
    bool gathered_ = false;
    Instant begun_at_{};
    v1::Frame event_, change_;
};

}  // namespace weft
