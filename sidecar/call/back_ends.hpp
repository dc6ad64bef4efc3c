// What weftd asks back ends on behalf of clients: rpc calls go to services and webhooks, and hooks decide about
// connections, subscriptions and publications.
//
// It stands between the links of workers and the broker: a frame that a back end has a say in is taken out, and is
// answered, or handed on to the broker, when the back end has spoken. So the broker knows nothing of back ends, and
// without any there is nothing between it and its links. A state machine without clock or socket.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker.hpp"
#include "call/hook.hpp"
#include "call/latency.hpp"
#include "call/services.hpp"
#include "weft/channel.hpp"

namespace weft {

struct BackEndSettings {
    std::string node;
    bool hooks[kHooks] = {};                             // those that are configured
    std::vector<MethodPattern> methods;                  // that the rpc hook is for; empty: all
    std::vector<ChannelPattern> publish_channels;        // that the publish hook is for; empty: all
    std::chrono::milliseconds service_timeout{10'000};   // a service's time to answer
    std::chrono::milliseconds service_heartbeat{1'000};  // between signs of life, both ways
    std::chrono::milliseconds service_dead{5'000};       // of silence, until a service is taken for gone
};

class BackEnds {
public:
    static constexpr std::size_t kMaxCallsPerWorker = 16'384;  // rpc calls unanswered; more get 4017
    static constexpr std::size_t kMaxLine = 64;                // publications of one client to one channel that wait
    static constexpr std::size_t kMaxHeld = 16'384;            // publications that wait, of all clients
    static constexpr std::size_t kMaxHeldBytes = std::size_t{64} << 20;
    static constexpr std::size_t kMaxResult = std::size_t{8} << 20;  // bytes; longer ones are failures

    /// Where things go. Nothing of it calls back.
    class Outbox {
    public:
        virtual ~Outbox() = default;
        /// To a worker.
        virtual void reply(LinkId link, const v1::Frame& frame) = 0;
        /// To the broker, as if it came from the worker just now.
        virtual void pass(LinkId link, const v1::Frame& frame) = 0;
        /// Whether the broker has this publication already.
        virtual bool knows(const v1::Publish& publish) = 0;
        /// Has a webhook called; on_hook_answer() follows. Or says at once what its asker is told.
        virtual std::optional<CallError> call(HookCall call) = 0;
        virtual void to_service(ServiceId service, const v1::ServiceFrame& frame) = 0;
    };

    /// `outbox` must outlive this.
    BackEnds(BackEndSettings settings, Outbox& outbox);
    ~BackEnds();

    void on_worker_up(LinkId link);
    void on_worker_down(LinkId link);
    /// True when a back end has a say in it: the broker is not to see it now.
    bool on_frame(LinkId link, const v1::Frame& frame, Instant now);
    void on_hook_answer(const HookAnswer& answer, Instant now);

    void on_service_frame(ServiceId service, const v1::ServiceFrame& frame, Instant now);
    /// It can't be reached any more.
    void on_service_gone(ServiceId service, Instant now);
    void on_tick(Instant now);  ///< call a few times a second
    /// Tells all services that this node ends.
    void say_goodbye();

    struct Counts {
        std::uint64_t outstanding = 0;    // rpc calls, now
        std::uint64_t held = 0;           // publications that wait for a hook or behind one, now
        std::uint64_t held_bytes = 0;     // of those
        std::uint64_t late = 0;           // answers of services that nobody waited for any more
        std::uint64_t services_lost = 0;  // that went without a word, or with calls outstanding
        std::array<std::uint64_t, kCallOutcomes> service_calls{};
        Latency rpc;  // of all rpc calls that were answered
        struct Service {
            std::string name;
            std::uint64_t connections = 0, outstanding = 0, capacity = 0;
        };
        std::vector<Service> services;  // by name
    };
    [[nodiscard]] Counts counts() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft
