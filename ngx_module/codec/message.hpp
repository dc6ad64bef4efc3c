// What clients and Weft say to each other, as values: the meaning of PROTOCOL, whatever its spelling on the wire.
// All views live as long as what they were decoded from, or what the encoder's caller holds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "weft/codes.hpp"
#include "weft/time.hpp"

namespace weft {

/// JSON text, passed through byte for byte.
using Json = std::string_view;

namespace command {
/// Who the client is: the first message, where the location waits for it.
struct Auth {
    std::string_view token;
};
/// A newer ticket in place of the one that this connection was opened with.
struct Refresh {
    std::string_view token;
};
struct Subscribe {
    std::string_view channel;
    std::optional<std::string_view> position;  // asks to resume
    bool echo = true;                          // false: not one's own publications
};
struct Unsubscribe {
    std::string_view channel;
};
struct Publish {
    std::string_view channel;
    Json data;
    std::string_view message_id;  // empty: none given
};
struct Signal {
    std::string_view channel;
    std::string_view name;
    Json data;  // empty: none
};
struct Rpc {
    std::string_view method;
    Json params;  // empty: none
};
struct History {
    std::string_view channel;
    std::string_view after;   // a position; empty: from the oldest that is kept
    std::uint32_t limit = 0;  // events at most; 0: as many as an answer takes
};
struct Presence {
    std::string_view channel;
    std::string_view after;   // a member's id; empty: from the first
    std::uint32_t limit = 0;  // members at most; 0: as many as an answer takes
};
struct Ping {};
}  // namespace command

struct Command {
    std::string_view id;  // empty: none; at most kMaxId bytes
    std::variant<command::Subscribe, command::Unsubscribe, command::Publish, command::Signal, command::Rpc,
                 command::History, command::Presence, command::Ping, command::Auth, command::Refresh>
        body;
};

inline constexpr std::size_t kMaxId = 64;          // bytes of a command's id and of a message_id
inline constexpr std::size_t kMaxSignalName = 64;  // bytes
inline constexpr std::size_t kMaxMethod = 128;     // bytes
inline constexpr std::size_t kMaxToken = 8192;     // bytes, in auth and refresh
inline constexpr std::size_t kMaxDepth = 64;       // nesting of JSON in one message

/// Who published. No user and client 0: a back end, by HTTP; then frames carry no publisher.
struct Publisher {
    std::string_view user;
    std::uint64_t client_id = 0;  // written as 16 hex digits
    [[nodiscard]] bool known() const noexcept { return client_id != 0; }
};

/// Who is in a channel: one connection, or several in turn of a client that comes back soon.
struct Member {
    std::uint64_t id;         // stays when a connection takes the place of another
    std::uint64_t client_id;  // of the connection
    std::string_view user;    // empty: nobody knows
    Json info;                // of the ticket; empty: left out
};

namespace event {
struct Established {
    std::uint64_t client_id;
    std::string_view user;
    WallTime server_time;
    std::chrono::milliseconds heartbeat;
    std::string_view node;  // empty while the broker is away
    struct Limits {
        std::size_t message_size;          // bytes
        double messages_per_second;        // 0: no limit
        std::uint32_t messages_burst = 0;  // said where there is a limit
        double bytes_per_second = 0;       // 0: no limit
        std::uint32_t subscriptions = 0;
        std::uint32_t pending_rpcs = 0;
    } limits;
    std::optional<WallTime> expires_at = std::nullopt;  // the ticket's end
};
struct Subscribed {
    std::string_view channel;
    std::string_view position;
    bool recovered;  // everything missed is in the replay; false when not resumed
    bool resumed;    // whether it asked
    std::uint32_t replay = 0;
    std::optional<std::uint64_t> members{};  // how many there are, where the client may know
};
struct Unsubscribed {
    std::string_view channel;
    std::optional<Code> code;  // why the server ended it; none: the client did
};
struct Published {
    std::string_view message_id, position;
};  // both empty: the answer to a signal with id
struct Event {
    std::string_view channel;
    Json data;
    std::string_view position, message_id;
    WallTime timestamp;
    Publisher publisher;
};
struct History {
    std::string_view channel;
    std::span<const Event> events;  // their channel is this one
    std::string_view position;      // where one stands behind them
    bool complete;                  // there is nothing behind them
    bool lost;                      // something between `after` and them can't be had any more
};
struct Members {
    std::string_view channel;
    std::span<const Member> members;
    std::uint64_t count;  // of all members
    std::uint64_t users;  // different ones
    bool complete;        // there are none behind these
    bool listed;          // false: of this channel only the count is told
};
struct MemberChange {
    std::string_view channel;
    Member member;
    bool left;            // else it joined
    bool edge;            // its user's first that joined, or last that left
    std::uint64_t count;  // of members, afterwards
};
/// Members may have joined or left without a word.
struct PresenceGap {
    std::string_view channel;
};
struct Signal {
    std::string_view channel, name;
    Json data;  // empty: left out
    Publisher publisher;
};
struct RpcResponse {
    Json result;
};
struct Pong {};
struct Refreshed {
    WallTime expires_at;
};
struct Gap {
    std::string_view channel;
};
struct Reconnect {
    std::chrono::milliseconds after;
    std::string_view reason;
};
struct Error {
    Code code;
    std::string_view message;                  // a sentence for the developer
    std::chrono::milliseconds retry_after{0};  // 0: not said
};
}  // namespace event

struct ServerFrame {
    std::string_view id;  // of the command that this answers; empty: none
    std::variant<event::Established, event::Subscribed, event::Unsubscribed, event::Published, event::Event,
                 event::History, event::Signal, event::RpcResponse, event::Pong, event::Refreshed, event::Gap,
                 event::Reconnect, event::Members, event::MemberChange, event::PresenceGap, event::Error>
        body;
};

}  // namespace weft
