// Server-sent events (HTML Standard, "Server-sent events"), walked through in the receive buffer.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace weft::bench {

/// Calls `on_data` with the rest of each line that begins with "data: ", as the servers under test write an event's
/// data on one. Other lines are fields, comments, and the sizes of chunks (RFC 9112 §7.1) where a server sends chunks,
/// which are whole events. Returns how many bytes were lines. `go_on()` is asked before each.
template <class OnData, class GoOn>
std::size_t read_events(std::span<const char> bytes, OnData on_data, GoOn go_on) {
    constexpr std::string_view kData = "data: ";
    const std::string_view text(bytes.data(), bytes.size());
    std::size_t used = 0;
    while (go_on()) {
        const std::size_t end = text.find('\n', used);
        if (end == std::string_view::npos) break;
        const std::string_view line = text.substr(used, end - used);
        if (line.starts_with(kData)) on_data(bytes.subspan(used + kData.size(), line.size() - kData.size()));
        used = end + 1;
    }
    return used;
}

}  // namespace weft::bench
