#include "websocket/unmask.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace weft::websocket {
namespace {

// All ones in those bytes of a word that come first in memory.
std::uint64_t first_bytes(std::size_t count) noexcept {
    const std::uint64_t all = ~std::uint64_t{0};
    if (count == 0) return 0;
    const auto rest = 8 * (8 - count);
    return std::endian::native == std::endian::little ? all >> rest : all << rest;
}

std::uint64_t xor_word(char* at, std::uint64_t mask) noexcept {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    word ^= mask;
    std::memcpy(at, &word, sizeof word);
    return word;
}

}  // namespace

bool unmask(char* bytes, std::size_t size, MaskingKey& key) noexcept {
    std::uint64_t mask;
    std::memcpy(&mask, key.data(), 4);
    std::memcpy(reinterpret_cast<char*>(&mask) + 4, key.data(), 4);

    std::uint64_t seen[4] = {};
    std::size_t left = size;
    for (; left >= 32; left -= 32, bytes += 32) {
        std::uint64_t words[4];
        std::memcpy(words, bytes, sizeof words);
        for (int i = 0; i < 4; ++i) {
            words[i] ^= mask;
            seen[i] |= words[i];
        }
        std::memcpy(bytes, words, sizeof words);
    }
    std::uint64_t all = seen[0] | seen[1] | seen[2] | seen[3];
    for (; left >= 8; left -= 8, bytes += 8) all |= xor_word(bytes, mask);
    if (left > 0) {
        const std::uint64_t ours = first_bytes(left);
        all |= xor_word(bytes, mask & ours) & ours;
        std::rotate(key.begin(), key.begin() + left % 4, key.end());
    }
    return (all & 0x8080808080808080) == 0;
}

}  // namespace weft::websocket
