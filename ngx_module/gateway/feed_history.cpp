#include "gateway/feed_history.hpp"

namespace weft {

Apart* Aparts::find(const Connection& connection) noexcept {
    const auto place = places_.find(&connection);
    return place == places_.end() ? nullptr : &*place->second;
}

Apart* Aparts::find(std::uint64_t request) noexcept {
    const auto asked = requests_.find(request);
    return asked == requests_.end() ? nullptr : asked->second;
}

Apart& Aparts::add(Connection& connection, std::string_view id, bool echo) {
    const auto at = replaying_.insert(replaying_.end(), Apart{&connection, std::string(id), echo});
    try {
        places_.emplace(&connection, at);
    } catch (...) {  // memory is short
        replaying_.erase(at);
        throw;
    }
    return *at;
}

void Aparts::ask(Apart& apart, std::uint64_t request) {
    if (request != 0) requests_.emplace(request, &apart);
    if (apart.request != 0) requests_.erase(apart.request);
    apart.request = request;
}

void Aparts::stand(Apart& apart) noexcept {
    if (!apart.replaying) return;
    standing_.splice(standing_.end(), replaying_, places_.find(apart.connection)->second);
    apart.replaying = false;
}

void Aparts::begin_anew() noexcept {
    requests_.clear();
    for (Apart& apart : standing_) apart.replaying = true;
    replaying_.splice(replaying_.end(), standing_);
    for (Apart& apart : replaying_) apart.request = 0;
}

void Aparts::erase(const Connection& connection) noexcept {
    const auto place = places_.find(&connection);
    if (place == places_.end()) return;
    const List::iterator at = place->second;
    if (at->request != 0) requests_.erase(at->request);
    (at->replaying ? replaying_ : standing_).erase(at);
    places_.erase(place);
}

}  // namespace weft
