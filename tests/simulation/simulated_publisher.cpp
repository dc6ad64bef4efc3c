#include "simulation/simulated_publisher.hpp"

namespace weft::simulation {

using namespace std::chrono_literals;

SimulatedPublisher::SimulatedPublisher(SimulatedMesh& mesh, std::size_t index)
    : mesh_(mesh), name_("publisher " + std::to_string(index)), channel_(mesh.some_kept_channel()) {}

void SimulatedPublisher::move_to(std::size_t node) {
    node_ = node;
    sent_ = false;
    end_.reset();
    v1::Hello hello;
    hello.set_kind(v1::Hello::WORKER);
    hello.set_name(name_);
    end_ = std::make_unique<DialingEnd>(mesh_, name_, hello, std::nullopt, node, *this);
    again_at_ = mesh_.world_.now() + 1s;
}

void SimulatedPublisher::tick() {
    end_->tick();
    if (request_ == 0 && mesh_.publishing_) begin();
    end_->pump();
    if (request_ == 0 || sent_ || mesh_.world_.now() < again_at_) return;
    // Where it was refused it may be accepted in the end, and elsewhere, too.
    if (!end_->dialer.up() || mesh_.world_.chance(0.3)) return move_to(mesh_.world_.below(mesh_.nodes_.size()));
    send();
    end_->pump();
}

void SimulatedPublisher::begin() {
    request_ = mesh_.next_request_++;
    Record& record = mesh_.records_[request_];
    record.publisher = ~std::hash<std::string>()(name_);
    record.channel = channel_;
    record.own_id = true;
    if (end_->dialer.up()) send();
}

void SimulatedPublisher::send() {
    v1::Frame frame;
    v1::Publish& publish = *frame.mutable_publish();
    publish.set_request(request_);
    publish.set_channel(channel_);
    publish.set_data(std::to_string(request_));
    publish.set_message_id("m" + std::to_string(request_));
    publish.mutable_publisher()->set_user(name_);
    publish.mutable_publisher()->set_client_id(mesh_.world_.random() | 1);  // another connection each time
    end_->dialer.send(frame);
    sent_ = true;
    ++mesh_.sent_;
}

void SimulatedPublisher::on_link_up(const v1::Welcome&, Instant) {
    if (request_ != 0) send();
}

void SimulatedPublisher::on_link_down(std::string_view, Instant now) {
    sent_ = false;
    again_at_ = now + mesh_.world_.between(0ms, 600ms);
}

void SimulatedPublisher::on_link_frame(v1::Frame& frame, Instant now) {
    if (frame.has_failed()) {
        if (frame.failed().code() != 4017) mesh_.violate(name_ + " was told " + frame.failed().message());
        sent_ = false;
        again_at_ = now + mesh_.world_.between(10ms, 800ms);
        return;
    }
    if (!frame.has_published()) return mesh_.violate(name_ + " got a frame that it can't have asked for");
    if (frame.published().request() != request_) return;
    if (frame.published().message_id() != "m" + std::to_string(request_)) {
        return mesh_.violate(name_ + " was answered with another id: " + frame.published().message_id());
    }
    request_ = 0;
    sent_ = false;
    ++mesh_.acknowledged_;
    if (mesh_.publishing_ && mesh_.world_.chance(0.5)) begin();
}

void SimulatedPublisher::on_link_refused(const v1::Refused& refused, Instant) {
    mesh_.violate(name_ + " was refused: " + refused.message());
}

void SimulatedMesh::move_a_publisher() {
    if (!publishers_.empty()) publishers_[world_.below(publishers_.size())]->move_to(world_.below(nodes_.size()));
}

}  // namespace weft::simulation
