// What waits to be written to one socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "gateway/shared_bytes.hpp"

namespace weft {

/// Whose publications a chunk carries, so that it can be given up for a reader that doesn't keep up. None: it is an
/// answer or a notice, and stays.
class ChunkTag {
public:
    ChunkTag() = default;
    /// Publications of the feed with this id.
    static ChunkTag publications(std::uint32_t feed) noexcept { return ChunkTag(feed << 1); }
    /// The notice that publications of this feed were given up.
    static ChunkTag gap(std::uint32_t feed) noexcept { return ChunkTag(feed << 1 | 1); }

    [[nodiscard]] bool is_publications() const noexcept { return bits_ != 0 && (bits_ & 1) == 0; }
    [[nodiscard]] bool is_gap() const noexcept { return (bits_ & 1) != 0; }
    [[nodiscard]] std::uint32_t feed() const noexcept { return bits_ >> 1; }
    bool operator==(const ChunkTag&) const = default;

private:
    explicit ChunkTag(std::uint32_t bits) noexcept : bits_(bits) {}
    std::uint32_t bits_ = 0;
};

/// A queue of shared chunks, each of them whole frames. Empty, or with one chunk, it owns no heap memory of its own:
/// that is the usual case, since a turn's publications to a channel are one chunk. 32 bytes, since every idle
/// connection has one.
class SendQueue {
public:
    SendQueue() = default;
    SendQueue(const SendQueue&) = delete;
    SendQueue& operator=(const SendQueue&) = delete;
    ~SendQueue() { clear_rest(); }

    void push(SharedBytes chunk, ChunkTag tag = {});
    /// Puts in front of all others what is left of chunks that were partly written elsewhere.
    void push_started(std::string_view bytes);

    [[nodiscard]] bool empty() const noexcept { return bytes_ == 0; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    /// The bytes to write next: a view of the first chunk's rest when it is alone, else as much as fits of all chunks,
    /// copied into `scratch` (one copy is far cheaper than a second send()). Valid until the queue changes.
    [[nodiscard]] std::string_view next(char* scratch, std::size_t scratch_size) const noexcept;

    /// Takes the first `count` bytes off, which were written.
    void consume(std::size_t count) noexcept;

    class Rewriting {
    public:
        virtual ~Rewriting() = default;
        /// What is written in the place of a chunk; not empty.
        virtual SharedBytes rewrite(const SharedBytes& chunk) = 0;
    };
    /// Rewrites chunks from the front, behind the first `done` bytes, which are rewritten already, until `enough` bytes
    /// are or nothing is left. Returns how many are then. They are to be committed in what follows.
    std::size_t rewrite(std::size_t done, std::size_t enough, Rewriting& rewriting);

    // In what follows the rest of a chunk that is already partly written stays (the peer is in the middle of its
    // frames), and so do the chunks that any of the first `committed` bytes belong to: TLS has sealed those in a record
    // that is still to be sent.

    /// Drops everything else.
    void drop_unstarted(std::size_t committed = 0) noexcept;

    /// Drops the chunks with this tag; returns how many frames they were.
    std::uint32_t drop(ChunkTag tag, std::size_t committed) noexcept;

    class Shedding {
    public:
        virtual ~Shedding() = default;
        /// Whether this chunk of publications may be dropped.
        virtual bool may_drop(std::uint32_t feed) = 0;
        /// What tells the client that publications of this feed were dropped; empty when nothing need be told.
        virtual SharedBytes gap(std::uint32_t feed) = 0;
    };
    /// Drops publications, the oldest first, until at most `target` bytes wait or none is left that may be dropped. A
    /// gap notice takes the place of the first that is dropped of each feed, unless one stands there already. Returns
    /// how many frames were dropped.
    std::uint32_t shed(std::size_t target, std::size_t committed, Shedding& shedding);

private:
    struct Chunk {
        SharedBytes bytes;
        ChunkTag tag;
    };
    struct Rest {
        std::vector<Chunk> chunks;  // from `head` on
        std::uint32_t head = 0;
        std::uint32_t counted = 0;  // of the capacity, in SendMemory

        [[nodiscard]] bool empty() const noexcept { return head == chunks.size(); }
        void count() noexcept;
    };
    static std::vector<std::unique_ptr<Rest>>& spares() noexcept;

    /// The index in rest_->chunks from which on chunks may be dropped; whether first_ may is told apart.
    [[nodiscard]] std::size_t first_droppable(std::size_t committed) const noexcept;
    [[nodiscard]] bool first_started(std::size_t committed) const noexcept { return offset_ > 0 || committed > 0; }
    void clear_rest() noexcept;
    void refill_first() noexcept;

    SharedBytes first_;  // the chunk in front, partly written up to offset_
    ChunkTag first_tag_;
    std::uint32_t offset_ = 0;
    std::size_t bytes_ = 0;       // not yet written, of all chunks
    std::unique_ptr<Rest> rest_;  // behind first_; never empty
};
static_assert(sizeof(SendQueue) == 32);

}  // namespace weft
