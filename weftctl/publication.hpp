// Publications as weftctl prints them.
#pragma once

#include <string>

#include "weft/v1/link.pb.h"

namespace weft {

/// With `json`: one object with what an `event` frame has. Else, separated by tabs: time, position, user ("-": a back
/// end), data.
std::string describe(const v1::Publication& publication, std::string_view channel, bool json);

}  // namespace weft
