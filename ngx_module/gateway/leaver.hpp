// What one worker says to another of a connection that is to move there (v1::Leaver): who it is and how it speaks,
// written and read.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "gateway/connection.hpp"
#include "gateway/wire_table.hpp"
#include "weft/v1/move.pb.h"

namespace weft {

/// The most channels that a connection can be in: what `weft_subscriptions` may say. (Leaving one looks through them.)
inline constexpr std::size_t kMostSubscriptions = 100'000;

/// Whether a worker can have meant it: each channel has a name and stands there once, there are no more than
/// kMostSubscriptions, and zlib has windows like these. What isn't so must not come near a Gateway or a Connection.
[[nodiscard]] bool is_sound(const v1::Leaver& leaver);

void write_identity(const Identity& identity, v1::LeaverIdentity& said);
/// Null when it makes no sense: a pattern is none, there are too many, or a time is beyond all calendars.
[[nodiscard]] std::shared_ptr<const Identity> read_identity(const v1::LeaverIdentity& said);

/// How a WebSocket speaks: as a WebSocketConnection is made.
struct WebSocketSpeech {
    WebSocketWire* wire;
    std::optional<websocket::DeflateParameters> deflate;  // none: without compression
};

/// `leaver` must be sound; the wire is one of `wires`; `own` is how this location compresses.
[[nodiscard]] WebSocketSpeech read_speech(const v1::Leaver& leaver, WireTable& wires,
                                          const websocket::DeflateSettings& own);

/// How a stream speaks; null where there is no such stream, or no room for another wire.
[[nodiscard]] StreamWire* read_stream(const v1::Leaver& leaver, WireTable& wires);

}  // namespace weft
