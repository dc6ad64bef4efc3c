// Unmasking of payloads, RFC 6455 §5.3.
#pragma once

#include <array>
#include <cstddef>

namespace weft::websocket {

/// The masking key as it stands in the frame, turned so that its first byte belongs to the next byte of payload.
using MaskingKey = std::array<char, 4>;

/// Unmasks `size` bytes in place and turns `key` on by as many. The 7 bytes behind must be readable and writable; they
/// are left as they were. Returns whether all unmasked bytes are ASCII: the answer costs nothing here, and spares text
/// its own pass through the UTF-8 checker. 32 bytes a round.
bool unmask(char* bytes, std::size_t size, MaskingKey& key) noexcept;

}  // namespace weft::websocket
