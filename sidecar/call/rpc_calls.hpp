// The rpc calls of clients that a service or the rpc hook answers.
#pragma once

#include <array>
#include <map>
#include <unordered_map>

#include "call/back_ends.hpp"

namespace weft {

class RpcCalls {
public:
    /// Both must outlive this.
    RpcCalls(const BackEndSettings& settings, BackEnds::Outbox& outbox) : settings_(settings), outbox_(outbox) {}

    /// False when it is the broker's to answer.
    bool on_rpc(LinkId link, const v1::Rpc& rpc, Instant now);
    void on_hook_answer(const HookAnswer& answer, Instant now);
    /// Whoever called from there is gone.
    void on_worker_down(LinkId link);

    void on_service_frame(ServiceId id, const v1::ServiceFrame& frame, Instant now);
    void on_service_gone(ServiceId id, Instant now);
    void on_tick(Instant now);
    void say_goodbye();

    void count(BackEnds::Counts& counts) const;

private:
    struct Pending {
        LinkId link = 0;  // 0: nobody waits any more
        std::uint64_t request = 0;
        Instant since{};
        ServiceId service = 0;  // 0: the hook
    };
    using Table = std::unordered_map<std::uint64_t, Pending>;

    [[nodiscard]] bool hooked(std::string_view method) const;
    void call_service(ServiceId id, std::uint64_t call, const v1::Rpc& rpc, Instant now);
    void answer_register(ServiceId id, const v1::Register& wanted, Instant now);
    void on_answer(ServiceId id, const v1::Answer& answer, Instant now);
    /// The call ends: its caller hears of it, unless that is gone.
    void succeed(const Pending& pending, std::string_view result, Instant now);
    void end(const Pending& pending, const CallError& error, Instant now);
    void forget(Table::iterator place);
    /// Nobody waits for it any more.
    void abandon(Pending& pending);
    void lose(ServiceId id, std::string_view why, Instant now);
    void count_service(CallOutcome outcome) { ++service_calls_[static_cast<std::size_t>(outcome)]; }

    const BackEndSettings& settings_;
    BackEnds::Outbox& outbox_;
    Services services_;
    Table pending_;
    std::unordered_map<LinkId, std::size_t> of_worker_;  // how many of them wait
    // Services' calls by deadline, the same for all. A call that is overdue keeps its place at the service for as long
    // again: a service that hangs isn't given more.
    std::map<std::uint64_t, Instant> due_, overdue_;
    Instant next_heartbeat_{};
    std::uint64_t last_id_ = 0;
    std::uint64_t late_ = 0, lost_ = 0;
    std::array<std::uint64_t, kCallOutcomes> service_calls_{};
    Latency latency_;
};

}  // namespace weft
