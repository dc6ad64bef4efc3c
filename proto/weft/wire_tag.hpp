// Protobuf's wire format, where bytes are read or written without a message.
#pragma once

#include <google/protobuf/wire_format_lite.h>

#include <cstdint>

namespace weft {

/// What stands before a field's value.
constexpr std::uint32_t wire_tag(int field, google::protobuf::internal::WireFormatLite::WireType type) noexcept {
    return (static_cast<std::uint32_t>(field) << 3) | static_cast<std::uint32_t>(type);
}

constexpr std::uint32_t varint_tag(int field) noexcept {
    return wire_tag(field, google::protobuf::internal::WireFormatLite::WIRETYPE_VARINT);
}
constexpr std::uint32_t fixed64_tag(int field) noexcept {
    return wire_tag(field, google::protobuf::internal::WireFormatLite::WIRETYPE_FIXED64);
}
/// Of bytes, strings and messages.
constexpr std::uint32_t bytes_tag(int field) noexcept {
    return wire_tag(field, google::protobuf::internal::WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

}  // namespace weft
