// The history of one channel at one node: the newest publications of all its streams, in one order that is the same at
// every node.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "weft/position.hpp"
#include "weft/time.hpp"

namespace weft {

/// How much of a channel is kept.
struct Retention {
    std::uint32_t count = 0;  // entries; 0: no history
    std::chrono::milliseconds age{0};
    bool ack = false;  // a publication is acknowledged when a peer has it, too
    bool operator==(const Retention&) const = default;
};

/// One publication that is kept: 40 bytes and its text, in one block.
struct HistoryEntry {
    StreamId stream;
    std::uint64_t number;
    std::int64_t timestamp_ms;  // Unix time of acceptance; within a stream it never goes back
    Instant born;               // by this node's clock, however long it was on its way
    std::size_t size;

    /// An encoded v1::Publication without what is told apart here: channel, position, stream, number, timestamp.
    [[nodiscard]] std::string_view text() const noexcept { return {reinterpret_cast<const char*>(this + 1), size}; }
};

class History {
public:
    /// Streams that one channel may have at a time; half of what a position can name, so that a client's can be merged
    /// with it. Beyond it the one that has been silent for longest is forgotten.
    static constexpr std::size_t kMaxStreams = Position::kMaxStreams / 2;
    /// What an entry is taken to cost beyond its text: header, the allocator's own, a pointer with room to grow.
    static constexpr std::size_t kEntryCost = sizeof(HistoryEntry) + 16 + 16;

    /// What a node knows of a stream: entries from base + 1 to top are here; those up to base can't be had.
    struct Stream {
        StreamId id;
        std::uint64_t base;
        std::uint64_t top;
        std::int64_t timestamp_ms;  // of top, 0 when not known
    };

    enum class Take {
        known,    // was here already
        taken,    // it is the stream's new top
        missing,  // entries before it are: to be asked for
    };

    explicit History(Retention retention) : retention_(retention) {}

    [[nodiscard]] const Retention& retention() const noexcept { return retention_; }
    void retain(Retention retention) noexcept { retention_ = retention; }  ///< trim() afterwards

    /// Puts an entry of a stream behind what is known of it; a stream that is not known begins with number 1.
    /// `timestamp_ms` is raised where it would go back.
    Take take(StreamId stream, std::uint64_t number, std::int64_t timestamp_ms, Instant born, std::string_view text);

    /// Nothing of the stream up to `base` can be had. True when something was missed by that: it stood lower here.
    bool raise(StreamId stream, std::uint64_t base);

    /// Drops what is too much or too old.
    void trim(Instant now);
    /// Drops the oldest entry. There must be one.
    void drop_oldest();

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size() - head_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }  ///< with kEntryCost
    [[nodiscard]] const std::vector<Stream>& streams() const noexcept { return streams_; }
    /// Whether this entry can't be had here any more: it lies at or below its stream's base, or the stream isn't known.
    [[nodiscard]] bool gone(StreamId stream, std::uint64_t number) const noexcept;
    [[nodiscard]] Position position() const;
    /// Where somebody stands who lacks the newest entry alone; position() when there is none.
    [[nodiscard]] Position before_newest() const;

    /// Where somebody at `after` stands: moved past what can't be had. Names the streams known here, and no others.
    struct Start {
        Position position;
        bool lost = false;     // something behind `after` can't be had, or it names what isn't known here
        bool unknown = false;  // it names a stream that isn't known here, and of which there was something
        bool ahead = false;    // it names more than is known here
    };
    [[nodiscard]] Start start(const Position& after) const;

    /// Calls visit(entry) for what lies behind `from` (as Start says), oldest first, until it returns false. Returns
    /// how many lie behind it in all.
    template <class Visit>
    std::size_t read(const Position& from, Visit visit) const {
        std::size_t count = 0;
        bool go_on = true;
        for (std::size_t i = head_; i < entries_.size(); ++i) {
            const HistoryEntry& entry = *entries_[i];
            const std::uint64_t* const known = from.find(entry.stream);
            if (known != nullptr && *known >= entry.number) continue;
            ++count;
            if (go_on) go_on = visit(entry);
        }
        return count;
    }

private:
    struct Free {
        void operator()(HistoryEntry* entry) const noexcept { std::free(entry); }
    };
    using Held = std::unique_ptr<HistoryEntry, Free>;

    Stream* find(StreamId id) noexcept;
    [[nodiscard]] bool forgot(StreamId id) const noexcept;
    Stream& add(StreamId id, std::uint64_t number);
    void remove_all_of(StreamId id);

    Retention retention_;
    std::vector<Stream> streams_;  // in the order in which they were met
    std::vector<Held> entries_;    // from head_ on, by timestamp, stream, number
    std::size_t head_ = 0;
    std::size_t bytes_ = 0;
    StreamId marker_ = 0;              // when a stream was forgotten: the one that was met then
    std::vector<StreamId> forgotten_;  // the last kMaxStreams: peers that still name them bring no news
};

}  // namespace weft
