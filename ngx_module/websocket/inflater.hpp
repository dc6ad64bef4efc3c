// Decompression of messages, RFC 7692 §7.2.2.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "websocket/extensions.hpp"
#include "websocket/frame_parser.hpp"

struct z_stream_s;  // zlib's

namespace weft::websocket {

/// Decompresses one message after the other. Owns no memory until the first; then 7 KiB, and as much again as its
/// window (docs/compression.md).
class Inflater {
public:
    /// With `takeover` messages may refer back to those before them, of the same peer. `window`: 8 to kMaxWindow.
    explicit Inflater(bool takeover = false, std::uint8_t window = kMaxWindow) noexcept
        : window_(window), takeover_(takeover) {}

    /// The message that `compressed` stands for. The view lies in `storage`, with kPadding readable bytes behind it;
    /// `storage` grows to `max_message` at most (or 4 KiB, and the padding) and keeps its size. Violations: the message
    /// is longer than `max_message` (1009), found as soon as it is; the data isn't DEFLATE's, refers beyond the window,
    /// or ends within a block (1007). After one an inflater with takeover is done for. A final block (§7.2.3.4) may be
    /// followed by others, and may be the last: some peers leave out the empty block behind it. No data at all stands
    /// for the empty message, though §7.2.3.6 has peers send a byte. Throws std::bad_alloc.
    tl::expected<std::string_view, Violation> inflate(std::string_view compressed, std::size_t max_message,
                                                      std::string& storage);

    [[nodiscard]] std::uint8_t window_bits() const noexcept { return window_; }
    /// With takeover: what messages to come may refer back to, for another inflater to go on with.
    [[nodiscard]] std::string window() const;
    /// Goes on where another one was, before the first message. Throws std::bad_alloc.
    void go_on_from(std::string_view window);

private:
    struct End {
        void operator()(z_stream_s* stream) const noexcept;
    };

    void start();

    std::uint8_t window_;
    bool takeover_;
    std::unique_ptr<z_stream_s, End> stream_;
};

}  // namespace weft::websocket
