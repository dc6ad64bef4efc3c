// What workers ask of hooks about clients: whether they may connect, and whether they may subscribe.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "call/back_ends.hpp"

namespace weft {

class Questions {
public:
    static constexpr std::size_t kMax = 65'536;  // unanswered, of all workers

    /// Both must outlive this.
    Questions(const BackEndSettings& settings, BackEnds::Outbox& outbox) : settings_(settings), outbox_(outbox) {}

    void on_may_connect(LinkId link, const v1::MayConnect& question);
    void on_may_subscribe(LinkId link, const v1::MaySubscribe& question);
    void on_disconnected(const v1::Disconnected& disconnected);
    void on_hook_answer(const HookAnswer& answer);
    void on_worker_down(LinkId link);

private:
    struct Pending {
        LinkId link;
        std::uint64_t request;
    };
    void ask(LinkId link, std::uint64_t request, Hook hook, std::string body);
    [[nodiscard]] bool on(Hook hook) const { return settings_.hooks[static_cast<std::size_t>(hook)]; }
    void allow(LinkId link, std::uint64_t request, const HookAnswer& answer);

    const BackEndSettings& settings_;
    BackEnds::Outbox& outbox_;
    std::unordered_map<std::uint64_t, Pending> pending_;
    std::uint64_t last_id_ = 0;
};

}  // namespace weft
