#include "gateway/stream_connection.hpp"

#include <algorithm>
#include <utility>

#include "gateway/gateway.hpp"
#include "gateway/leaver.hpp"
#include "weft/v1/move.pb.h"

namespace weft {

StreamConnection::StreamConnection(Gateway& gateway, const EndpointSettings& endpoint, StreamWire& wire,
                                   std::unique_ptr<ChannelPositions> positions)
    : Connection(gateway, endpoint, wire), positions_(std::move(positions)) {
    if (positions_) rewrite_frames();
}

void StreamConnection::receive(std::span<char> bytes) {
    // Nothing is expected; what comes is thrown away.
    gateway().counters().bytes_in.add(bytes.size());
    if (tally() != nullptr) tally()->bytes_in += bytes.size();
    heard();
}

bool StreamConnection::describe(v1::Leaver& leaver) const {
    const auto& wire = static_cast<const StreamWire&>(Connection::wire());
    leaver.set_door(wire.kind() == StreamWire::Kind::sse ? v1::Leaver::SSE : v1::Leaver::LINES);
    leaver.set_subprotocol(std::string(wire.codec().subprotocol()));
    leaver.set_several(positions_ != nullptr);
    return true;
}

void StreamConnection::pack(v1::Moved& rest) {
    Connection::pack(rest);
    if (positions_) positions_->append(*rest.mutable_positions());
}

void StreamConnection::unpack(const v1::Moved& rest) {
    Connection::unpack(rest);
    if (positions_) positions_->restore(rest.positions(), kMostSubscriptions);
}

void StreamConnection::probe() {
    push_raw(wire().heartbeat());
    heard();
}

Connection::Phase StreamConnection::say_goodbye(std::uint16_t code, std::string_view why) {
    if (closed_by_peer()) return Phase::aborted;
    std::string bytes;
    wire().append_end(code, why, bytes);
    push_raw(bytes);
    return Phase::finished;
}

/// Each "id: channel=position" becomes where the client stands in all of its channels.
SharedBytes StreamConnection::rewrite(const SharedBytes& frames) {
    constexpr std::string_view kId = "id: ";
    std::string rewritten;
    rewritten.reserve(frames.size() + 256);
    for (std::string_view rest = frames.view(); !rest.empty();) {
        if (rest.starts_with(kId)) {
            const std::size_t line = rest.find('\n');
            if (const auto entry = split_channel_position(rest.substr(kId.size(), line - kId.size()))) {
                positions_->set(entry->channel, entry->position);
            }
            rewritten += kId;
            positions_->append(rewritten);
            rest.remove_prefix(line);
        }
        // No line is empty but the one that ends an event.
        const std::size_t end = rest.find("\n\n");
        const std::size_t size = end == std::string_view::npos ? rest.size() : end + 2;
        rewritten += rest.substr(0, size);
        rest.remove_prefix(size);
    }
    return SharedBytes(rewritten, frames.frames());
}

}  // namespace weft
