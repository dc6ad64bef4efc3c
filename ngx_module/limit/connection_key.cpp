#include "limit/connection_key.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace weft {

std::optional<ConnectionKey> address_key(std::span<const std::uint8_t> address) noexcept {
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    ConnectionKey key;
    if (address.size() == 16 && std::equal(std::begin(kMapped), std::end(kMapped), address.begin())) {
        address = address.subspan(12);
    }
    if (address.size() == 4) {
        std::copy(address.begin(), address.end(), key.bytes.begin());
        return key;
    }
    if (address.size() != 16) return std::nullopt;
    key.kind = ConnectionKey::Kind::ipv6;
    std::copy_n(address.begin(), 8, key.bytes.begin());
    return key;
}

namespace {

ConnectionKey digest_key(std::string_view text, ConnectionKey::Kind kind) noexcept {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    ConnectionKey key;
    key.kind = kind;
    std::copy_n(digest, key.bytes.size(), key.bytes.begin());
    return key;
}

}  // namespace

std::optional<ConnectionKey> user_key(std::string_view user) noexcept {
    if (user.empty()) return std::nullopt;
    return digest_key(user, ConnectionKey::Kind::user);
}

ConnectionKey channel_key(std::string_view channel) noexcept {
    return digest_key(channel, ConnectionKey::Kind::channel);
}

}  // namespace weft
