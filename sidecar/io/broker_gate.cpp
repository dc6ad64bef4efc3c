#include "io/broker_gate.hpp"

#include <algorithm>
#include <utility>

#include "io/clock.hpp"

namespace weft {

BrokerGate::BrokerGate(BrokerSettings settings) : broker_(std::move(settings), random_bits, *this) {}

LinkId BrokerGate::open(Link& link, LinkRole role, std::string_view name, LinkGreeting greeting, Instant now) {
    const LinkId id = next_id_++;
    links_.emplace(id, &link);
    if (filter_ != nullptr && role == LinkRole::worker) filter_->on_worker_up(id);
    now_ = now;
    broker_.on_link_up(id, role, name, now, greeting);
    return id;
}

void BrokerGate::close(LinkId id, Instant now) {
    if (links_.erase(id) == 0) return;
    if (filter_ != nullptr) filter_->on_worker_down(id);
    now_ = now;
    broker_.on_link_down(id, now);
}

void BrokerGate::frame(LinkId id, const v1::Frame& frame, Instant now) {
    if (!links_.contains(id)) return;
    if (filter_ != nullptr && filter_->on_frame(id, frame, now)) return;
    pass(id, frame, now);
}

void BrokerGate::pass(LinkId id, const v1::Frame& frame, Instant now) {
    if (!links_.contains(id)) return;
    now_ = now;
    broker_.on_frame(id, frame, now, wall_now());
}

void BrokerGate::reply(LinkId id, const v1::Frame& frame, Instant now) {
    now_ = now;
    send(id, frame.SerializeAsString());
}

void BrokerGate::tick(Instant now) {
    now_ = now;
    broker_.on_tick(now);
}

void BrokerGate::touch(Link& link) {
    if (std::exchange(link.touched_, true)) return;
    touched_.push_back(&link);
}

void BrokerGate::forget(Link& link) {
    if (std::exchange(link.touched_, false)) std::erase(touched_, &link);
}

bool BrokerGate::flush(Instant now) {
    bool progress = false;
    flushing_.swap(touched_);
    for (Link* link : flushing_) {
        link->touched_ = false;
        if (link->flush(now)) {
            progress = true;
        } else {
            touch(*link);
        }
    }
    flushing_.clear();
    return progress;
}

void BrokerGate::send(LinkId id, std::string_view frame) {
    const auto found = links_.find(id);
    if (found == links_.end()) return;
    found->second->queue(frame, now_);
    touch(*found->second);
}

bool BrokerGate::busy(LinkId id) const {
    const auto found = links_.find(id);
    return found != links_.end() && found->second->busy();
}

}  // namespace weft
