// The members of one channel, of all nodes together, as they have been told to subscribers.
//
// Each node says which of its connections are in the channel; a member is there while any node says so. A connection
// that takes the place of one that is gone has the same member's id, so nothing is told of either.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/broker.hpp"
#include "weft/time.hpp"

namespace weft {

/// Index of a node in Presence; 0 is this one.
using NodeIndex = std::uint16_t;

class Roster;

/// What one node says of one of its connections.
struct Attendance {
    struct Key {
        NodeIndex node = 0;
        std::uint64_t client = 0;  // 0: a number of connections
        // NOLINTNEXTLINE(modernize-use-nullptr): there is no pointer
        auto operator<=>(const Key&) const = default;
    };

    Roster* roster = nullptr;
    Key key;
    std::uint64_t id = 0;  // the member's
    std::string user;
    std::string info;
    std::uint64_t count = 0;  // of key.client 0
    bool lingering = false;   // the connection is gone; it stays for a while
    bool held = false;        // ours, not told to anybody yet: its user is there already, perhaps in its former self
    std::uint32_t round = 0;  // of the node's full set that it was in last

    // Ours only.
    std::uint64_t version = 0;
    LinkId link = 0;
    std::chrono::milliseconds linger{};
    std::optional<std::multimap<Instant, Attendance*>::iterator> deadline;
    std::map<LinkId, std::uint64_t> counts;  // of key.client 0: each worker's connections
};

class Roster {
public:
    /// A change that subscribers are told.
    struct Told {
        bool changed = false;
        bool edge = false;  // the user's first or last
    };

    explicit Roster(std::string name) : name_(std::move(name)) {}
    Roster(const Roster&) = delete;
    Roster& operator=(const Roster&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] Attendance* find(Attendance::Key key);
    Attendance& add(Attendance::Key key);  ///< must be new; it is nobody's member yet
    void remove(Attendance& attendance);   ///< must be hidden
    [[nodiscard]] bool empty() const noexcept { return all_.empty(); }

    /// The attendance stands for member `id` (and for attendance.id, if any, no more: see hide()).
    Told show(Attendance& attendance, std::uint64_t id);
    /// It doesn't stand for member `id` any more.
    Told hide(Attendance& attendance, std::uint64_t id);

    /// The member whose place a connection of this user can take: one of whom nothing but lingering is left, and who
    /// looks the same. 0: none.
    [[nodiscard]] std::uint64_t vacant(std::string_view user, std::string_view info) const;
    /// Those who stand for member `id` and aren't lingering: one, or more when several took its place at once.
    [[nodiscard]] std::vector<Attendance*> live(std::uint64_t id) const;
    [[nodiscard]] bool has_user(std::string_view user) const { return users_.find(user) != users_.end(); }
    /// Whether hiding `attendance` would tell that its user has left.
    [[nodiscard]] bool last_of_user(const Attendance& attendance) const;

    /// Attendances of ours that are held back, by user.
    void hold(Attendance& attendance);
    void release(Attendance& attendance);
    [[nodiscard]] Attendance* held(std::string_view user) const;
    /// One that can take a vacant place now; null: none.
    [[nodiscard]] Attendance* held_for_vacancy(std::string_view user) const;

    void set_count(Attendance& attendance, std::uint64_t count);

    [[nodiscard]] std::uint64_t members() const noexcept { return present_.size() + counted_; }
    [[nodiscard]] std::uint64_t users() const noexcept { return users_.size() + nameless_; }
    /// Visits members behind `after` in the order of ids, each by an attendance that isn't lingering if there is one,
    /// until `visit` says false.
    void list(std::uint64_t after, const std::function<bool(const Attendance&)>& visit) const;
    void for_each(const std::function<void(Attendance&)>& visit);

private:
    using Present = std::vector<Attendance*>;  // who stand for one member; mostly one

    std::string name_;
    std::map<Attendance::Key, Attendance> all_;
    std::map<std::uint64_t, Present> present_;                              // by member's id
    std::map<std::string, std::vector<std::uint64_t>, std::less<>> users_;  // their members
    std::map<std::string, std::vector<Attendance*>, std::less<>> held_;
    std::uint64_t nameless_ = 0;  // members without a user
    std::uint64_t counted_ = 0;
};

}  // namespace weft
