// SipHash-2-4: a hash whose collisions nobody can prepare who doesn't know the key. For tables whose keys clients
// choose.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weft {

using SipKey = std::array<std::uint64_t, 2>;

/// J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", §2. About 20 ns for 17 bytes.
std::uint64_t siphash(const SipKey& key, std::string_view bytes) noexcept;

}  // namespace weft
