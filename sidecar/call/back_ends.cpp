#include "call/back_ends.hpp"

#include <unordered_set>
#include <utility>

#include "call/publications.hpp"
#include "call/questions.hpp"
#include "call/rpc_calls.hpp"

namespace weft {

struct BackEnds::State {
    State(BackEndSettings given, Outbox& outbox)
        : settings(std::move(given)),
          rpc(settings, outbox),
          publications(settings, outbox),
          questions(settings, outbox) {}

    BackEndSettings settings;
    RpcCalls rpc;
    Publications publications;
    Questions questions;
    std::unordered_set<LinkId> workers;
};

BackEnds::BackEnds(BackEndSettings settings, Outbox& outbox)
    : state_(std::make_unique<State>(std::move(settings), outbox)) {}

BackEnds::~BackEnds() = default;

void BackEnds::on_worker_up(LinkId link) {
    state_->workers.insert(link);
}

void BackEnds::on_worker_down(LinkId link) {
    if (state_->workers.erase(link) == 0) return;
    state_->rpc.on_worker_down(link);
    state_->publications.on_worker_down(link);
    state_->questions.on_worker_down(link);
}

bool BackEnds::on_frame(LinkId link, const v1::Frame& frame, Instant now) {
    switch (frame.body_case()) {
        case v1::Frame::kRpc:
        case v1::Frame::kPublish:
        case v1::Frame::kMayConnect:
        case v1::Frame::kMaySubscribe:
        case v1::Frame::kDisconnected: break;
        default: return false;
    }
    if (!state_->workers.contains(link)) return false;  // a peer says nothing of this
    switch (frame.body_case()) {
        case v1::Frame::kRpc: return state_->rpc.on_rpc(link, frame.rpc(), now);
        case v1::Frame::kPublish:
            return state_->settings.hooks[static_cast<std::size_t>(Hook::publish)] &&
                   state_->publications.on_publish(link, frame);
        case v1::Frame::kMayConnect: state_->questions.on_may_connect(link, frame.may_connect()); return true;
        case v1::Frame::kMaySubscribe: state_->questions.on_may_subscribe(link, frame.may_subscribe()); return true;
        default: state_->questions.on_disconnected(frame.disconnected()); return true;
    }
}

void BackEnds::on_hook_answer(const HookAnswer& answer, Instant now) {
    switch (answer.hook) {
        case Hook::rpc: return state_->rpc.on_hook_answer(answer, now);
        case Hook::publish: return state_->publications.on_hook_answer(answer);
        case Hook::connect:
        case Hook::subscribe: return state_->questions.on_hook_answer(answer);
        case Hook::disconnect: return;
    }
}

void BackEnds::on_service_frame(ServiceId service, const v1::ServiceFrame& frame, Instant now) {
    state_->rpc.on_service_frame(service, frame, now);
}

void BackEnds::on_service_gone(ServiceId service, Instant now) {
    state_->rpc.on_service_gone(service, now);
}

void BackEnds::on_tick(Instant now) {
    state_->rpc.on_tick(now);
}

void BackEnds::say_goodbye() {
    state_->rpc.say_goodbye();
}

BackEnds::Counts BackEnds::counts() const {
    Counts counts;
    state_->rpc.count(counts);
    counts.held = state_->publications.size();
    counts.held_bytes = state_->publications.bytes();
    return counts;
}

}  // namespace weft
