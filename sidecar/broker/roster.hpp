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
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
    std::uint64_t turn = 0;  // among those held
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

    /// The attendance stands for member `id` (and for attendance.id, if any, no more: see hide()). The member is of the
    /// user who was shown first, whatever another node says.
    Told show(Attendance& attendance, std::uint64_t id);
    /// It doesn't stand for member `id` any more.
    Told hide(Attendance& attendance, std::uint64_t id);
    /// Its `info` or its `lingering` is another.
    void changed(const Attendance& attendance);

    /// The member whose place a connection of this user can take: one of whom nothing but lingering is left, and who
    /// looks the same. 0: none.
    [[nodiscard]] std::uint64_t vacant(std::string_view user, std::string_view info) const;
    /// Those who stand for member `id` and aren't lingering: one, or more when several took its place at once.
    [[nodiscard]] std::vector<Attendance*> live(std::uint64_t id) const;
    [[nodiscard]] bool has_user(std::string_view user) const { return users_.find(user) != users_.end(); }
    /// The user of whom it would be told that they have left if this were hidden; null: nobody.
    [[nodiscard]] const std::string* last_of_user(const Attendance& attendance, std::uint64_t id) const;

    /// Attendances of ours that are held back, by user.
    void hold(Attendance& attendance);
    void release(Attendance& attendance);
    [[nodiscard]] Attendance* held(std::string_view user) const;
    /// One that can take a vacant place now; null: none.
    [[nodiscard]] Attendance* held_for_vacancy(std::string_view user) const;
    [[nodiscard]] std::size_t holds() const noexcept { return holds_; }

    void set_count(Attendance& attendance, std::uint64_t count);

    [[nodiscard]] std::uint64_t members() const noexcept { return present_.size() + counted_; }
    [[nodiscard]] std::uint64_t users() const noexcept { return users_.size() + nameless_; }
    /// Visits members behind `after` in the order of ids, each by an attendance that isn't lingering if there is one,
    /// until `visit` says false.
    void list(std::uint64_t after, const std::function<bool(const Attendance&)>& visit) const;
    void for_each(const std::function<void(Attendance&)>& visit);
    /// How many attendances have been looked at for free places, ever: for tests.
    [[nodiscard]] std::uint64_t looked_at() const noexcept { return looked_at_; }

private:
    using Users = std::map<std::string, std::set<std::uint64_t>, std::less<>>;
    using Held = std::map<std::uint64_t, Attendance*>;  // by turn
    using Look = std::pair<std::string, std::string>;   // user and info
    struct Alike {
        std::set<std::uint64_t> vacant;  // members
        Held held;
    };
    using Looks = std::map<Look, Alike>;
    struct Present {
        Users::iterator user;         // end: without a user
        Looks::iterator vacant;       // where it is listed as a free place; end: it isn't one
        std::vector<Attendance*> by;  // who stand for the member; mostly one
    };

    void look_at(std::uint64_t id, Present& member);
    void settle(Looks::iterator look);  ///< after each change of it

    std::string name_;
    std::map<Attendance::Key, Attendance> all_;
    std::map<std::uint64_t, Present> present_;  // by member's id
    Users users_;                               // their members
    std::map<std::string, Held, std::less<>> held_;
    Looks looks_;             // of members whose place is free, and of those held
    std::set<Look> matches_;  // those of looks_ that have both
    std::uint64_t turns_ = 0;
    std::size_t holds_ = 0;
    std::uint64_t nameless_ = 0;  // members without a user
    std::uint64_t counted_ = 0;
    std::uint64_t looked_at_ = 0;
};

}  // namespace weft
