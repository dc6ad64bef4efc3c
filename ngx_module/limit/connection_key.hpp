// What connections are counted by: where they come from, and whose they are.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace weft {

struct ConnectionKey {
    enum class Kind : std::uint8_t { ipv4, ipv6, user, channel };

    std::array<std::uint8_t, 16> bytes{};
    Kind kind = Kind::ipv4;

    bool operator==(const ConnectionKey&) const = default;
};

/// By an address in network order, 4 bytes or 16. IPv6 counts by its first 64 bits, since whoever has one address has
/// all of its /64 (RFC 4291 §2.5.4, RFC 6177); an IPv4 address inside IPv6 (RFC 4291 §2.5.5.2) is that IPv4 address.
/// None for any other size.
std::optional<ConnectionKey> address_key(std::span<const std::uint8_t> address) noexcept;

/// By a ticket's `sub`, of any length: 128 bits of its SHA-256, so that each key has the same size. None when it is
/// empty.
std::optional<ConnectionKey> user_key(std::string_view user) noexcept;

/// By the channel that they are in, likewise.
ConnectionKey channel_key(std::string_view channel) noexcept;

}  // namespace weft
