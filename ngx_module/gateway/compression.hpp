// Compression of a location's connections (RFC 7692), and what they share for it.
#pragma once

#include <string>

#include "websocket/deflater.hpp"
#include "websocket/extensions.hpp"
#include "websocket/inflater.hpp"

namespace weft {

/// weft_compression.
struct CompressionSettings {
    bool on = false;
    websocket::DeflateSettings deflate;  // of this side; its window is what was agreed, at most the policy's
    websocket::DeflatePolicy policy;
};

/// What one message at a time needs, whosever it is: one of each is enough for a worker.
struct CompressionScratch {
    static constexpr std::size_t kMaxKept = std::size_t{64} * 1024;  // bytes of room, each

    websocket::Inflater inflater;  // for messages that came without context takeover
    std::string inflated;          // room for a message that came
    std::string deflated;          // room for one that goes

    /// Gives back the room that a large message took.
    void trim() noexcept {
        for (std::string* room : {&inflated, &deflated}) {
            if (room->size() > kMaxKept) std::string().swap(*room);
        }
    }
};

}  // namespace weft
