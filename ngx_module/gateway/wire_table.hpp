// The wires of a worker.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "gateway/stream_wire.hpp"
#include "gateway/wire.hpp"

namespace weft {

/// Holds one wire for each way of speaking that connections agreed to. Wires are never removed: there are Wire::kMax at
/// most, and what a compressing one costs is its deflater (Deflater).
class WireTable {
public:
    static constexpr std::size_t kForStreams = 9;  // wires that compression leaves to streams

    /// One wire without compression for each of `codecs`, which must outlive the table; fewer than Wire::kMax.
    /// `counters` must outlive it, too.
    WireTable(const std::vector<std::unique_ptr<Codec>>& codecs, Counters& counters) : counters_(counters) {
        for (const auto& codec : codecs) {
            wires_.push_back(std::make_unique<WebSocketWire>(next_index(), *codec));
            subprotocols_.push_back(codec->subprotocol());
        }
    }

    /// The subprotocols that can be spoken, in the order of the codecs.
    [[nodiscard]] std::span<const std::string_view> subprotocols() const noexcept { return subprotocols_; }

    /// The wire without compression that speaks one of subprotocols(); the first for anything else.
    [[nodiscard]] WebSocketWire& plain(std::string_view subprotocol) noexcept {
        for (std::size_t i = 0; i < subprotocols_.size(); ++i) {
            if (subprotocols_[i] == subprotocol) return *wires_[i];
        }
        return *wires_.front();
    }

    /// The wire that says the same as `plain` compressed, made when it is first asked for. Null when the worker has no
    /// room for another: such a connection goes without compression.
    WebSocketWire* compressed(WebSocketWire& plain, const websocket::DeflateSettings& deflate) {
        for (const auto& wire : wires_) {
            if (&wire->codec() == &plain.codec() && wire->deflate() != nullptr && *wire->deflate() == deflate) {
                return wire.get();
            }
        }
        if (count() + kForStreams >= Wire::kMax) return nullptr;
        wires_.push_back(std::make_unique<WebSocketWire>(next_index(), plain.codec(), deflate, counters_));
        return wires_.back().get();
    }

    /// The wire of a stream that speaks one of subprotocols(), the first for anything else, made when it is first asked
    /// for. The codec must fit (StreamWire::fits). Null when the worker has no room for another.
    StreamWire* stream(StreamWire::Kind kind, std::string_view subprotocol) {
        Codec& codec = plain(subprotocol).codec();
        for (const auto& wire : streams_) {
            if (wire->kind() == kind && &wire->codec() == &codec) return wire.get();
        }
        if (count() == Wire::kMax) return nullptr;
        streams_.push_back(StreamWire::make(kind, next_index(), codec));
        return streams_.back().get();
    }

private:
    [[nodiscard]] std::size_t count() const noexcept { return wires_.size() + streams_.size(); }
    [[nodiscard]] std::uint8_t next_index() const noexcept { return static_cast<std::uint8_t>(count()); }

    Counters& counters_;
    std::vector<std::unique_ptr<WebSocketWire>> wires_;
    std::vector<std::unique_ptr<StreamWire>> streams_;
    std::vector<std::string_view> subprotocols_;
};

}  // namespace weft
