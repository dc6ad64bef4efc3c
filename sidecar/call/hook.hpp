// A webhook: what a back end is asked by HTTP, and what it says.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "weft/codes.hpp"

namespace weft {

enum class Hook : std::uint8_t { rpc, connect, subscribe, publish, disconnect };
inline constexpr std::size_t kHooks = 5;
inline constexpr Hook kAllHooks[kHooks] = {Hook::rpc, Hook::connect, Hook::subscribe, Hook::publish, Hook::disconnect};

/// Its name, in weftd.yaml and as "event" in a body.
constexpr std::string_view name_of(Hook hook) noexcept {
    constexpr std::string_view kNames[kHooks] = {"rpc", "connect", "subscribe", "publish", "disconnect"};
    return kNames[static_cast<std::size_t>(hook)];
}

/// Whether a back end may be asked a second time when it isn't known whether it heard the first: a question alone is
/// harmless to repeat, what may have been carried out isn't.
constexpr bool repeatable(Hook hook) noexcept {
    return hook == Hook::connect || hook == Hook::subscribe;
}

/// What a client is told when something that a back end decides, or does, did not succeed.
struct CallError {
    std::uint16_t code = static_cast<std::uint16_t>(Code::unavailable);  // of the client protocol, or a back end's own
    std::string message;
    std::chrono::milliseconds retry_after{0};  // 0: not said
};

/// How calls end, as metrics count them.
enum class CallOutcome : std::uint8_t {
    allowed,      // or answered with a result
    refused,      // by the back end, in so many words
    failed,       // an answer that is none: a status other than 2xx, no JSON, too large
    timed_out,    // no answer in time
    unreachable,  // no connection, or it broke
    rejected,     // not made: too many wait, or the circuit breaker is open
};
inline constexpr std::size_t kCallOutcomes = 6;
constexpr std::string_view name_of(CallOutcome outcome) noexcept {
    constexpr std::string_view kNames[kCallOutcomes] = {"allowed",   "refused",     "failed",
                                                        "timed_out", "unreachable", "rejected"};
    return kNames[static_cast<std::size_t>(outcome)];
}

/// A call on its way to a back end.
struct HookCall {
    Hook hook = Hook::rpc;
    std::uint64_t id = 0;   // the asker's; comes back in the answer
    std::string body;       // JSON
    std::size_t asker = 0;  // whose it is (HookClient::join)
};

/// What became of a call.
struct HookAnswer {
    Hook hook = Hook::rpc;
    std::uint64_t id = 0;
    CallOutcome outcome = CallOutcome::allowed;
    CallError error;     // unless allowed
    std::string value;   // JSON: the result of an rpc; what to publish instead (empty: what was asked about)
    std::string user;    // connect: who the client is; empty: who it was
    std::string info;    // connect: JSON, for presence; empty: as it was
    std::string grants;  // connect: JSON with "channels" and "rpc", as in a ticket; empty: as they were
    std::string why;     // for the log, when something failed: the client isn't told
    [[nodiscard]] bool allowed() const noexcept { return outcome == CallOutcome::allowed; }
};

}  // namespace weft
