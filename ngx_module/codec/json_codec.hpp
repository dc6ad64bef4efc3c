// weft.v1.json
#pragma once

#include <memory>

#include "codec/codec.hpp"

namespace weft {

class JsonCodec final : public Codec {
public:
    /// Messages may be nested `max_depth` deep: kMaxDepth or less.
    explicit JsonCodec(unsigned max_depth = kMaxDepth);
    ~JsonCodec() override;
    [[nodiscard]] std::string_view name() const noexcept override { return "json"; }
    [[nodiscard]] std::string_view subprotocol() const noexcept override { return "weft.v1.json"; }
    [[nodiscard]] bool binary() const noexcept override { return false; }
    [[nodiscard]] bool is_json() const noexcept override { return true; }
    tl::expected<Command, CommandError> decode(std::string_view message) override;
    void encode(const ServerFrame& frame, std::string& out) const override;

private:
    struct Parser;
    std::unique_ptr<Parser> parser_;
};

/// Appends `text` as a JSON string, quotes included (RFC 8259 §7; control characters escaped). `text` is UTF-8.
void append_json_string(std::string& out, std::string_view text);

/// Appends RFC 3339 in UTC with milliseconds: 2026-01-31T12:34:56.789Z.
void append_timestamp(std::string& out, WallTime time);

}  // namespace weft
