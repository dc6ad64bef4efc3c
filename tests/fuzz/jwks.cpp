// JWK sets, and public keys in PEM: from a file, but what is in it may have come from somebody else's server.
#include "auth/jwks.hpp"

#include <openssl/err.h>

#include <cstdint>
#include <string>

#include "auth/public_key.hpp"
#include "support/require.hpp"

namespace {

void check(const tl::expected<weft::KeyRing, std::string>& ring, weft::AlgorithmSet allowed) {
    REQUIRE(ERR_peek_error() == 0);
    if (!ring) {
        REQUIRE(!ring.error().empty());
        for (char c : ring.error()) REQUIRE(c >= 0x20 && c < 0x7f);
        return;
    }
    REQUIRE(ring->size() > 0 && ring->size() <= weft::kMaxKeys);
    for (weft::Algorithm algorithm : weft::kAlgorithms) {
        REQUIRE(allowed.empty() || allowed.has(algorithm) || !ring->algorithms().has(algorithm));
        weft::KeyRing::Candidates candidates;
        ring->find(algorithm, std::nullopt, candidates);
        ring->find(algorithm, "a", candidates);
        REQUIRE(candidates.count <= candidates.entries.size());
        for (std::size_t i = 0; i < candidates.count; ++i) {
            REQUIRE(candidates.entries[i]->algorithm == algorithm);
            REQUIRE(!candidates.entries[i]->verifier->verify("input", std::string(64, '\0')));
        }
    }
    REQUIRE(ERR_peek_error() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    using weft::Algorithm;
    for (const weft::AlgorithmSet allowed :
         {weft::AlgorithmSet{}, weft::AlgorithmSet{Algorithm::hs256, Algorithm::es256},
          weft::AlgorithmSet{Algorithm::rs256, Algorithm::ps256, Algorithm::eddsa}}) {
        check(weft::parse_jwks(text, allowed), allowed);
        check(weft::parse_jwks("{\"keys\":[" + std::string(text) + "]}", allowed), allowed);
    }
    (void)weft::PublicKey::from_pem(text);
    (void)weft::PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\n" + std::string(text) +
                                    "\n-----END PUBLIC KEY-----\n");
    REQUIRE(ERR_peek_error() == 0);
    return 0;
}
