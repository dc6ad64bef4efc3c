// Calls webhooks: HTTP POSTs by libcurl, in a thread of its own.
//
// A thread of its own, because what an HTTP client does takes time that a broker's event loop hasn't got: a TLS
// handshake is a millisecond of arithmetic, a back end's answer may be megabytes of JSON to check. The loop's part is a
// lock that is held for a few dozen instructions.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "call/hook_lane.hpp"
#include "hook/hook_answers.hpp"

namespace weft {

class HookClient {
public:
    static constexpr int kMaxTries = 3;  // of a call, where trying again can't do anything twice

    struct Target {
        std::string url;
        std::vector<std::string> headers;  // "Name: value"
        std::string key;                   // of the signature; empty: none
        std::size_t max_answer = 0;        // bytes of a body
        HookLane::Settings lane;
    };
    using Targets = std::array<std::optional<Target>, kHooks>;

    /// `life` is random, of this process: ids of calls begin with it.
    HookClient(Targets targets, std::uint64_t life, std::string software);
    /// Drops what waits and what is under way.
    ~HookClient();
    HookClient(const HookClient&) = delete;
    HookClient& operator=(const HookClient&) = delete;

    /// Somebody who asks; what it calls must say so (HookCall::asker). `answers` must stay until leave().
    std::size_t join(HookAnswers& answers);
    /// Hears nothing any more, and must not call.
    void leave(std::size_t asker);

    /// Has a call made; its answer comes to the asker, whatever happens. Or says at once what its asker is told. From
    /// any thread. The hook must have a target.
    std::optional<CallError> call(HookCall call);

    /// From any thread; none for a hook without a target.
    [[nodiscard]] std::optional<HookLane::Counts> counts(Hook hook) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft
