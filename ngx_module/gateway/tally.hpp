// What one connection did, for the line that is logged at its end.
#pragma once

#include <cstdint>

#include "weft/time.hpp"

namespace weft {

/// A host may derive from it and keep beside the counts what else it wants to say at the end.
struct Tally {
    Tally() = default;
    Tally(const Tally&) = delete;
    Tally& operator=(const Tally&) = delete;
    virtual ~Tally() = default;

    Instant opened{};
    std::uint64_t messages_in = 0;   // client messages
    std::uint64_t messages_out = 0;  // frames queued to the client
    std::uint64_t bytes_in = 0;      // of the socket (inside TLS, if there is any)
    std::uint64_t bytes_out = 0;
};

}  // namespace weft
