// The signature algorithms of tickets (RFC 7518 §3.1, RFC 8037 §3.1), and sets of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

enum class Algorithm : std::uint8_t { hs256, hs384, hs512, rs256, ps256, es256, es384, eddsa };

inline constexpr Algorithm kAlgorithms[] = {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512, Algorithm::rs256,
                                            Algorithm::ps256, Algorithm::es256, Algorithm::es384, Algorithm::eddsa};

/// "HS256", as JWS headers have it.
std::string_view name_of(Algorithm algorithm) noexcept;

/// By its exact name. "none" is not among them.
std::optional<Algorithm> parse_algorithm(std::string_view name) noexcept;

/// Whether its key is a secret that both sides have.
constexpr bool is_hmac(Algorithm algorithm) noexcept {
    return algorithm <= Algorithm::hs512;
}

/// The bytes of a MAC, and the least that its secret must have (RFC 7518 §3.2): 32, 48 or 64.
constexpr std::size_t mac_size(Algorithm algorithm) noexcept {
    return algorithm == Algorithm::hs256 ? 32 : algorithm == Algorithm::hs384 ? 48 : 64;
}

class AlgorithmSet {
public:
    constexpr AlgorithmSet() = default;
    constexpr AlgorithmSet(std::initializer_list<Algorithm> algorithms) {
        for (Algorithm algorithm : algorithms) add(algorithm);
    }

    constexpr void add(Algorithm algorithm) noexcept { bits_ |= bit(algorithm); }
    [[nodiscard]] constexpr bool has(Algorithm algorithm) const noexcept { return (bits_ & bit(algorithm)) != 0; }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    [[nodiscard]] constexpr AlgorithmSet operator&(AlgorithmSet other) const noexcept {
        AlgorithmSet both;
        both.bits_ = bits_ & other.bits_;
        return both;
    }
    /// "HS256, RS256"
    [[nodiscard]] std::string names() const;

private:
    static constexpr std::uint8_t bit(Algorithm algorithm) noexcept {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(algorithm));
    }
    std::uint8_t bits_ = 0;
};

inline constexpr AlgorithmSet kHmacAlgorithms{Algorithm::hs256, Algorithm::hs384, Algorithm::hs512};

}  // namespace weft
