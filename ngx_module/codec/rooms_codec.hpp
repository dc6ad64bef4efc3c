// rooms.v1.json: the vocabulary of rooms and chat messages that many small clients and tutorials use, over the same
// channels as weft.v1.json. docs/rooms.md has each frame.
#pragma once

#include <memory>
#include <string>

#include "codec/codec.hpp"
#include "codec/json_codec.hpp"

namespace weft {

class RoomsCodec final : public Codec {
public:
    /// Room "r" is the channel `prefix` + "r". Messages may be nested `max_depth` deep: kMaxDepth or less.
    RoomsCodec(std::string prefix, unsigned max_depth = kMaxDepth);
    ~RoomsCodec() override;
    [[nodiscard]] std::string_view name() const noexcept override { return "rooms"; }
    [[nodiscard]] std::string_view subprotocol() const noexcept override { return "rooms.v1.json"; }
    [[nodiscard]] bool binary() const noexcept override { return false; }
    [[nodiscard]] bool is_json() const noexcept override { return true; }
    tl::expected<Command, CommandError> decode(std::string_view message) override;
    void encode(const ServerFrame& frame, std::string& out) const override;

private:
    struct Parser;
    std::string prefix_;
    std::unique_ptr<Parser> parser_;
    JsonCodec plain_;  // for frames that the vocabulary doesn't have
};

}  // namespace weft
