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

std::optional<ConnectionKey> user_key(std::string_view user) noexcept {
    if (user.empty()) return std::nullopt;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(user.data()), user.size(), digest);
    ConnectionKey key;
    key.kind = ConnectionKey::Kind::user;
    std::copy_n(digest, key.bytes.size(), key.bytes.begin());
    return key;
}

}  // namespace weft
