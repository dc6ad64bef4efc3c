// One event as one line of the log: key=value for people, JSON for collectors. Whatever the values hold, a line stays a
// line and a field a field: names come from other processes, and a log that they can write into is worth nothing.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config.hpp"

namespace weft {

struct LogField {
    static constexpr std::size_t kMaxValue = 512;  // bytes; what is longer is cut and ends in "..."

    LogField(std::string_view key, std::string_view value) : key(key), value(value) {}
    LogField(std::string_view key, const char* value) : key(key), value(value) {}
    LogField(std::string_view key, const std::string& value) : key(key), value(value) {}
    template <std::integral Number>
    LogField(std::string_view key, Number value) : key(key), value(std::to_string(value)), number(true) {}

    std::string_view key;
    std::string value;
    bool number = false;
};

/// Text: `event=peer_up peer=b endpoint=tcp://10.0.0.2:7400 why="no answer"`; a value is quoted when it is empty or
/// holds anything but printable ASCII other than space, quote, backslash and equals sign. JSON:
/// `"event":"peer_up","peer":"b"`, members without the braces. In both, bytes outside printable ASCII are written as
/// \xNN.
std::string log_line(LogFormat format, std::string_view event, std::span<const LogField> fields);

}  // namespace weft
