#include "status_families.hpp"

namespace weft {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

void add_hooks(Families& all, const std::vector<NodeStatus::Webhook>& hooks) {
    const auto of = [](const NodeStatus::Webhook& hook) { return Labels{{"hook", std::string(name_of(hook.hook))}}; };
    auto& calls = all.add("hook_calls_total", "Calls of webhooks, by hook and by how they ended", true);
    for (const auto& hook : hooks) {
        for (std::size_t i = 0; i < kCallOutcomes; ++i) {
            Labels labels = of(hook);
            labels.push_back({"outcome", std::string(name_of(static_cast<CallOutcome>(i)))});
            Families::value(calls, hook.counts.calls[i], std::move(labels));
        }
    }
    auto& waiting = all.add("hook_waiting", "Calls that wait to be made");
    for (const auto& hook : hooks) Families::value(waiting, hook.counts.waiting, of(hook));
    auto& running = all.add("hook_running", "Calls under way");
    for (const auto& hook : hooks) Families::value(running, hook.counts.running, of(hook));
    auto& breaker = all.add("hook_breaker", "The circuit breaker: 0 closed, 1 open (no calls are made), 2 trying");
    for (const auto& hook : hooks) Families::value(breaker, static_cast<std::uint64_t>(hook.counts.breaker), of(hook));
    auto& opened = all.add("hook_breaker_opened_total", "Times that the circuit breaker opened", true);
    for (const auto& hook : hooks) Families::value(opened, hook.counts.opened, of(hook));
    auto& latency = all.add("hook_duration_seconds", "From a question to its answer, of calls that were answered");
    for (const auto& hook : hooks) Families::latency(latency, hook.counts.latency, of(hook));
}

}  // namespace

void add_back_ends(Families& all, const NodeStatus& status) {
    if (!status.hooks.empty()) add_hooks(all, status.hooks);
    if (!status.back_ends) return;
    const BackEnds::Counts& counts = *status.back_ends;
    all.gauge("rpc_outstanding", "Calls of clients that wait for a service or a hook", counts.outstanding);
    Families::latency(all.add("rpc_duration_seconds", "From a client's call to its answer, of services and the hook"),
                      counts.rpc);
    all.gauge("held_publications", "Publications that wait for the publish hook, or behind one that does", counts.held);
    all.gauge("held_bytes", "Bytes of those", counts.held_bytes);
    auto& calls = all.add("service_calls_total", "Calls of services, by how they ended", true);
    for (std::size_t i = 0; i < kCallOutcomes; ++i) {
        Families::value(calls, counts.service_calls[i],
                        {{"outcome", std::string(name_of(static_cast<CallOutcome>(i)))}});
    }
    all.counter("service_late_answers_total", "Answers that nobody waited for any more", counts.late);
    all.counter("services_lost_total", "Connections of services that went without a word", counts.services_lost);
    if (counts.services.empty()) return;
    const auto of = [](const BackEnds::Counts::Service& service) { return Labels{{"service", service.name}}; };
    auto& connections = all.add("services", "Connections of a service");
    for (const auto& service : counts.services) Families::value(connections, service.connections, of(service));
    auto& outstanding = all.add("service_outstanding", "Calls that a service has not answered yet");
    for (const auto& service : counts.services) Families::value(outstanding, service.outstanding, of(service));
    auto& capacity = all.add("service_capacity", "Calls that a service takes at once");
    for (const auto& service : counts.services) Families::value(capacity, service.capacity, of(service));
}

}  // namespace weft
