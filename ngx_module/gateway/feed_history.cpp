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
    const auto at = pausing_.insert(pausing_.end(), Apart{&connection, std::string(id), echo});
    try {
        places_.emplace(&connection, at);
    } catch (...) {  // memory is short
        pausing_.erase(at);
        throw;
    }
    return *at;
}

void Aparts::ask(Apart& apart, std::uint64_t request) {
    if (request != 0) requests_.emplace(request, &apart);
    if (apart.request != 0) requests_.erase(apart.request);
    List& before = list_of(apart);
    apart.request = request;
    List& now = list_of(apart);
    if (&now != &before) now.splice(now.end(), before, places_.find(apart.connection)->second);
}

void Aparts::catch_up(Apart& apart) noexcept {
    List& before = list_of(apart);
    apart.caught_up = true;
    caught_up_.splice(caught_up_.end(), before, places_.find(apart.connection)->second);
}

void Aparts::begin_anew() noexcept {
    requests_.clear();
    for_each([](Apart& apart) {
        apart.request = 0;
        apart.caught_up = false;
    });
    pausing_.splice(pausing_.end(), asking_);
    pausing_.splice(pausing_.end(), caught_up_);
}

void Aparts::erase(const Connection& connection) noexcept {
    const auto place = places_.find(&connection);
    if (place == places_.end()) return;
    const List::iterator at = place->second;
    if (at->request != 0) requests_.erase(at->request);
    list_of(*at).erase(at);
    places_.erase(place);
}

}  // namespace weft
