// All histories of a node: what they may take of memory together, who pays when it is too much, and in which order they
// changed.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string_view>

#include "broker/history.hpp"
#include "broker/repeats.hpp"
#include "weft/time.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

struct Channel;

/// A channel's history, with its places in the archive's lists.
struct ArchivedHistory {
    explicit ArchivedHistory(Retention retention) : log(retention) {}

    History log;
    Channel* channel = nullptr;
    std::size_t counted = 0;   // bytes, in the archive's sum
    std::uint64_t change = 0;  // key in its map of changes
    std::uint8_t size_class = 0;
    std::list<ArchivedHistory*>::iterator in_class{};
    std::list<ArchivedHistory*>::iterator in_rotation{};
    bool ruled = false;                // this host's nginx.conf asks for it, and not only a peer's
    std::unique_ptr<Repeats> repeats;  // null: none
    std::uint64_t pulling = 0;         // peers that are being asked for what is missing here, a bit for each slot
};

class Archive {
public:
    static constexpr std::size_t kTrimmedPerTick = 4096;               // histories looked through for what is too old
    static constexpr std::size_t kPageBytes = std::size_t{64} * 1024;  // of texts in a page; one entry may be larger
    static constexpr std::size_t kPageEntries = 1000;
    static constexpr std::size_t kDigestEntries = 512;

    /// `life` is a random number. Beyond `max_bytes` the oldest entries go of the channel that holds most (to within a
    /// factor of two): so a channel that floods pays itself, and those that hold little keep what they have.
    Archive(std::size_t max_bytes, std::uint64_t life) : max_bytes_(max_bytes), life_(life) {}

    /// Begins a history for the channel, with the streams that its position names.
    ArchivedHistory& open(Channel& channel, Retention retention);
    void close(Channel& channel);  ///< nothing happens when it has none

    /// To be called after each take() and raise(): trims, counts, evicts.
    void changed(ArchivedHistory& history, Instant now);
    /// Drops what is too much or too old, and counts: so never history.log.trim() alone.
    void trim(ArchivedHistory& history, Instant now);
    void on_tick(Instant now);

    /// Puts a publication into the history of its channel.
    static History::Take take(ArchivedHistory& history, const v1::Publication& publication, Instant now);

    /// A page of what lies behind `request.after`, for a worker or a peer. `channel` may be null, or have no history:
    /// then nothing does.
    static void read(const Channel* channel, const Position& after, const v1::ReadHistory& request, bool for_peer,
                     Instant now, v1::HistoryPage& page);
    void digest(const v1::ReadDigest& request, v1::Digest& digest) const;

    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t histories() const noexcept { return changes_.size(); }
    [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_; }

private:
    void count(ArchivedHistory& history);
    void evict();

    std::size_t max_bytes_;
    std::uint64_t life_;
    std::size_t bytes_ = 0;
    std::uint64_t evicted_ = 0;
    std::uint64_t version_ = 0;
    std::map<std::uint64_t, ArchivedHistory*> changes_;    // by when each changed last
    std::list<ArchivedHistory*> rotation_;                 // for on_tick
    std::array<std::list<ArchivedHistory*>, 64> by_size_;  // by the bits of their bytes
};

}  // namespace weft
