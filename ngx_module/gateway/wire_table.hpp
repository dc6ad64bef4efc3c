// The wires of a worker.
#pragma once

#include <memory>
#include <vector>

#include "gateway/wire.hpp"

namespace weft {

/// Holds one wire for each way of speaking that connections agreed to. Wires are never removed: there are Wire::kMax at
/// most, and what a compressing one costs is its deflater (Deflater).
class WireTable {
public:
    /// `counters` must outlive the table.
    explicit WireTable(Counters& counters) : counters_(counters) {}

    /// A new wire without compression; `codec` must outlive the table. To be called for each codec before the first
    /// compressed(), so that there is room for it.
    WebSocketWire& add(Codec& codec) {
        wires_.push_back(std::make_unique<WebSocketWire>(next_index(), codec));
        return *wires_.back();
    }

    /// The wire that says the same as `plain` compressed, made when it is first asked for. Null when the worker has no
    /// room for another: such a connection goes without compression.
    WebSocketWire* compressed(WebSocketWire& plain, const websocket::DeflateSettings& deflate) {
        for (const auto& wire : wires_) {
            if (&wire->codec() == &plain.codec() && wire->deflate() != nullptr && *wire->deflate() == deflate) {
                return wire.get();
            }
        }
        if (wires_.size() == Wire::kMax) return nullptr;
        wires_.push_back(std::make_unique<WebSocketWire>(next_index(), plain.codec(), deflate, counters_));
        return wires_.back().get();
    }

private:
    [[nodiscard]] std::uint8_t next_index() const noexcept { return static_cast<std::uint8_t>(wires_.size()); }

    Counters& counters_;
    std::vector<std::unique_ptr<WebSocketWire>> wires_;
};

}  // namespace weft
