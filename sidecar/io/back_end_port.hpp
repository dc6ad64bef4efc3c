// Back ends as a node has them: carries between the broker's gate, the services' socket and the webhooks' thread.
#pragma once

#include <poll.h>

#include <memory>

#include "call/back_ends.hpp"
#include "config.hpp"
#include "hook/hook_answers.hpp"
#include "hook/hook_client.hpp"
#include "io/broker_gate.hpp"
#include "io/log.hpp"
#include "io/service_port.hpp"

namespace weft {

/// The thread that calls the webhooks of `config`; null when there are none.
std::unique_ptr<HookClient> make_hook_client(const Config& config, std::uint64_t life);

/// What workers are told of hooks.
void describe_hooks(const Config& config, v1::Welcome& welcome);

class BackEndPort final : private BrokerGate::Filter, private BackEnds::Outbox, private ServicePort::Events {
public:
    /// Whether a configuration has anything for it to do.
    static bool wanted(const Config& config);

    /// Listens for services, if the configuration says so. Throws StartError. `hooks` may be null. All that is given
    /// must outlive this.
    BackEndPort(zmq::context_t& context, const Config& config, HookClient* hooks, BrokerGate& gate, Log& log);
    ~BackEndPort() override;

    /// What is to be waited for.
    void watch(std::vector<pollfd>& items);
    /// Takes what has come. True when more may be waiting.
    bool receive(Instant now);
    [[nodiscard]] bool readable();
    void tick(Instant now);
    /// Tells the services that this node ends.
    void close(Instant now);

    [[nodiscard]] BackEnds::Counts counts() const { return back_ends_.counts(); }

private:
    // BrokerGate::Filter
    void on_worker_up(LinkId link) override { back_ends_.on_worker_up(link); }
    void on_worker_down(LinkId link) override { back_ends_.on_worker_down(link); }
    bool on_frame(LinkId link, const v1::Frame& frame, Instant now) override;
    // BackEnds::Outbox
    void reply(LinkId link, const v1::Frame& frame) override { gate_.reply(link, frame, now_); }
    void pass(LinkId link, const v1::Frame& frame) override { gate_.pass(link, frame, now_); }
    bool knows(const v1::Publish& publish) override { return gate_.knows(publish); }
    std::optional<CallError> call(HookCall call) override;
    void to_service(ServiceId service, const v1::ServiceFrame& frame) override;
    // ServicePort::Events
    void on_service_frame(ServiceId service, const v1::ServiceFrame& frame, Instant now) override;
    void on_service_gone(ServiceId service, Instant now) override;

    BrokerGate& gate_;
    Log& log_;
    HookClient* hooks_;
    HookAnswers answers_;
    std::size_t asker_ = 0;
    std::vector<HookAnswer> taken_;
    BackEnds back_ends_;
    std::unique_ptr<ServicePort> services_;  // none without services.listen
    Instant now_{};                          // of the call that this is in
};

}  // namespace weft
