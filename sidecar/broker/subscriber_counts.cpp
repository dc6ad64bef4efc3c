#include "broker/subscriber_counts.hpp"

#include <algorithm>

namespace weft {

void SubscriberCounts::on_worker_down(LinkId worker) {
    const auto place = workers_.find(worker);
    if (place == workers_.end()) return;
    connections_ -= place->second.connections;
    workers_.erase(place);
}

void SubscriberCounts::enter(LinkId worker, Channel& channel) {
    if (!workers_.contains(worker)) return;
    if (channel.subscribers++ == 0) channels_.insert(&channel);
    ++subscriptions_;
}

void SubscriberCounts::leave(LinkId worker, Channel& channel) {
    const auto place = workers_.find(worker);
    if (place == workers_.end()) return;
    std::uint64_t count = 1;
    if (const auto told = place->second.counts.find(&channel); told != place->second.counts.end()) {
        count = told->second;
        place->second.counts.erase(told);
    }
    subscriptions_ -= count;
    if ((channel.subscribers -= count) == 0) channels_.erase(&channel);
}

void SubscriberCounts::set(LinkId worker, Channel& channel, std::uint64_t count) {
    const auto place = workers_.find(worker);
    if (place == workers_.end()) return;
    count = std::max<std::uint64_t>(count, 1);  // it would have left
    std::uint64_t before = 1;
    auto& counts = place->second.counts;
    if (const auto told = counts.find(&channel); told != counts.end()) {
        before = told->second;
        if (count == 1) {
            counts.erase(told);
        } else {
            told->second = count;
        }
    } else if (count != 1) {
        counts.emplace(&channel, count);
    }
    channel.subscribers += count - before;
    subscriptions_ += count - before;
}

void SubscriberCounts::set_connections(LinkId worker, std::uint64_t count) {
    const auto place = workers_.find(worker);
    if (place == workers_.end()) return;
    connections_ += count - place->second.connections;
    place->second.connections = count;
}

void SubscriberCounts::read(const ChannelPattern* pattern, std::string_view after, std::size_t limit,
                            v1::ChannelsPage& page) const {
    // What stands before the first star is the beginning of all names that match.
    std::string_view prefix;
    if (pattern != nullptr) {
        prefix = pattern->text();
        prefix = prefix.substr(0, std::min(prefix.find('*'), prefix.find('{')));
    }
    auto at = after < prefix ? channels_.lower_bound(prefix) : channels_.upper_bound(after);
    std::size_t examined = 0;
    for (; at != channels_.end(); ++at) {
        const Channel& channel = **at;
        if (!channel.name.starts_with(prefix)) return;  // those that do stand together
        if (static_cast<std::size_t>(page.channels_size()) == limit || examined == kMaxExamined) {
            page.set_horizon(std::string((*std::prev(at))->name));
            return;
        }
        ++examined;
        if (pattern != nullptr && !pattern->matches(channel.name)) continue;
        v1::ChannelsPage::Entry& entry = *page.add_channels();
        entry.set_channel(channel.name.data(), channel.name.size());
        entry.set_subscribers(channel.subscribers);
    }
}

}  // namespace weft
