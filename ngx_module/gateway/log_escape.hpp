// Text of clients in lines of a log, escaped as nginx's access_log does it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

/// log_format's escape=default, json and none.
enum class LogEscape : std::uint8_t {
    standard,  // \xHH for quotes, backslashes, control characters and everything beyond ASCII
    json,      // as JSON strings are written; bytes beyond ASCII stay as they are
    none,
};

/// Appends `text`, escaped, in at most `room` bytes. What doesn't fit is cut off in front of a character: an escape is
/// never cut, nor a character of UTF-8 where it stays as it is.
void append_escaped(std::string& line, std::string_view text, LogEscape escape, std::size_t room);

/// Appends what stands for a value that there isn't: "-", or nothing unless the escape is `standard`.
inline void append_absent(std::string& line, LogEscape escape) {
    if (escape == LogEscape::standard) line += '-';
}

}  // namespace weft
