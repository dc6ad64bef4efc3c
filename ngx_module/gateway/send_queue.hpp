// What waits to be written to one socket.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "gateway/shared_bytes.hpp"

namespace weft {

/// A queue of shared chunks, each of them whole frames. Empty, or with one chunk, it owns no heap memory of its own:
/// that is the usual case, since a turn's publications to a channel are one chunk.
class SendQueue {
public:
    void push(SharedBytes chunk);

    [[nodiscard]] bool empty() const noexcept { return bytes_ == 0; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    /// The bytes to write next: a view of the first chunk's rest when it is alone, else as much as fits of all chunks,
    /// copied into `scratch` (one copy is far cheaper than a second send()). Valid until the queue changes.
    [[nodiscard]] std::string_view next(char* scratch, std::size_t scratch_size) const noexcept;

    /// Takes the first `count` bytes off, which were written.
    void consume(std::size_t count) noexcept;

    /// Drops everything but the rest of a chunk that is already partly written (the peer is in the middle of its
    /// frames), and the chunks that any of the first `committed` bytes belong to: TLS has sealed those in a record that
    /// is still to be sent.
    void drop_unstarted(std::size_t committed = 0) noexcept;

private:
    SharedBytes first_;  // the chunk in front, partly written up to offset_
    std::size_t offset_ = 0;
    std::size_t bytes_ = 0;          // not yet written, of all chunks
    std::vector<SharedBytes> rest_;  // behind first_, from rest_head_ on
    std::size_t rest_head_ = 0;
};

}  // namespace weft
