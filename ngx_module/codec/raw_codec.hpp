// weft.v1.raw: for clients that know nothing of frames. What they send is published as it is, and what they get is what
// was published.
#pragma once

#include "codec/json_codec.hpp"

namespace weft {

/// A text is a publication without a channel's name: a JSON string of that text. A publication's data is given as it
/// is, a string as its text. Of the rest only what must not go unsaid is told, as JsonCodec says it: errors, losses and
/// endings.
class RawCodec final : public Codec {
public:
    [[nodiscard]] std::string_view name() const noexcept override { return "raw"; }
    [[nodiscard]] std::string_view subprotocol() const noexcept override { return "weft.v1.raw"; }
    [[nodiscard]] bool binary() const noexcept override { return false; }
    [[nodiscard]] bool tells(const ServerFrame& frame) const noexcept override;
    tl::expected<Command, CommandError> decode(std::string_view message) override;
    void encode(const ServerFrame& frame, std::string& out) const override;

private:
    JsonCodec json_;
    std::string data_;
};

}  // namespace weft
