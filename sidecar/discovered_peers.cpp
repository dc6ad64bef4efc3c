#include "discovered_peers.hpp"

#include <algorithm>

namespace weft {

void DiscoveredPeers::set_names(std::vector<Endpoint> names) {
    if (std::ranges::equal(names, names_, {}, &Endpoint::text, &Endpoint::text)) return;
    names_ = std::move(names);
    found_.clear();
}

bool DiscoveredPeers::take(std::size_t i, const std::vector<std::string>& addresses, Instant now) {
    bool news = false;
    for (const std::string& address : addresses) {
        const bool v6 = address.find(':') != std::string::npos;
        const std::string endpoint =
            "tcp://" + (v6 ? "[" + address + "]" : address) + ":" + std::to_string(names_[i].port);
        const auto known = std::ranges::find(found_, endpoint, &Found::endpoint);
        if (known != found_.end()) {
            known->seen = now;
        } else if (found_.size() < kMaxPeers) {
            found_.push_back({endpoint, i, now});
            news = true;
        }
    }
    return news;
}

bool DiscoveredPeers::expire(Instant now, const std::function<bool(std::string_view endpoint)>& up) {
    return std::erase_if(found_, [&](const Found& one) { return now - one.seen >= keep_ && !up(one.endpoint); }) > 0;
}

std::vector<std::string> DiscoveredPeers::endpoints() const {
    std::vector<std::string> out;
    for (const Found& one : found_) out.push_back(one.endpoint);
    std::ranges::sort(out);
    return out;
}

}  // namespace weft
