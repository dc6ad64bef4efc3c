#include "simulation/simulated_reader.hpp"

#include <charconv>

#include "simulation/names.hpp"

namespace weft::simulation {
SimulatedReader::SimulatedReader(SimulatedMesh& mesh, std::size_t index)
    : mesh_(mesh), name_("reader " + std::to_string(index)), channel_(mesh.some_kept_channel()) {}

void SimulatedReader::move_to(std::size_t node) {
    mesh_.world_.trace(name_ + " of " + channel_ + " goes to node " + node_name(node));
    state_ = State::away;
    end_.reset();
    v1::Hello hello;
    hello.set_kind(v1::Hello::WORKER);
    hello.set_name(name_);
    end_ = std::make_unique<DialingEnd>(mesh_, name_, hello, std::nullopt, node, *this);
}

void SimulatedReader::tick() {
    end_->tick();
}

void SimulatedReader::on_link_up(const v1::Welcome&, Instant) {
    state_ = State::asked;
    visit_ = {end_->wire.to, mesh_.nodes_[end_->wire.to]->started_at()};
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(channel_);
    if (began_at_) frame.mutable_subscribe()->set_position(standing_.told.text());
    end_->dialer.send(frame);
}

void SimulatedReader::on_link_down(std::string_view, Instant) {
    state_ = State::away;
}

void SimulatedReader::on_link_frame(v1::Frame& frame, Instant) {
    switch (frame.body_case()) {
        case v1::Frame::kSubscribed: return on_subscribed(frame.subscribed());
        case v1::Frame::kHistoryPage: return on_page(frame.history_page());
        case v1::Frame::kPublication:
            if (state_ == State::live || mesh_.plan_.bug == Bug::live_before_history) {
                on_publication(frame.publication(), false);
            }
            return;
        case v1::Frame::kGap:
            if (state_ != State::live) return;  // the page says so, too
            standing_.told.merge(parse(frame.gap().position()));
            return told("a gap");
        default: mesh_.violate(name_ + " got a frame that it can't have asked for: " + frame.ShortDebugString());
    }
}

void SimulatedReader::on_link_refused(const v1::Refused& refused, Instant) {
    mesh_.violate(name_ + " was refused: " + refused.message());
}

void SimulatedReader::on_subscribed(const v1::Subscribed& subscribed) {
    if (state_ != State::asked) return;
    if (!subscribed.history()) return mesh_.violate(name_ + " was told that " + channel_ + " keeps no history");
    if (!began_at_) {
        began_at_ = mesh_.world_.now();
        standing_.told = start_ = parse(subscribed.position());
        state_ = State::live;
        return;
    }
    state_ = State::reading;
    ask_for_page();
}

void SimulatedReader::ask_for_page() {
    Position after = standing_.told;
    after.merge(standing_.beyond);
    v1::Frame frame;
    frame.mutable_read_history()->set_request(next_request_++);
    frame.mutable_read_history()->set_channel(channel_);
    frame.mutable_read_history()->set_after(after.text());
    frame.mutable_read_history()->set_limit(20);
    end_->dialer.send(frame);
}

void SimulatedReader::on_page(const v1::HistoryPage& page) {
    if (state_ != State::reading) return;
    Position after = standing_.told;
    after.merge(standing_.beyond);
    standing_.begin(after, parse(page.start()));
    if (page.lost()) told("a loss");
    for (const v1::Publication& publication : page.events()) on_publication(publication, true);
    if (!page.complete()) return ask_for_page();
    state_ = State::live;
}

void SimulatedReader::on_publication(const v1::Publication& publication, bool replayed) {
    if (!standing_.takes(publication.stream(), publication.number()) && mesh_.plan_.bug != Bug::forget_dedup) return;
    if (publication.repeat()) return;
    std::uint64_t request = 0;
    const std::string& data = publication.data();
    std::from_chars(data.data(), data.data() + data.size(), request);
    const auto record = mesh_.records_.find(request);
    if (record == mesh_.records_.end()) {
        return mesh_.violate(name_ + " got a publication that nobody published: " + data);
    }
    const std::string what = name_ + " got publication " + data + " (" + channel_ + ")";
    if (record->second.channel != channel_) return mesh_.violate(what + ", which is not of that channel");
    const auto [had, is_new] = delivered_.try_emplace(request, visit_);
    if (!is_new) {
        // Where two nodes took it for new, a reader that went from one to the other before they met may get both.
        if (record->second.copies.size() > 1 && had->second != visit_) return;
        return mesh_.violate("P2: " + what + " twice");
    }
    std::uint64_t& last = last_[{record->second.publisher, publication.stream()}];
    if (request < last) return mesh_.violate("P1: " + what + " after " + std::to_string(last));
    last = request;
    ++mesh_.delivered_;
    mesh_.replayed_ += replayed ? 1 : 0;
}

void SimulatedReader::told(const char* what) {
    mesh_.world_.trace(name_ + " is told of " + what);
    told_at_ = mesh_.world_.now();
    ++mesh_.losses_told_;
}

void SimulatedMesh::move_a_reader() {
    if (!readers_.empty()) readers_[world_.below(readers_.size())]->move_to(world_.below(nodes_.size()));
}

}  // namespace weft::simulation
