// Tickets: compact JWS (RFC 7515) that say who a client is and what it may do. PROTOCOL, "Credentials".
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "auth/grants.hpp"
#include "weft/time.hpp"

namespace weft {

inline constexpr std::size_t kMaxTicket = 8192;   // bytes of the compact form
inline constexpr std::size_t kMinKey = 32;        // bytes of an HS256 key, RFC 7518 §3.2
inline constexpr std::size_t kMaxUser = 255;      // bytes of `sub`
inline constexpr std::size_t kMaxTicketId = 255;  // bytes of `jti`

struct Ticket {
    std::string user;                   // `sub`
    WallTime expires_at;                // `exp`
    std::optional<WallTime> issued_at;  // `iat`
    std::string id;                     // `jti`, may be empty
    Grants grants;                      // `channels` and `rpc`
};

/// Why a ticket was refused; `detail` is for the error log and holds nothing of the ticket's or key's bytes, but for a
/// faulty pattern of its grants (signature already checked; at most 64 bytes, made printable). Clients are told the
/// code alone.
struct TicketError {
    enum class Kind { malformed, algorithm, signature, claims, expired, not_yet, too_old } kind;
    std::string detail;
};

struct TicketRules {
    std::string algorithm = "HS256";              // the only one that is accepted, whatever the ticket says
    std::chrono::seconds leeway{5};               // for exp, nbf and iat
    std::optional<std::chrono::seconds> max_age;  // since `iat`, which is then required
};

/// Not for several threads at once.
class TicketVerifier {
public:
    /// `key` is the secret's bytes. Errors: an algorithm that isn't supported, a key shorter than kMinKey.
    static tl::expected<TicketVerifier, std::string> create(TicketRules rules, std::string_view key);

    TicketVerifier(TicketVerifier&&) noexcept;
    TicketVerifier& operator=(TicketVerifier&&) noexcept;
    ~TicketVerifier();  // wipes the key

    /// Signature first (compared in constant time), then claims. `sub` and `exp` are required.
    [[nodiscard]] tl::expected<Ticket, TicketError> verify(std::string_view compact, WallTime now) const;

private:
    struct Key;
    explicit TicketVerifier(std::unique_ptr<Key> key);
    std::unique_ptr<Key> key_;
};

/// Reads a key file's content: its bytes without one trailing line break; "base64:…" (padded) and "hex:…" are decoded.
/// The error is a sentence without any of the key's bytes. The caller wipes content and key (OPENSSL_cleanse).
tl::expected<std::string, std::string> read_key(std::string_view file_content);

/// Signs `claims` (a JSON object's text) as an HS256 ticket. For weftctl, the demo and tests.
tl::expected<std::string, std::string> sign_ticket(std::string_view claims, std::string_view key);

}  // namespace weft
