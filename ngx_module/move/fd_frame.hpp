// How messages stand in the stream of an FdChannel.
//
//     4 bytes   length of the payload, big endian, at most kMaxMessage
//     1 byte    1 if a descriptor comes with it, 0 if none does
//     payload
//
// The descriptor itself is control data, sent along with the first byte of its message's frame.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weft {

inline constexpr std::size_t kMaxMessage = std::size_t{8} << 20;  // bytes of payload

/// A frame: its head, and what it says.
struct FdFrame {
    static constexpr std::size_t kHead = 5;  // bytes
    static constexpr std::size_t kMaxSize = kHead + kMaxMessage;

    std::string_view payload;
    bool with_fd = false;

    /// The bytes before a payload of `size` bytes, of which there are at most kMaxMessage.
    static std::array<char, kHead> head(std::size_t size, bool with_fd) noexcept;
};

/// Finds the frames in what a peer sent, however it was cut. It owns the memory that is read into, so that nothing is
/// copied on the way but the part of a frame that is left over behind others.
class FdFrameParser {
public:
    static constexpr std::size_t kMinRoom = std::size_t{64} << 10;  // bytes

    /// Where the next bytes are to be put: kMinRoom bytes or more. Frames that next() gave end here. next() must have
    /// said before that no whole frame is left, or there is no bound: so it has kMaxSize + kMinRoom bytes at the most,
    /// and it grows by what has come rather than by what a head announces.
    std::span<char> room();

    /// So many bytes have been put there.
    void filled(std::size_t bytes) noexcept { end_ += bytes; }

    /// The next frame, or none before more bytes come. An error when the bytes are no frames; it stays one.
    tl::expected<std::optional<FdFrame>, std::string> next();

    /// Whether no part of a frame is waiting for its rest.
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

private:
    std::unique_ptr<char[]> bytes_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;  // of what next() hasn't given yet
    std::size_t end_ = 0;
};

}  // namespace weft
