// Tickets: compact JWS (RFC 7515) that say who a client is and what it may do. PROTOCOL, "Credentials".
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "auth/grants.hpp"
#include "auth/key_ring.hpp"
#include "weft/time.hpp"

namespace weft {

inline constexpr std::size_t kMaxTicket = 8192;   // bytes of the compact form
inline constexpr std::size_t kMinKey = 32;        // bytes of an HS256 key, RFC 7518 §3.2
inline constexpr std::size_t kMaxUser = 255;      // bytes of `sub`
inline constexpr std::size_t kMaxTicketId = 255;  // bytes of `jti`
inline constexpr std::size_t kMaxAudiences = 64;  // of `aud`
inline constexpr std::size_t kMaxInfo = 1024;     // bytes of `info`

struct Ticket {
    std::string user;                   // `sub`
    WallTime expires_at;                // `exp`
    std::optional<WallTime> issued_at;  // `iat`
    std::string id;                     // `jti`, may be empty
    Grants grants;                      // `channels` and `rpc`
    KeyId key{};                        // which signed it: `id` is unique among its tickets
    std::string info{};                 // `info`, a JSON object as it stands in the ticket; empty: none
};

/// Why a ticket was refused; `detail` is for the error log and holds nothing of the ticket's or key's bytes, but for a
/// faulty pattern of its grants (signature already checked; at most 64 bytes, made printable). Clients are told the
/// code alone.
struct TicketError {
    enum class Kind { malformed, algorithm, unknown_key, signature, claims, expired, not_yet, too_old } kind;
    std::string detail;
};

struct TicketRules {
    std::chrono::seconds leeway{5};               // for exp, nbf and iat
    std::optional<std::chrono::seconds> max_age;  // since `iat`, which is then required
    std::vector<std::string> issuers;             // `iss` must be one of them, if there are any
    std::vector<std::string> audiences;           // `aud` must have one of them, if there are any
    bool once = false;                            // `jti` is required; that it is new is for UsedTickets to say
};

/// Keys that change while a verifier is in use, such as those of a file that is replaced.
class KeySource {
public:
    virtual ~KeySource() = default;
    /// The keys that take the place of all that came from here before; none when nothing has changed. Asked for each
    /// ticket, so it must mostly cost nothing.
    virtual std::optional<KeyRing> changed(WallTime now) = 0;
};

/// Not for several threads at once.
class TicketVerifier {
public:
    /// `keys` stay; `source` (may be null) is asked at once for keys besides. Errors: rules out of range.
    static tl::expected<TicketVerifier, std::string> create(TicketRules rules, KeyRing keys,
                                                            std::unique_ptr<KeySource> source = nullptr);
    /// With one secret, for HS256. Errors: also a secret of fewer than kMinKey bytes.
    static tl::expected<TicketVerifier, std::string> create(TicketRules rules, std::string_view secret);

    TicketVerifier(TicketVerifier&&) noexcept;
    TicketVerifier& operator=(TicketVerifier&&) noexcept;
    ~TicketVerifier();  // wipes the keys

    /// Signature first (a MAC compared in constant time), then claims. `sub` and `exp` are required. The header must
    /// name an algorithm that one of the keys serves, and may name a key (`kid`); it decides nothing else, so that its
    /// `jwk`, `jku`, `x5u` and `x5c` are ignored, and `crit` is refused, as no extension is supported.
    [[nodiscard]] tl::expected<Ticket, TicketError> verify(std::string_view compact, WallTime now) const;

    [[nodiscard]] const TicketRules& rules() const noexcept;

    /// From when on verify() will refuse a ticket that it took, so that its `jti` need not be remembered any longer.
    [[nodiscard]] WallTime refused_from(const Ticket& ticket) const noexcept;

private:
    struct State;
    explicit TicketVerifier(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// Reads a key file's content: its bytes without one trailing line break; "base64:…" (padded) and "hex:…" are decoded.
/// What is no secret is refused, lest a public key that everybody knows sign tickets: PEM, DER, OpenSSH and JSON.
/// The error is a sentence without any of the key's bytes. The caller wipes content and key (OPENSSL_cleanse).
tl::expected<std::string, std::string> read_key(std::string_view file_content);

/// Signs `claims` (a JSON object's text) as an HS256 ticket. For the demo and tests; SigningKey does more.
tl::expected<std::string, std::string> sign_ticket(std::string_view claims, std::string_view key);

}  // namespace weft
