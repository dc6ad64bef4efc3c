#include "call/rpc_calls.hpp"

#include <algorithm>
#include <utility>

#include "call/failed_frame.hpp"
#include "call/hook_body.hpp"

namespace weft {

bool RpcCalls::hooked(std::string_view method) const {
    if (!settings_.hooks[static_cast<std::size_t>(Hook::rpc)]) return false;
    return settings_.methods.empty() ||
           std::ranges::any_of(settings_.methods, [&](const MethodPattern& one) { return one.matches(method); });
}

bool RpcCalls::on_rpc(LinkId link, const v1::Rpc& rpc, Instant now) {
    if (rpc.method().starts_with("weft.")) return false;
    const Services::Choice choice = services_.choose(rpc.method());
    if (!choice.known && !hooked(rpc.method())) return false;
    std::size_t& waiting = of_worker_[link];
    if (waiting >= BackEnds::kMaxCallsPerWorker) {
        outbox_.reply(link, failed_frame(rpc.request(), unavailable("too many calls wait for an answer, try again")));
        return true;
    }
    if (choice.known && choice.id == 0) {
        count_service(CallOutcome::rejected);
        outbox_.reply(
            link, failed_frame(rpc.request(), unavailable("all services that answer this method are busy, try again")));
        return true;
    }
    const std::uint64_t id = ++last_id_;
    if (choice.known) {
        call_service(choice.id, id, rpc, now);
    } else if (auto error = outbox_.call({Hook::rpc, id, rpc_body(rpc, settings_.node)})) {
        outbox_.reply(link, failed_frame(rpc.request(), *error));
        return true;
    }
    pending_.try_emplace(id, Pending{link, rpc.request(), now, choice.id});
    ++waiting;
    return true;
}

void RpcCalls::call_service(ServiceId id, std::uint64_t call, const v1::Rpc& rpc, Instant now) {
    Services::Service& service = *services_.find(id);
    ++service.outstanding;
    ++service.calls;
    due_.emplace_hint(due_.end(), call, now + settings_.service_timeout);
    v1::ServiceFrame frame;
    v1::Call& out = *frame.mutable_call();
    out.set_id(call);
    out.set_method(rpc.method());
    out.set_params(rpc.params());
    out.set_user(rpc.caller().user());
    if (rpc.caller().client_id() != 0) out.set_client_id(client_id_text(rpc.caller().client_id()));
    out.set_timeout_ms(static_cast<std::uint32_t>(settings_.service_timeout.count()));
    outbox_.to_service(id, frame);
}

void RpcCalls::on_hook_answer(const HookAnswer& answer, Instant now) {
    const auto place = pending_.find(answer.id);
    if (place == pending_.end()) return;
    if (answer.allowed()) {
        succeed(place->second, answer.value, now);
    } else {
        end(place->second, answer.error, now);
    }
    forget(place);
}

void RpcCalls::on_worker_down(LinkId link) {
    of_worker_.erase(link);
    for (auto& [id, pending] : pending_) {
        if (pending.link == link) pending.link = 0;
    }
}

// --- services -----------------------------------------------------------------------------------------------------

void RpcCalls::answer_register(ServiceId id, const v1::Register& wanted, Instant now) {
    v1::ServiceFrame frame;
    if (const auto added = services_.add(id, wanted, now); !added) {
        frame.mutable_rejected()->set_message(added.error());
    } else {
        v1::Registered& out = *frame.mutable_registered();
        out.set_node(settings_.node);
        out.set_heartbeat_ms(static_cast<std::uint32_t>(settings_.service_heartbeat.count()));
        out.set_dead_ms(static_cast<std::uint32_t>(settings_.service_dead.count()));
    }
    outbox_.to_service(id, frame);
}

void RpcCalls::on_service_frame(ServiceId id, const v1::ServiceFrame& frame, Instant now) {
    if (frame.has_register_()) return answer_register(id, frame.register_(), now);
    Services::Service* const service = services_.find(id);
    if (service == nullptr) {  // it was taken for gone, or this node is new
        v1::ServiceFrame unknown;
        unknown.mutable_goodbye();
        return outbox_.to_service(id, unknown);
    }
    service->heard = now;
    if (frame.has_answer()) return on_answer(id, frame.answer(), now);
    if (!frame.has_goodbye()) return;
    service->leaving = true;
    if (service->outstanding == 0) services_.remove(id);
}

void RpcCalls::on_answer(ServiceId id, const v1::Answer& answer, Instant now) {
    const auto place = pending_.find(answer.id());
    if (place == pending_.end() || place->second.service != id) return void(++late_);
    const Pending pending = place->second;
    forget(place);
    if (pending.link == 0) ++late_;
    if (answer.has_error()) {
        count_service(CallOutcome::refused);
        const v1::Answer::Error& said = answer.error();
        const bool valid = said.code() >= kMinCode && said.code() <= kMaxCode;
        end(pending,
            {valid ? static_cast<std::uint16_t>(said.code()) : static_cast<std::uint16_t>(Code::unknown_error),
             std::string(cut_utf8(said.message(), kMaxErrorMessage)), std::chrono::milliseconds(said.retry_after_ms())},
            now);
    } else if (answer.result().size() > BackEnds::kMaxResult || !is_json(answer.result())) {
        count_service(CallOutcome::failed);
        end(pending, unavailable("the service's result is too long, or no JSON"), now);
    } else {
        count_service(CallOutcome::allowed);
        succeed(pending, answer.result(), now);
    }
}

void RpcCalls::on_service_gone(ServiceId id, Instant now) {
    lose(id, "the service that was to answer is gone; the call may have been carried out", now);
}

void RpcCalls::lose(ServiceId id, std::string_view why, Instant now) {
    const Services::Service* const service = services_.find(id);
    if (service == nullptr) return;
    ++lost_;
    for (auto place = pending_.begin(); place != pending_.end();) {
        const auto one = place++;
        if (one->second.service != id) continue;
        const Pending pending = one->second;
        forget(one);
        // Whether it was carried out nobody knows, so no other service gets it.
        count_service(CallOutcome::unreachable);
        end(pending, unavailable(std::string(why)), now);
    }
    services_.remove(id);
}

void RpcCalls::on_tick(Instant now) {
    while (!due_.empty() && due_.begin()->second <= now) {
        const auto place = pending_.find(due_.begin()->first);
        due_.erase(due_.begin());
        count_service(CallOutcome::timed_out);
        end(place->second, {static_cast<std::uint16_t>(Code::timeout), "the service didn't answer in time", {}}, now);
        abandon(place->second);
        overdue_.emplace_hint(overdue_.end(), place->first, now + settings_.service_timeout);
    }
    while (!overdue_.empty() && overdue_.begin()->second <= now) forget(pending_.find(overdue_.begin()->first));
    if (services_.empty()) return;
    std::vector<ServiceId> silent;
    for (const auto& [id, service] : services_.all()) {
        if (now - service.heard > settings_.service_dead) silent.push_back(id);
    }
    for (const ServiceId id : silent) {
        lose(id, "the service that was to answer fell silent; the call may have been carried out", now);
    }
    if (now < next_heartbeat_) return;
    next_heartbeat_ = now + settings_.service_heartbeat;
    v1::ServiceFrame heartbeat;
    heartbeat.mutable_heartbeat();
    std::vector<ServiceId> all;  // sending may find that one is gone
    for (const auto& [id, service] : services_.all()) all.push_back(id);
    for (const ServiceId id : all) outbox_.to_service(id, heartbeat);
}

void RpcCalls::say_goodbye() {
    v1::ServiceFrame frame;
    frame.mutable_goodbye();
    for (const auto& [id, service] : services_.all()) outbox_.to_service(id, frame);
}

// --- the ends of calls --------------------------------------------------------------------------------------------

void RpcCalls::succeed(const Pending& pending, std::string_view result, Instant now) {
    latency_.add(now - pending.since);
    if (pending.link == 0) return;
    v1::Frame frame;
    frame.mutable_rpc_result()->set_request(pending.request);
    frame.mutable_rpc_result()->set_result(result.data(), result.size());
    outbox_.reply(pending.link, frame);
}

void RpcCalls::end(const Pending& pending, const CallError& error, Instant now) {
    latency_.add(now - pending.since);
    if (pending.link != 0) outbox_.reply(pending.link, failed_frame(pending.request, error));
}

void RpcCalls::abandon(Pending& pending) {
    const auto worker = of_worker_.find(std::exchange(pending.link, 0));
    if (worker != of_worker_.end() && --worker->second == 0) of_worker_.erase(worker);
}

void RpcCalls::forget(Table::iterator place) {
    abandon(place->second);
    due_.erase(place->first);
    overdue_.erase(place->first);
    if (Services::Service* const service = services_.find(place->second.service)) {
        if (--service->outstanding == 0 && service->leaving) services_.remove(place->second.service);
    }
    pending_.erase(place);
}

void RpcCalls::count(BackEnds::Counts& counts) const {
    counts.outstanding = pending_.size();
    counts.late = late_;
    counts.services_lost = lost_;
    counts.service_calls = service_calls_;
    counts.rpc = latency_;
    std::map<std::string_view, BackEnds::Counts::Service> by_name;
    for (const auto& [id, service] : services_.all()) {
        BackEnds::Counts::Service& sum = by_name[service.name];
        sum.name = service.name;
        ++sum.connections;
        sum.outstanding += service.outstanding;
        sum.capacity += service.capacity;
    }
    for (auto& [name, sum] : by_name) counts.services.push_back(std::move(sum));
}

}  // namespace weft
