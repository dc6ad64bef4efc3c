// Protobuf's own log.
#pragma once

namespace weft {

/// Has protobuf say nothing on stderr in this process. It would write a line for each string of a message that isn't
/// UTF-8, which whoever sends messages could fill logs with: nginx's error log, whatever its level, and weftd's.
void silence_protobuf() noexcept;

}  // namespace weft
