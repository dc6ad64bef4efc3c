// Entries of one history that are the same publication: two nodes accepted it, neither knowing of the other's, and its
// publisher asked both. Both entries stay, as positions name them; a reader is given one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <unordered_map>
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
        const auto known = index_.find(first);
        std::uint64_t key = dropped_ + groups_.size();
        if (known != index_.end()) {
            key = known->second;
        } else {
            if (groups_.size() == kMax) drop_oldest();
            groups_.push_back(Group{first});
            index_.emplace(first, key);
        }
        if (index_.try_emplace(again, key).second) groups_[key - dropped_].push_back(again);
    }

    /// Drops the oldest groups while `gone(entry)` is true of each of their entries. What is gone behind a group that
    /// isn't waits for that one.
    template <class Gone>
    void drop(Gone gone) {
        while (!groups_.empty() && std::ranges::all_of(groups_.front(), gone)) drop_oldest();
    }

    [[nodiscard]] std::size_t size() const noexcept { return groups_.size(); }

    /// Goes through the entries that a reader lacks, in order.
    class Filter {
    public:
        /// `repeats` may be null, and must outlive this unchanged.
        Filter(const Repeats* repeats, const Position& had) : repeats_(repeats) {
            if (repeats == nullptr) return;
            had_ = had;
            given_.resize(repeats->groups_.size());
        }
        /// Whether the reader has this one as another entry, or was given that.
        bool repeats(Entry entry) {
            if (repeats_ == nullptr) return false;
            const auto known = repeats_->index_.find(entry);
            if (known == repeats_->index_.end()) return false;
            const std::size_t place = known->second - repeats_->dropped_;
            if (given_[place]) return true;
            given_[place] = true;
            return std::ranges::any_of(repeats_->groups_[place], [&](const Entry& one) {
                const std::uint64_t* const number = had_.find(one.stream);
                return number != nullptr && *number >= one.number;
            });
        }

    private:
        const Repeats* repeats_;
        Position had_;
        std::vector<bool> given_;
    };

private:
    using Group = std::vector<Entry>;  // at most one a node's life
    struct Hash {
        std::size_t operator()(const Entry& entry) const noexcept {
            return entry.stream ^ entry.number * 0x9e3779b97f4a7c15;  // streams are random, numbers are not
        }
    };

    void drop_oldest() {
        for (const Entry& entry : groups_.front()) index_.erase(entry);
        groups_.pop_front();
        ++dropped_;
    }

    std::deque<Group> groups_;
    std::uint64_t dropped_ = 0;                             // groups before groups_.front()
    std::unordered_map<Entry, std::uint64_t, Hash> index_;  // each entry once; the group's place, and dropped_
};

}  // namespace weft
