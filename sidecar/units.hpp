// Durations and sizes as people write them in weftd.yaml: "250ms", "3s", "64m". The units are nginx's.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weft {

/// A whole number with a unit: ms, s, m or h, at most one year. A number without unit is an error, because it is 1,000
/// times too long or too short whenever the reader guesses wrong. The error is a phrase that ends with what was
/// expected.
tl::expected<std::chrono::milliseconds, std::string> parse_duration(std::string_view text);

/// A whole number of bytes, or with a unit: k, m or g (powers of 1024; upper case likewise), at most 2^50.
tl::expected<std::uint64_t, std::string> parse_size(std::string_view text);

/// The shortest text that parse_duration and parse_size read as the same value.
std::string format_duration(std::chrono::milliseconds value);
std::string format_size(std::uint64_t bytes);

}  // namespace weft
