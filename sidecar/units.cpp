#include "units.hpp"

#include <charconv>

namespace weft {
namespace {

constexpr std::uint64_t kMaxDuration = 365ULL * 24 * 3600 * 1000;  // milliseconds
constexpr std::uint64_t kMaxSize = 1ULL << 50;

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};
constexpr Unit kDurations[] = {{"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
constexpr Unit kSizes[] = {{"g", 1ULL << 30}, {"m", 1ULL << 20}, {"k", 1ULL << 10}, {"", 1}};

/// Splits "64m" into 64 and "m"; false when it doesn't start with a number of 64 bits.
bool split(std::string_view text, std::uint64_t& number, std::string_view& unit) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return false;
    unit = text.substr(static_cast<std::size_t>(end - text.data()));
    return true;
}

template <std::size_t N>
const Unit* find(const Unit (&units)[N], std::string_view name) {
    for (const Unit& unit : units) {
        if (unit.name == name) return &unit;
    }
    return nullptr;
}

template <std::size_t N>
std::string format(const Unit (&units)[N], std::uint64_t value) {
    for (const Unit& unit : units) {
        if (value % unit.factor == 0 && (value != 0 || unit.factor == 1)) {
            return std::to_string(value / unit.factor) + std::string(unit.name);
        }
    }
    return std::to_string(value);
}

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

}  // namespace

tl::expected<std::chrono::milliseconds, std::string> parse_duration(std::string_view text) {
    std::uint64_t number = 0;
    std::string_view name;
    const Unit* unit = split(text, number, name) ? find(kDurations, name) : nullptr;
    if (unit == nullptr) {
        return tl::unexpected(quoted(text) + " is not a duration; expected a number with ms, s, m or h, such as 250ms");
    }
    if (number > kMaxDuration / unit->factor) {
        return tl::unexpected(quoted(text) + " is too long; expected at most a year");
    }
    return std::chrono::milliseconds(static_cast<std::int64_t>(number * unit->factor));
}

tl::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
    std::uint64_t number = 0;
    std::string_view name;
    const Unit* unit = nullptr;
    if (split(text, number, name)) {
        const char lower[] = {name.size() == 1 ? static_cast<char>(name[0] | 0x20) : '\0', '\0'};
        unit = find(kSizes, name.size() == 1 ? std::string_view(lower, 1) : name);
    }
    if (unit == nullptr) {
        return tl::unexpected(quoted(text) + " is not a size; expected bytes, or a number with k, m or g, such as 64m");
    }
    if (number > kMaxSize / unit->factor)
        return tl::unexpected(quoted(text) + " is too large; expected at most 1048576g");
    return number * unit->factor;
}

std::string format_duration(std::chrono::milliseconds value) {
    return format(kDurations, static_cast<std::uint64_t>(value.count()));
}

std::string format_size(std::uint64_t bytes) {
    return format(kSizes, bytes);
}

}  // namespace weft
