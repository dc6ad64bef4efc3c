#include "broker/recent_ids.hpp"

#include <cstring>
#include <memory>

namespace weft {

// Channel names have no NUL, and the lengths of what follows are told; so no two publishers share a key.
void RecentIds::make_key(std::string_view channel, const v1::Publisher* publisher, std::string_view id) {
    key_.assign(channel);
    key_ += '\0';
    key_ += static_cast<char>(id.size());
    key_ += id;
    if (publisher == nullptr) {
        key_ += 'b';
    } else if (!publisher->user().empty()) {
        key_ += 'u';
        key_ += publisher->user();
    } else {
        const std::uint64_t client = publisher->client_id();
        char bytes[sizeof client];
        std::memcpy(bytes, &client, sizeof client);
        key_ += 'c';
        key_.append(bytes, sizeof bytes);
    }
}

const RecentIds::First* RecentIds::find(std::string_view channel, const v1::Publisher* publisher, std::string_view id) {
    if (order_.empty()) return nullptr;
    make_key(channel, publisher, id);
    const auto known = by_key_.find(key_);
    return known == by_key_.end() ? nullptr : &known->second->first;
}

const RecentIds::First* RecentIds::note(std::string_view channel, const v1::Publisher* publisher, std::string_view id,
                                        First publication, Instant now) {
    make_key(channel, publisher, id);
    if (const auto known = by_key_.find(key_); known != by_key_.end()) {
        const First& first = known->second->first;
        return first.stream == publication.stream && first.number == publication.number ? nullptr : &first;
    }
    auto place = channels_.find(channel);
    if (place == channels_.end()) {
        // The key points into the value, which doesn't move.
        auto made = std::make_unique<Channel>();
        made->name = channel;
        const std::string_view name = made->name;
        place = channels_.try_emplace(name, std::move(made)).first;
        bytes_ += sizeof(Channel) + channel.size();
    }
    Channel& own = *place->second;
    const auto known = order_.insert(order_.end(), Known{key_, publication, now, &own});
    by_key_.emplace(known->key, known);
    own.ids.push_back(known);
    bytes_ += kIdCost + key_.size();
    if (own.ids.size() > kMaxPerChannel) drop_oldest_of(own);
    while (bytes_ > settings_.max_bytes && order_.size() > 1) drop_oldest_of(*order_.front().channel);
    return nullptr;
}

void RecentIds::drop_oldest_of(Channel& channel) {
    const auto oldest = channel.ids.front();
    bytes_ -= kIdCost + oldest->key.size();
    by_key_.erase(oldest->key);
    order_.erase(oldest);
    channel.ids.pop_front();
    if (!channel.ids.empty()) return;
    bytes_ -= sizeof(Channel) + channel.name.size();
    channels_.erase(channels_.find(channel.name));
}

void RecentIds::expire(Instant now) {
    for (std::size_t i = 0; i < kMaxExpiredPerCall && !order_.empty(); ++i) {
        if (now - order_.front().since < settings_.window) return;
        drop_oldest_of(*order_.front().channel);
    }
}

}  // namespace weft
