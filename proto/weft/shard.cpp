#include "weft/shard.hpp"

#include <charconv>

namespace weft {

unsigned shard_of(std::string_view channel, unsigned shards) noexcept {
    if (shards == 1) return 0;
    // FNV-1a, 64 bits, mixed once more as its low bits of short names are poor (the finalizer of MurmurHash3); then the
    // upper half as a fraction of `shards`.
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : channel) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3;
    }
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccd;
    hash ^= hash >> 33;
    return static_cast<unsigned>(((hash >> 32) * shards) >> 32);
}

std::optional<std::string> shard_address(std::string_view address, unsigned shard) {
    if (shard == 0) return std::string(address);
    if (address.starts_with("ipc://")) return std::string(address) + "." + std::to_string(shard);
    const std::size_t colon = address.rfind(':');
    if ((!address.starts_with("tcp://") && !address.starts_with("dns+tcp://")) || colon == address.find(':')) {
        return std::nullopt;
    }
    const std::string_view digits = address.substr(colon + 1);
    unsigned port = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (fault != std::errc() || end != digits.data() + digits.size() || port + shard > 65535) return std::nullopt;
    return std::string(address.substr(0, colon + 1)) + std::to_string(port + shard);
}

}  // namespace weft
