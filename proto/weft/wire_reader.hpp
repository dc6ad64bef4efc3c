// Reads a message in protobuf's wire format field by field.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "weft/wire_tag.hpp"

namespace weft {

/// Over bytes that must outlive it. Where they are malformed it says false (a tag of 0), and is of no use from then on;
/// so it does of groups, which nobody has written for long.
class WireReader {
public:
    explicit WireReader(std::string_view bytes) noexcept : at_(bytes.data()), end_(at_ + bytes.size()) {}

    [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }

    /// The next field's, whose value is to be read next. It must not be at the end.
    [[nodiscard]] std::uint32_t tag() noexcept {
        const auto byte = static_cast<unsigned char>(*at_);
        if (byte < 0x80) {
            ++at_;
            return byte;
        }
        std::uint64_t tag = 0;
        return varint(tag) && tag <= UINT32_MAX ? static_cast<std::uint32_t>(tag) : 0;
    }

    [[nodiscard]] bool varint(std::uint64_t& value) noexcept {
        value = 0;
        for (unsigned shift = 0; shift < 64 && at_ != end_; shift += 7) {
            const auto byte = static_cast<unsigned char>(*at_++);
            value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
            if (byte < 0x80) return true;
        }
        return false;
    }

    [[nodiscard]] bool fixed64(std::uint64_t& value) noexcept {
        static_assert(std::endian::native == std::endian::little, "copies what stands there");
        if (left() < sizeof value) return false;
        std::memcpy(&value, at_, sizeof value);
        at_ += sizeof value;
        return true;
    }

    [[nodiscard]] bool bytes(std::string_view& value) noexcept {
        std::uint64_t size = 0;
        if (!varint(size) || size > left()) return false;
        value = {at_, static_cast<std::size_t>(size)};
        at_ += size;
        return true;
    }

    /// The value of a field that isn't known.
    [[nodiscard]] bool skip(std::uint32_t tag) noexcept {
        using Format = google::protobuf::internal::WireFormatLite;
        std::uint64_t number = 0;
        std::string_view value;
        if (Format::GetTagFieldNumber(tag) == 0) return false;
        switch (Format::GetTagWireType(tag)) {
            case Format::WIRETYPE_VARINT: return varint(number);
            case Format::WIRETYPE_FIXED64: return fixed64(number);
            case Format::WIRETYPE_LENGTH_DELIMITED: return bytes(value);
            case Format::WIRETYPE_FIXED32:
                if (left() < sizeof(std::uint32_t)) return false;
                at_ += sizeof(std::uint32_t);
                return true;
            default: return false;
        }
    }

private:
    [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

    const char* at_;
    const char* end_;
};

}  // namespace weft
