// Where a reader of a channel's history stands.
#pragma once

#include "weft/position.hpp"

namespace weft {

/// Where a reader stands, when the node that it reads from may know less.
struct Standing {
    Position told;  // what it was told that it has
    Position
        beyond;  // what it has of streams that the node doesn't know; should a peer bring them, it has them already

    /// Whether the reader lacks this entry, which comes from the node now; it stands behind it afterwards.
    bool takes(StreamId stream, std::uint64_t number);
    /// Begins at `start`, as the node says, having had `after`.
    void begin(const Position& after, Position start);
    [[nodiscard]] bool same(const Position& position) const noexcept {
        return beyond.empty() && told.includes(position) && position.includes(told);
    }
};

}  // namespace weft
