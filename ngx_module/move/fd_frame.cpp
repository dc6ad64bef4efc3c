#include "move/fd_frame.hpp"

#include <algorithm>
#include <cstring>

namespace weft {

std::array<char, FdFrame::kHead> FdFrame::head(std::size_t size, bool with_fd) noexcept {
    return {static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
            static_cast<char>(size), static_cast<char>(with_fd)};
}

std::span<char> FdFrameParser::room() {
    const std::size_t left = end_ - begin_;
    // A large message is rare, and its memory isn't kept for the next one.
    if (left == 0 && capacity_ > 4 * kMinRoom) {
        bytes_.reset();
        capacity_ = 0;
    }
    if (begin_ > 0) {
        if (left > 0) std::memmove(bytes_.get(), bytes_.get() + begin_, left);
        begin_ = 0;
        end_ = left;
    }
    if (capacity_ - end_ < kMinRoom) {
        capacity_ = std::max(end_ + kMinRoom, std::min(2 * capacity_, FdFrame::kMaxSize + kMinRoom));
        auto larger = std::make_unique_for_overwrite<char[]>(capacity_);
        if (end_ > 0) std::memcpy(larger.get(), bytes_.get(), end_);
        bytes_ = std::move(larger);
    }
    return {bytes_.get() + end_, capacity_ - end_};
}

tl::expected<std::optional<FdFrame>, std::string> FdFrameParser::next() {
    const std::size_t left = end_ - begin_;
    if (left < FdFrame::kHead) return std::nullopt;
    const char* const head = bytes_.get() + begin_;
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(head[i]);
    if (size > kMaxMessage) {
        return tl::make_unexpected("a message of " + std::to_string(size) + " bytes, expected at most " +
                                   std::to_string(kMaxMessage));
    }
    const auto flag = static_cast<unsigned char>(head[4]);
    if (flag > 1) {
        return tl::make_unexpected("a message whose descriptor flag is " + std::to_string(flag) + ", expected 0 or 1");
    }
    if (left - FdFrame::kHead < size) return std::nullopt;
    begin_ += FdFrame::kHead + size;
    return FdFrame{{head + FdFrame::kHead, size}, flag == 1};
}

}  // namespace weft
