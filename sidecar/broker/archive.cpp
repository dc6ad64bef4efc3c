#include "broker/archive.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "broker/channel.hpp"
#include "broker/history_rules.hpp"

namespace weft {

ArchivedHistory& Archive::open(Channel& channel, Retention retention) {
    if (channel.history) return *channel.history;
    channel.history = std::make_unique<ArchivedHistory>(retention);
    ArchivedHistory& history = *channel.history;
    history.channel = &channel;
    history.log.raise(channel.stream, channel.number);  // first: that one is never forgotten
    for (const Position::Entry& entry : channel.position.entries()) history.log.raise(entry.stream, entry.number);
    channel.position = history.log.position();
    channel.peer_streams.clear();
    history.change = ++version_;
    changes_.emplace_hint(changes_.end(), history.change, &history);
    history.in_rotation = rotation_.insert(rotation_.end(), &history);
    history.in_class = by_size_[0].insert(by_size_[0].end(), &history);
    return history;
}

void Archive::close(Channel& channel) {
    if (!channel.history) return;
    ArchivedHistory& history = *channel.history;
    bytes_ -= history.counted;
    changes_.erase(history.change);
    rotation_.erase(history.in_rotation);
    by_size_[history.size_class].erase(history.in_class);
    channel.history.reset();
}

void Archive::count(ArchivedHistory& history) {
    if (history.repeats) {
        history.repeats->drop(
            [&](const Repeats::Entry& entry) { return history.log.gone(entry.stream, entry.number); });
        if (history.repeats->size() == 0) history.repeats.reset();
    }
    const std::size_t bytes = history.log.bytes();
    bytes_ += bytes - history.counted;
    history.counted = bytes;
    const auto size_class = static_cast<std::uint8_t>(std::min<std::size_t>(std::bit_width(bytes), 63));
    if (size_class == history.size_class) return;
    by_size_[size_class].splice(by_size_[size_class].end(), by_size_[history.size_class], history.in_class);
    history.size_class = size_class;
}

void Archive::trim(ArchivedHistory& history, Instant now) {
    history.log.trim(now);
    count(history);
}

void Archive::changed(ArchivedHistory& history, Instant now) {
    trim(history, now);
    auto node = changes_.extract(history.change);
    node.key() = history.change = ++version_;
    changes_.insert(changes_.end(), std::move(node));
    history.channel->position = history.log.position();
    if (bytes_ > max_bytes_) evict();
}

void Archive::evict() {
    while (bytes_ > max_bytes_) {
        std::size_t largest = by_size_.size() - 1;
        while (largest > 0 && by_size_[largest].empty()) --largest;
        if (largest == 0) return;
        ArchivedHistory& history = *by_size_[largest].front();
        // It may hold less than was counted, even nothing: raise() can take entries away and nobody calls changed().
        if (history.log.size() > 0) {
            history.log.drop_oldest();
            ++evicted_;
        }
        count(history);
    }
}

void Archive::on_tick(Instant now) {
    const std::size_t most = std::min(kTrimmedPerTick, rotation_.size());
    for (std::size_t i = 0; i < most; ++i) {
        ArchivedHistory& history = *rotation_.front();
        rotation_.splice(rotation_.end(), rotation_, rotation_.begin());
        trim(history, now);
    }
}

History::Take Archive::take(ArchivedHistory& history, const v1::Publication& publication, Instant now) {
    // Kept without what is told apart; the message is put together by hand, so that nothing is copied twice.
    thread_local v1::Publication kept;
    thread_local std::string text;
    kept.set_data(publication.data());
    kept.set_message_id(publication.message_id());
    kept.set_own_id(publication.own_id());
    if (publication.has_publisher()) {
        *kept.mutable_publisher() = publication.publisher();
    } else {
        kept.clear_publisher();
    }
    kept.SerializeToString(&text);
    const Instant born = now - std::chrono::milliseconds(static_cast<std::int64_t>(publication.age_ms()));
    return history.log.take(publication.stream(), publication.number(), publication.timestamp_ms(), born, text);
}

void Archive::read(const Channel* channel, const Position& after, const v1::ReadHistory& request, bool for_peer,
                   Instant now, v1::HistoryPage& page) {
    page.set_request(request.request());
    page.set_channel(request.channel());
    page.set_complete(true);
    if (channel == nullptr || !channel->history) {
        page.set_lost(std::ranges::any_of(after.entries(), [](const auto& entry) { return entry.number > 0; }));
        return;
    }
    const History& log = channel->history->log;
    History::Start start = log.start(after);
    if (request.latest()) start = {log.before_newest()};
    page.set_start(start.position.text());
    page.set_lost(start.lost);
    if (start.ahead) page.set_node(channel->position.text());
    if (for_peer) HistoryRules::write(log.retention(), *page.mutable_retention());
    const std::size_t limit =
        request.limit() == 0 ? kPageEntries : std::min<std::size_t>(request.limit(), kPageEntries);
    // Peers hold whatever there is; readers are given what they don't have.
    const Repeats* const repeats = for_peer ? nullptr : channel->history->repeats.get();
    std::size_t repeated = 0;
    if (repeats != nullptr) {
        Repeats::Filter filter(repeats, after);
        log.read(start.position, [&](const HistoryEntry& entry) {
            repeated += filter.repeats({entry.stream, entry.number}) ? 1 : 0;
            return true;
        });
    }
    Repeats::Filter filter(repeats, after);
    std::size_t bytes = 0;
    const std::size_t remaining = log.read(start.position, [&](const HistoryEntry& entry) {
        v1::Publication& event = *page.add_events();
        if (filter.repeats({entry.stream, entry.number})) {
            event.set_repeat(true);
        } else {
            event.ParseFromArray(entry.text().data(), static_cast<int>(entry.size));
        }
        event.set_timestamp_ms(entry.timestamp_ms);
        event.set_stream(entry.stream);
        event.set_number(entry.number);
        if (for_peer) event.set_age_ms(static_cast<std::uint64_t>((now - entry.born).count()));
        bytes += entry.size;
        return bytes < kPageBytes && static_cast<std::size_t>(page.events_size()) < limit;
    });
    page.set_remaining(remaining - repeated);
    page.set_complete(static_cast<std::size_t>(page.events_size()) == remaining);
}

void Archive::digest(const v1::ReadDigest& request, v1::Digest& digest) const {
    const std::uint64_t since = request.life() == life_ ? request.since() : 0;
    digest.set_life(life_);
    digest.set_version(since);
    digest.set_complete(true);
    for (auto next = changes_.upper_bound(since); next != changes_.end(); ++next) {
        if (static_cast<std::size_t>(digest.entries_size()) == kDigestEntries) {
            digest.set_complete(false);
            return;
        }
        const ArchivedHistory& history = *next->second;
        v1::Digest::Entry& entry = *digest.add_entries();
        entry.set_channel(history.channel->name.data(), history.channel->name.size());
        entry.set_position(history.channel->position.text());
        entry.set_empty(history.log.size() == 0);
        digest.set_version(next->first);
    }
}

}  // namespace weft
