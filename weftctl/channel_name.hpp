// Channels on the command line.
#pragma once

#include <string>

#include "command.hpp"
#include "weft/channel.hpp"

namespace weft {

/// Throws UsageError when this is no channel's name.
inline void check_channel(const std::string& channel) {
    if (is_channel_name(channel)) return;
    throw UsageError("channel " + channel + ": expected 1 to 255 bytes of A-Z a-z 0-9 _ - . : / @ =");
}

}  // namespace weft
