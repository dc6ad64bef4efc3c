// Durations as nginx writes them, where whole seconds do: "90", "30s", "10m", "1h", "7d".
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace weft {

/// No value for anything else, for 0, and for more than 100 years.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

}  // namespace weft
