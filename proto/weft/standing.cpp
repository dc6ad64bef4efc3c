#include "weft/standing.hpp"

#include <utility>

namespace weft {

bool Standing::takes(StreamId stream, std::uint64_t number) {
    if (const std::uint64_t* const had = beyond.find(stream)) {
        told.set(stream, *had);
        beyond.erase(stream);
    }
    const std::uint64_t* const known = told.find(stream);
    if (known != nullptr && *known >= number) return false;
    told.set(stream, number);
    return true;
}

void Standing::begin(const Position& after, Position start) {
    told = std::move(start);
    for (const Position::Entry& entry : after.entries()) {
        if (entry.number == 0) continue;
        if (told.find(entry.stream) == nullptr) {
            beyond.set(entry.stream, entry.number);
        } else {
            beyond.erase(entry.stream);
        }
    }
}

}  // namespace weft
