// What a worker knows, beyond the feed, of a channel that keeps history.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weft/standing.hpp"

namespace weft {

class Connection;

/// A subscriber that doesn't share the others' bytes for the moment: it is sent what it missed, or it knows what they
/// don't, or the other way round.
struct Apart {
    Connection* connection;
    std::string id;  // of its command
    bool echo = true;
    Standing standing{};
    std::uint64_t request = 0;  // for a page, in flight; see Aparts::ask()
    bool answered = false;      // its command was
    bool latest = false;        // it asked for nothing, and is given the newest
    bool caught_up = false;     // it has had its pages; until then live publications don't go to it, but come in one
};

/// Those of one channel. After an outage thousands come at once, so each is found, and taken out, without a look at the
/// others.
class Aparts {
public:
    using List = std::list<Apart>;

    [[nodiscard]] bool empty() const noexcept { return places_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }
    /// Those that are to ask for a page, and those that have had all; a page is on its way to the others.
    [[nodiscard]] List& pausing() noexcept { return pausing_; }
    [[nodiscard]] List& caught_up() noexcept { return caught_up_; }
    /// Any of them; there must be one.
    [[nodiscard]] Apart& any() noexcept { return *places_.begin()->second; }

    /// Null: it isn't among them.
    [[nodiscard]] Apart* find(const Connection& connection) noexcept;
    /// The one that asked this; null: it has left.
    [[nodiscard]] Apart* find(std::uint64_t request) noexcept;
    /// Calls `visit` with each. It neither adds nor erases.
    template <class Visit>
    void for_each(Visit visit) {
        for (List* const list : {&asking_, &pausing_, &caught_up_}) {
            for (Apart& apart : *list) visit(apart);
        }
    }

    /// A connection that isn't among them; it pauses. It stays where it is in memory until it is erased.
    Apart& add(Connection& connection, std::string_view id, bool echo);
    /// It asked for a page, or, with 0, pauses again. Not for one that has caught up.
    void ask(Apart& apart, std::uint64_t request);
    /// One that pauses has had its pages.
    void catch_up(Apart& apart) noexcept;
    /// All pause; no request is in flight.
    void begin_anew() noexcept;
    void erase(const Connection& connection) noexcept;

private:
    [[nodiscard]] List& list_of(const Apart& apart) noexcept {
        return apart.caught_up ? caught_up_ : apart.request != 0 ? asking_ : pausing_;
    }

    List asking_;
    List pausing_;
    List caught_up_;
    std::unordered_map<const Connection*, List::iterator> places_;
    std::unordered_map<std::uint64_t, Apart*> requests_;
};

struct FeedHistory {
    /// Subscribers of a channel that know what nobody else does, and stand apart only for that; one more, and it may be
    /// sent again what it has, should a lost node come back.
    static constexpr std::size_t kMaxBeyond = 256;

    Standing standing;          // of the feed; when `ahead`
    bool ahead = false;         // it has what the node lacks
    std::uint64_t request = 0;  // for a page, while the feed catches up after a loss of the link
    std::string node;           // the node's position when it answered last
    Aparts apart;
};

}  // namespace weft
