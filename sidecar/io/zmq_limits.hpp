// Bounds that all of weftd's ZeroMQ sockets share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

// Of one message. A batch is about 256 KiB, but one frame may be larger. ZeroMQ closes a connection that sends more.
inline constexpr std::int64_t kMaxLinkMessage = 16 << 20;
// Messages within ZeroMQ, per link and direction. What waits beyond that waits in the link's own queue, whose bytes are
// bounded and where small frames still grow into large batches.
inline constexpr int kHighWaterMark = 64;
// What one socket may take in one turn of the loop, so that one flooder delays the others by milliseconds at most.
inline constexpr int kSliceMessages = 256;
inline constexpr std::size_t kSliceBytes = 1 << 20;
// Connections that talk to one listening socket.
inline constexpr std::size_t kMaxDialers = 4096;

}  // namespace weft
