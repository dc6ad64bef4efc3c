// weft.v1.protobuf: proto/weft/v1/client.proto, with the meaning of weft.v1.json.
#pragma once

#include <memory>

#include "codec/codec.hpp"

namespace weft {

class ProtobufCodec final : public Codec {
public:
    /// The JSON in messages may be nested `max_depth` deep: kMaxDepth or less.
    explicit ProtobufCodec(unsigned max_depth = kMaxDepth);
    ~ProtobufCodec() override;
    [[nodiscard]] std::string_view name() const noexcept override { return "protobuf"; }
    [[nodiscard]] std::string_view subprotocol() const noexcept override { return "weft.v1.protobuf"; }
    [[nodiscard]] bool binary() const noexcept override { return true; }
    tl::expected<Command, CommandError> decode(std::string_view message) override;
    void encode(const ServerFrame& frame, std::string& out) const override;

private:
    struct Frames;
    unsigned max_depth_;
    std::unique_ptr<Frames> frames_;  // kept so that their strings are allocated once
};

}  // namespace weft
