// RFC 6455 frames to a server: masked, final.
#pragma once

#include <string>
#include <string_view>

#include "server_frames.hpp"

namespace weft::bench {

/// Appends one frame. The masking key is the same every time: §5.3 guards proxies against hostile scripts, not
/// measurements against themselves, and a server unmasks all keys alike.
void append_client_frame(std::string& out, Opcode opcode, std::string_view payload);

}  // namespace weft::bench
