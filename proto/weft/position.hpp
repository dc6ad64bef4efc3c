// The position of a channel: the highest number seen of each of its streams.
//
// A stream is what one node published to one channel in one life of that channel at that node; its entries are numbered
// 1, 2, 3, …. Clients keep positions as opaque strings and hand them back, to any node.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace weft {

using StreamId = std::uint64_t;  // random, never 0

/// "k3f-129": an entry of a stream, with this between the two (stream and number in lower-case base 36, decimal).
void append_entry(std::string& out, StreamId stream, char between, std::uint64_t number);

class Position {
public:
    struct Entry {
        StreamId stream;
        std::uint64_t number;
        bool operator==(const Entry&) const = default;
    };

    static constexpr std::size_t kMaxStreams = 64;  // of one position
    static constexpr std::size_t kMaxText = 2240;   // bytes of its text form: 13 and 20 digits, "." and "_" a stream

    Position() = default;

    /// Reads "k3f.129_b77.12" (stream and number in lower-case base 36, decimal). The empty string is the empty
    /// position. The error is a sentence; it comes for anything that text() can't have written, for more than
    /// kMaxStreams streams, for a stream named twice, and for numbers beyond 64 bits.
    static tl::expected<Position, std::string> parse(std::string_view text);

    /// The text form; streams in ascending order, so equal positions have equal texts.
    [[nodiscard]] std::string text() const;
    /// Replaces what `out` held, in its room if that is enough.
    void text(std::string& out) const;

    /// The highest number known of `stream`; no value when the stream is unknown (which differs from 0: a stream of
    /// which nothing has been published yet).
    [[nodiscard]] const std::uint64_t* find(StreamId stream) const noexcept;

    /// Sets the number of `stream`, adding the stream if need be. False, and nothing changed, at kMaxStreams and for
    /// stream 0.
    bool set(StreamId stream, std::uint64_t number);
    void erase(StreamId stream);

    /// Whether somebody at this position lacks nothing of what somebody at `other` has, and comes from nowhere that
    /// `other` doesn't know: both name the same streams, and each number here is at least the other's.
    [[nodiscard]] bool covers(const Position& other) const noexcept;

    /// Whether somebody here has all that somebody at `other` has: of each stream of which `other` has anything, at
    /// least as much.
    [[nodiscard]] bool includes(const Position& other) const noexcept;

    /// Takes over what `other` has more. Streams for which there is no room are left out, and false is returned.
    bool merge(const Position& other);

    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

    bool operator==(const Position&) const = default;

private:
    std::vector<Entry> entries_;  // ascending by stream
};

}  // namespace weft
