#include "duration.hpp"

#include <charconv>
#include <cstdint>

namespace weft {

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || count == 0) return std::nullopt;
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    std::int64_t seconds = count;
    if (unit == "m") {
        seconds *= 60;
    } else if (unit == "h") {
        seconds *= 3600;
    } else if (unit == "d") {
        seconds *= 86400;
    } else if (!unit.empty() && unit != "s") {
        return std::nullopt;
    }
    constexpr std::int64_t kHundredYears = std::int64_t{86400} * 36525;
    if (seconds > kHundredYears) return std::nullopt;
    return std::chrono::seconds(seconds);
}

}  // namespace weft
