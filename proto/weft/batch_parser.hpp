// What both ends of a link read from an arriving batch.
#pragma once

#include <google/protobuf/arena.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "weft/frame_wire.hpp"

namespace weft {

/// Reads one batch after another, and each batch's frames one by one. Publications, what leads to them and what answers
/// them are nearly all of a busy link's frames: they are parsed into the same objects again and again, whose strings
/// have the room they need already. Other frames live in an arena until the next batch.
class BatchParser {
public:
    /// Whether a batch goes on where the one before it ended.
    enum class Sequence {
        next,      // begins with the number that is due
        missing,   // frames before it were lost
        repeated,  // begins with a number that was there already: no honest end does this
    };

    /// False when `bytes` are no batch that an end of a link can have written, but for what stands inside its frames.
    /// `bytes` must live as long as its frames are asked for.
    [[nodiscard]] bool parse(std::string_view bytes);

    [[nodiscard]] std::uint64_t session() const noexcept { return session_; }
    [[nodiscard]] std::uint64_t first() const noexcept { return first_; }
    [[nodiscard]] std::uint64_t ack() const noexcept { return ack_; }
    [[nodiscard]] std::size_t frames() const noexcept { return frames_.size(); }
    /// `received` is the number of the last frame that came before.
    [[nodiscard]] Sequence sequence(std::uint64_t received) const noexcept {
        if (first_ == received + 1) return Sequence::next;
        return first_ > received ? Sequence::missing : Sequence::repeated;
    }

    /// The frame with this index, below frames(); null when its bytes are no frame. Valid until the next frame() or
    /// parse().
    [[nodiscard]] v1::Frame* frame(std::size_t index);

private:
    std::uint64_t session_ = 0;
    std::uint64_t first_ = 0;
    std::uint64_t ack_ = 0;
    std::vector<std::string_view> frames_;  // encoded
    BodyParser<v1::Publish> publish_{&v1::Frame::mutable_publish};
    BodyParser<v1::Published> published_{&v1::Frame::mutable_published};
    BodyParser<v1::Publication> publication_{&v1::Frame::mutable_publication};
    google::protobuf::Arena arena_;
};

}  // namespace weft
