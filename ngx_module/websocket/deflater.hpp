// Compression of messages, RFC 7692 §7.2.1.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "websocket/extensions.hpp"

struct z_stream_s;  // zlib's

namespace weft::websocket {

struct DeflateSettings {
    std::uint8_t level = 4;            // zlib's 1 to 9
    std::uint8_t window = kMaxWindow;  // kMinWindow to kMaxWindow
    std::size_t min_size = 256;        // bytes; shorter messages aren't worth it

    bool operator==(const DeflateSettings&) const = default;
};

/// Compresses one message after the other. Owns no memory until the first; then 9 KiB for a window of 9 up to 262 KiB
/// for one of 15 (docs/compression.md).
class Deflater {
public:
    /// With `takeover` messages refer back to those before them: all that it returned must reach one and the same peer,
    /// in order.
    Deflater(const DeflateSettings& settings, bool takeover) noexcept : settings_(settings), takeover_(takeover) {}

    /// The compressed form, as it goes into frames with RSV1: without the four bytes that each would end with. None
    /// when the message is shorter than min_size or doesn't get smaller, or memory is short; it must go uncompressed
    /// then. The view lies in `storage`, which grows to little more than the message at most and keeps its size.
    std::optional<std::string_view> compress(std::string_view message, std::string& storage);

    /// What was returned last won't reach the peer: the next messages must not refer to it.
    void forget() noexcept;

    [[nodiscard]] const DeflateSettings& settings() const noexcept { return settings_; }

private:
    struct End {
        void operator()(z_stream_s* stream) const noexcept;
    };

    bool start() noexcept;

    DeflateSettings settings_;
    bool takeover_;
    std::unique_ptr<z_stream_s, End> stream_;
};

}  // namespace weft::websocket
