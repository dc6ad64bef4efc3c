// Entries of one history that are the same publication: two nodes accepted it, neither knowing of the other's, and its
// publisher asked both. Both entries stay, as positions name them; a reader is given one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "weft/position.hpp"

namespace weft {

class Repeats {
public:
    static constexpr std::size_t kMax = 1024;  // publications of one channel; beyond it the oldest are forgotten

    struct Entry {
        StreamId stream;
        std::uint64_t number;
        bool operator==(const Entry&) const = default;
    };

    /// `again` is what `first` is.
    void add(Entry first, Entry again) {
        auto group = std::ranges::find_if(
            groups_, [&](const Group& known) { return std::ranges::find(known, first) != known.end(); });
        if (group == groups_.end()) {
            if (groups_.size() == kMax) groups_.pop_front();
            group = groups_.insert(groups_.end(), Group{first});
        }
        if (std::ranges::find(*group, again) == group->end()) group->push_back(again);
    }

    /// Goes through the entries that a reader lacks, in order.
    class Filter {
    public:
        /// `repeats` may be null, and must outlive this.
        Filter(const Repeats* repeats, const Position& had) : repeats_(repeats) {
            if (repeats == nullptr) return;
            for (const Group& group : repeats->groups_) {
                given_.push_back(std::ranges::any_of(group, [&](const Entry& entry) {
                    const std::uint64_t* const known = had.find(entry.stream);
                    return known != nullptr && *known >= entry.number;
                }));
            }
        }
        /// Whether the reader has this one as another entry, or was given that.
        bool repeats(Entry entry) {
            if (repeats_ == nullptr) return false;
            for (std::size_t i = 0; i < given_.size(); ++i) {
                const Group& group = repeats_->groups_[i];
                if (std::ranges::find(group, entry) == group.end()) continue;
                const bool given = given_[i];
                given_[i] = true;
                return given;
            }
            return false;
        }

    private:
        const Repeats* repeats_;
        std::vector<bool> given_;
    };

private:
    using Group = std::vector<Entry>;  // at most one a node's life
    std::deque<Group> groups_;
};

}  // namespace weft
