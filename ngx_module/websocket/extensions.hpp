// Negotiation of permessage-deflate, RFC 7692 §5 and §7.1: from the client's Sec-WebSocket-Extensions to ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft::websocket {

inline constexpr std::uint8_t kMinWindow = 9;   // base-2 logarithms of LZ77 windows, in bytes
inline constexpr std::uint8_t kMaxWindow = 15;  // RFC 1951

/// What a server agrees to at most. "Takeover" is the RFC's "context takeover": a message may refer back to those
/// before it, which costs both ends a context that lives as long as the connection.
struct DeflatePolicy {
    std::uint8_t server_window = kMaxWindow;
    std::uint8_t client_window = kMaxWindow;  // of contexts that outlive a message; asked of other clients as well
    bool server_takeover = false;
    bool client_takeover = false;
};

/// What holds on one connection.
struct DeflateParameters {
    std::uint8_t server_window = kMaxWindow;  // kMinWindow to kMaxWindow
    std::uint8_t client_window = kMaxWindow;  // 8 to kMaxWindow
    bool server_takeover = false;
    bool client_takeover = false;

    bool operator==(const DeflateParameters&) const = default;
};

/// The first of the client's offers that can be accepted under `policy`; none when there is none: the connection then
/// goes without compression, it never fails for it. `extensions` is the value of Sec-WebSocket-Extensions, several
/// fields joined with ", ". Offers of other extensions are passed over; so are those of permessage-deflate that have an
/// unknown, repeated or invalid parameter (§7.1: they must be declined) or break the grammar (RFC 6455 §9.1), and those
/// that ask for a server_max_window_bits of 8: zlib has no raw deflate for so small a window.
///
/// A client that can't be held to `policy.client_window`, for lack of client_max_window_bits in its offer, gets no
/// context of its own: what a connection may cost stays as the operator said.
///
/// `answer` becomes what to answer in Sec-WebSocket-Extensions when something was agreed.
std::optional<DeflateParameters> negotiate_deflate(std::string_view extensions, const DeflatePolicy& policy,
                                                   std::string& answer);

}  // namespace weft::websocket
