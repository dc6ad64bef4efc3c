#include "auth/algorithm.hpp"

namespace weft {

std::string_view name_of(Algorithm algorithm) noexcept {
    switch (algorithm) {
        case Algorithm::hs256: return "HS256";
        case Algorithm::hs384: return "HS384";
        case Algorithm::hs512: return "HS512";
        case Algorithm::rs256: return "RS256";
        case Algorithm::ps256: return "PS256";
        case Algorithm::es256: return "ES256";
        case Algorithm::es384: return "ES384";
        case Algorithm::eddsa: return "EdDSA";
    }
    return {};
}

std::optional<Algorithm> parse_algorithm(std::string_view name) noexcept {
    for (Algorithm algorithm : kAlgorithms) {
        if (name == name_of(algorithm)) return algorithm;
    }
    return std::nullopt;
}

std::string AlgorithmSet::names() const {
    std::string text;
    for (Algorithm algorithm : kAlgorithms) {
        if (!has(algorithm)) continue;
        if (!text.empty()) text += ", ";
        text += name_of(algorithm);
    }
    return text;
}

}  // namespace weft
