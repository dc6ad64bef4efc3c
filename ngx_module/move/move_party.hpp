// Connections that come from another worker at one moment: which of them are still to come, and when each can be taken.
// The other end of a MoveBatch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft {

/// Those who come are known by their index in Leaving, which the other worker gives: any number may be asked about.
class MoveParty {
public:
    explicit MoveParty(std::uint64_t number) noexcept : number_(number) {}

    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

    /// The next one, in the order of Leaving, is let in or refused. Who is refused doesn't come.
    void add(bool let_in) {
        places_.push_back(let_in ? Place::due : Place::done);
        left_ += let_in ? 1 : 0;
    }

    /// The other worker has been told that they are awaited.
    void await() noexcept { awaited_ = true; }
    [[nodiscard]] bool awaited() const noexcept { return awaited_; }

    /// One of weftd's `shards` has told the moment. True: it was the last, and who is here can be taken.
    bool on_marked(unsigned shards) noexcept { return ++marks_ >= shards; }
    /// Whether a mark is of any use to it.
    [[nodiscard]] bool expects_marks(unsigned shards) const noexcept { return !lost_ && marks_ < shards; }
    /// The link to weftd is gone. True: whether the moment has come, or is to come yet, can't be known any more, and
    /// nobody can be taken but to be refused.
    bool on_link_lost(unsigned shards) noexcept {
        if (!awaited_ || !expects_marks(shards)) return false;
        lost_ = true;
        return true;
    }
    /// Whether it is known of who is here what becomes of them: they are taken, or refused.
    [[nodiscard]] bool decided(unsigned shards) const noexcept { return !expects_marks(shards); }

    /// The one at `index` is here. False: it isn't due, and what is said of it counts for nothing.
    [[nodiscard]] bool on_here(std::uint64_t index) noexcept { return change(index, Place::due, Place::here); }
    /// The one at `index` isn't coming any more. False: it wasn't due.
    [[nodiscard]] bool on_gone(std::uint64_t index) noexcept { return finish(index, Place::due); }
    /// The one at `index` was taken or refused. False: it isn't here.
    [[nodiscard]] bool settle(std::uint64_t index) noexcept { return finish(index, Place::here); }

    /// Whether it is over: all that were awaited have come or are gone, and were told what becomes of them.
    [[nodiscard]] bool over() const noexcept { return awaited_ && left_ == 0; }

private:
    enum class Place : std::uint8_t {
        due,   // it was let in, and isn't here yet
        here,  // with its socket and all that is to be said of it
        done,
    };

    bool change(std::uint64_t index, Place from, Place to) noexcept {
        if (index >= places_.size() || places_[index] != from) return false;
        places_[index] = to;
        return true;
    }
    bool finish(std::uint64_t index, Place from) noexcept {
        if (!change(index, from, Place::done)) return false;
        --left_;
        return true;
    }

    std::uint64_t number_;
    std::vector<Place> places_;
    std::size_t left_ = 0;  // that aren't done
    unsigned marks_ = 0;    // that have come
    bool awaited_ = false;
    bool lost_ = false;
};

}  // namespace weft
