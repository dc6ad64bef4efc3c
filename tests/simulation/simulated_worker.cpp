// An nginx worker in a simulated mesh.
#include <charconv>

#include "simulation/names.hpp"
#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

using namespace std::chrono_literals;

std::string SimulatedWorker::name() const {
    return "worker " + node_name(node_) + std::to_string(index_) + "/" + std::to_string(life_);
}

void SimulatedWorker::start() {
    life_ = mesh_.next_life_++;
    v1::Hello hello;
    hello.set_kind(v1::Hello::WORKER);
    hello.set_name(name());
    end_ = std::make_unique<DialingEnd>(mesh_, name(), hello, std::nullopt, node_, *this);
}

void SimulatedWorker::crash() {
    mesh_.world_.trace(name() + " crashes");
    const Wire wire = end_->wire;
    end_.reset();
    wishes_.clear();
    last_.clear();
    if (mesh_.world_.chance(0.5)) mesh_.nodes_[node_]->unreachable(wire.identity);
    start();
}

void SimulatedWorker::toggle(const std::string& channel) {
    const auto wish = wishes_.find(channel);
    if (wish == wishes_.end()) {
        Wish& made = wishes_[channel];
        if (up()) ask(channel, made);
    } else {
        if (up()) {
            v1::Frame frame;
            frame.mutable_unsubscribe()->set_channel(channel);
            end_->dialer.send(frame);
        }
        wishes_.erase(wish);
    }
    pump();
}

void SimulatedWorker::publish(const std::string& channel) {
    if (!up()) return;
    const std::uint64_t request = mesh_.next_request_++;
    Record& record = mesh_.records_[request];
    record.publisher = life_;
    record.channel = channel;
    v1::Frame frame;
    v1::Publish& publish = *frame.mutable_publish();
    publish.set_request(request);
    publish.set_channel(channel);
    publish.set_data(std::to_string(request));
    end_->dialer.send(frame);
    pump();
}

void SimulatedWorker::tick() {
    end_->tick();
}

void SimulatedWorker::on_link_up(const v1::Welcome&, Instant) {
    for (auto& [channel, wish] : wishes_) ask(channel, wish);
}

void SimulatedWorker::on_link_down(std::string_view why, Instant) {
    mesh_.world_.trace(name() + " lost its link: " + std::string(why));
    for (auto& [channel, wish] : wishes_) wish.state = Wish::State::asked;
}

void SimulatedWorker::on_link_frame(v1::Frame& frame, Instant) {
    switch (frame.body_case()) {
        case v1::Frame::kPublication: return on_publication(frame.publication());
        case v1::Frame::kSubscribed: return on_subscribed(frame.subscribed());
        case v1::Frame::kGap: return on_gap(frame.gap());
        case v1::Frame::kPublished: return;
        default: mesh_.violate(name() + " got a frame that it can't have asked for: " + frame.ShortDebugString());
    }
}

void SimulatedWorker::on_link_refused(const v1::Refused& refused, Instant) {
    mesh_.violate(name() + " was refused: " + refused.message());
}

void SimulatedWorker::ask(const std::string& channel, Wish& wish) {
    wish.state = Wish::State::asked;
    wish.sent = wish.settled_at ? wish.position.text() : std::string();
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(channel);
    frame.mutable_subscribe()->set_position(wish.sent);
    end_->dialer.send(frame);
}

void SimulatedWorker::on_publication(const v1::Publication& publication) {
    std::uint64_t request = 0;
    std::from_chars(publication.data().data(), publication.data().data() + publication.data().size(), request);
    const auto record = mesh_.records_.find(request);
    if (record == mesh_.records_.end() || !record->second.accepted || record->second.channel != publication.channel()) {
        return mesh_.violate(name() + " got a publication that nobody published: " + publication.data());
    }
    const auto wish = wishes_.find(publication.channel());
    if (wish == wishes_.end() || wish->second.state != Wish::State::subscribed) return;  // of an earlier wish

    std::uint64_t& last = last_[{record->second.publisher, publication.channel()}];
    if (request == last)
        return mesh_.violate("P2: " + name() + " got publication " + std::to_string(request) + " twice");
    if (request < last) {
        return mesh_.violate("P1: " + name() + " got publication " + std::to_string(request) + " after " +
                             std::to_string(last) + " of the same publisher");
    }
    last = request;
    ++mesh_.delivered_;
    wish->second.delivered.insert(request);
    wish->second.position = parse(publication.position());
    for (const auto& entry : wish->second.position.entries()) wish->second.streams[entry.stream] = mesh_.world_.now();
}

void SimulatedWorker::on_subscribed(const v1::Subscribed& subscribed) {
    const auto found = wishes_.find(subscribed.channel());
    if (found == wishes_.end()) return;
    Wish& wish = found->second;
    Position position = parse(subscribed.position());
    // After Subscribe, Unsubscribe, Subscribe the answer to the first may be taken for the answer to the second. Then
    // the answer to the second comes as a surprise, and says what was missed in between.
    const bool surprise = wish.state == Wish::State::subscribed && !wish.position.covers(position);
    if (subscribed.gap() || surprise) {
        ++mesh_.gaps_told_;
        wish.gaps.push_back({mesh_.world_.now(), surprise ? wish.position : parse(wish.sent), position});
    }
    wish.state = Wish::State::subscribed;
    wish.position = position;
    for (const auto& entry : position.entries()) wish.streams[entry.stream] = mesh_.world_.now();
    if (!wish.settled_at) {
        wish.settled_at = mesh_.world_.now();
        wish.start = std::move(position);
    }
}

void SimulatedWorker::on_gap(const v1::Gap& gap) {
    const auto found = wishes_.find(gap.channel());
    if (found == wishes_.end() || found->second.state != Wish::State::subscribed) return;
    Wish& wish = found->second;
    ++mesh_.gaps_told_;
    const Position position = parse(gap.position());
    wish.gaps.push_back({mesh_.world_.now(), wish.position, position});
    wish.position = position;
    for (const auto& entry : position.entries()) wish.streams[entry.stream] = mesh_.world_.now();
}

}  // namespace weft::simulation
