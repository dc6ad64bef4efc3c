// What a ticket costs the worker that checks it, by algorithm: signature, claims and grants.
#include <benchmark/benchmark.h>

#include <string>

#include "auth/jwks.hpp"
#include "auth/signing_key.hpp"
#include "auth/ticket.hpp"

namespace {

using namespace weft;

void check_ticket(benchmark::State& state, Algorithm algorithm) {
    const SigningKey key = is_hmac(algorithm) ? SigningKey::of_secret(std::string(mac_size(algorithm), 'k'))
                                              : std::move(*SigningKey::generate(algorithm));
    const std::string ticket =
        *sign_ticket(R"({"sub":"alice","iat":1700000000,"exp":1700000060,"jti":"0123456789abcdef0123456789abcdef",)"
                     R"("channels":{"chat:*":["subscribe","publish"],"user:alice":["subscribe"]}})",
                     key, algorithm, "2026-01");
    auto keys = parse_jwks("{\"keys\":[" + jwk_of(key, algorithm, "2026-01") + "]}", {});
    const auto verifier = TicketVerifier::create({}, std::move(*keys));
    const WallTime now{std::chrono::seconds(1'700'000'010)};
    for (auto _ : state) {
        const auto checked = verifier->verify(ticket, now);
        if (!checked) state.SkipWithError("refused");
        benchmark::DoNotOptimize(checked);
    }
}
BENCHMARK_CAPTURE(check_ticket, HS256, Algorithm::hs256);
BENCHMARK_CAPTURE(check_ticket, HS512, Algorithm::hs512);
BENCHMARK_CAPTURE(check_ticket, RS256, Algorithm::rs256);
BENCHMARK_CAPTURE(check_ticket, PS256, Algorithm::ps256);
BENCHMARK_CAPTURE(check_ticket, ES256, Algorithm::es256);
BENCHMARK_CAPTURE(check_ticket, ES384, Algorithm::es384);
BENCHMARK_CAPTURE(check_ticket, EdDSA, Algorithm::eddsa);

}  // namespace
