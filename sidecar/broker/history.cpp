#include "broker/history.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <tuple>

namespace weft {
namespace {

constexpr std::size_t kCompactFrom = 32;  // entries dropped in front before the vector is closed up

auto order(const HistoryEntry& entry) noexcept {
    return std::tuple(entry.timestamp_ms, entry.stream, entry.number);
}

}  // namespace

History::Stream* History::find(StreamId id) noexcept {
    const auto found = std::ranges::find(streams_, id, &Stream::id);
    return found == streams_.end() ? nullptr : &*found;
}

bool History::forgot(StreamId id) const noexcept {
    return std::ranges::find(forgotten_, id) != forgotten_.end();
}

History::Stream& History::add(StreamId id, std::uint64_t number) {
    if (streams_.size() >= kMaxStreams) {
        // Not the first: it is the node's own.
        const auto silent = std::min_element(streams_.begin() + 1, streams_.end(), [](const auto& a, const auto& b) {
            return a.timestamp_ms < b.timestamp_ms;
        });
        const StreamId forgotten = silent->id;
        remove_all_of(forgotten);
        streams_.erase(silent);
        if (forgotten_.size() == kMaxStreams) forgotten_.erase(forgotten_.begin());
        forgotten_.push_back(forgotten);
        marker_ = id;
    }
    return streams_.emplace_back(Stream{id, number, number, 0});
}

History::Take History::take(StreamId id, std::uint64_t number, std::int64_t timestamp_ms, Instant born,
                            std::string_view text) {
    Stream* stream = find(id);
    if (stream == nullptr) {
        if (forgot(id)) return Take::known;
        if (number != 1) return Take::missing;
        stream = &add(id, 0);
    }
    if (number <= stream->top) return Take::known;
    if (number != stream->top + 1) return Take::missing;

    void* const memory = std::malloc(sizeof(HistoryEntry) + text.size());
    if (memory == nullptr) throw std::bad_alloc();
    stream->timestamp_ms = std::max(stream->timestamp_ms, timestamp_ms);
    Held entry(new (memory) HistoryEntry{id, number, stream->timestamp_ms, born, text.size()});
    std::memcpy(static_cast<char*>(memory) + sizeof(HistoryEntry), text.data(), text.size());
    stream->top = number;
    bytes_ += kEntryCost + text.size();

    // Nearly always behind all others.
    auto place = entries_.end();
    if (size() > 0 && order(*entry) < order(*entries_.back())) {
        const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(head_);
        place =
            std::upper_bound(first, place, entry, [](const Held& a, const Held& b) { return order(*a) < order(*b); });
    }
    entries_.insert(place, std::move(entry));
    return Take::taken;
}

bool History::raise(StreamId id, std::uint64_t base) {
    Stream* const stream = find(id);
    if (stream == nullptr) {
        if (forgot(id)) return false;
        add(id, base);
        return base > 0;
    }
    if (base <= stream->top) return false;
    remove_all_of(id);
    stream->base = stream->top = base;
    return true;
}

void History::trim(Instant now) {
    while (size() > retention_.count) drop_oldest();
    while (size() > 0 && now - entries_[head_]->born >= retention_.age) drop_oldest();
}

void History::drop_oldest() {
    const HistoryEntry& oldest = *entries_[head_];
    if (Stream* const stream = find(oldest.stream)) stream->base = std::max(stream->base, oldest.number);
    bytes_ -= kEntryCost + oldest.size;
    entries_[head_].reset();
    ++head_;
    if (head_ == entries_.size()) {
        std::vector<Held>().swap(entries_);
        head_ = 0;
    } else if (head_ >= kCompactFrom && head_ * 2 >= entries_.size()) {
        entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
        head_ = 0;
    }
}

// In one pass: a channel may have a million entries.
void History::remove_all_of(StreamId id) {
    const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(head_);
    const auto rest = std::remove_if(first, entries_.end(), [&](const Held& entry) {
        if (entry->stream != id) return false;
        bytes_ -= kEntryCost + entry->size;
        return true;
    });
    entries_.erase(rest, entries_.end());
}

bool History::gone(StreamId id, std::uint64_t number) const noexcept {
    const auto stream = std::ranges::find(streams_, id, &Stream::id);
    return stream == streams_.end() || number <= stream->base;
}

Position History::position() const {
    Position position;
    for (const Stream& stream : streams_) position.set(stream.id, stream.top);
    return position;
}

Position History::before_newest() const {
    Position before = position();
    if (size() > 0) before.set(entries_.back()->stream, entries_.back()->number - 1);
    return before;
}

History::Start History::start(const Position& after) const {
    Start start;
    for (const Stream& stream : streams_) {
        const std::uint64_t* const known = after.find(stream.id);
        const std::uint64_t number = known != nullptr ? *known : 0;
        start.lost |= number < stream.base;
        start.ahead |= number > stream.top;
        start.position.set(stream.id, std::max(number, stream.base));
    }
    for (const Position::Entry& entry : after.entries()) {
        if (entry.number == 0 || start.position.find(entry.stream) != nullptr) continue;
        start.unknown = start.lost = start.ahead = true;
    }
    if (marker_ != 0 && after.find(marker_) == nullptr) start.lost = true;
    return start;
}

}  // namespace weft
