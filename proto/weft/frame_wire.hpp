// Frames as bytes.
//
// Nearly all frames of a busy link are a Publish, Publication or Published. These are written and read here without
// protobuf's general machinery, which took more than a third of what weftd did for a publication; anything unusual
// about one, and every other frame, is left to protobuf. The bytes are the same either way; but fields that only a
// newer version knows, which protobuf would keep, are not written again.
#pragma once

#include <string>
#include <string_view>

#include "weft/v1/link.pb.h"

namespace weft {

/// Replaces what `out` held, in its room if that is enough.
void encode(const v1::Frame& frame, std::string& out);

/// A Frame into which one body after another is parsed, all of the same kind: strings keep their room.
template <typename Body>
class BodyParser {
public:
    /// `body` gives the frame's body, making it if need be.
    explicit BodyParser(Body* (v1::Frame::*body)()) : body_(body) {}

    /// The frame with this body; null when `bytes` are none. Valid until the next parse() or trim().
    [[nodiscard]] v1::Frame* parse(std::string_view bytes);

    /// Gives up the room of a body that was unusually large.
    void trim();

private:
    static constexpr std::size_t kMaxKept = std::size_t{16} * 1024;  // bytes of a body whose room is kept

    Body* (v1::Frame::*body_)();
    v1::Frame frame_;
    bool usual_ = true;  // what is in frame_ has only fields that the next body overwrites
    bool large_ = false;
};

extern template class BodyParser<v1::Publish>;
extern template class BodyParser<v1::Published>;
extern template class BodyParser<v1::Publication>;

}  // namespace weft
