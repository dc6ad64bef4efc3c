#include "simulation/simulated_reader.hpp"

#include <charconv>

namespace weft::simulation {
namespace {

Position parse(const std::string& text) {
    auto position = Position::parse(text);
    return position ? *position : Position{};
}

}  // namespace

SimulatedReader::SimulatedReader(SimulatedMesh& mesh, std::size_t index)
    : mesh_(mesh), name_("reader " + std::to_string(index)), channel_(mesh.some_kept_channel()) {}

void SimulatedReader::move_to(std::size_t node) {
    mesh_.world_.trace(name_ + " of " + channel_ + " goes to node " + std::string(1, static_cast<char>('a' + node)));
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

void SimulatedMesh::check_histories() {
    for (std::size_t i = 0; i < plan_.kept_channels; ++i) {
        const std::string channel = "kept:" + std::to_string(i);
        Position known;
        std::optional<std::set<std::string>> held;
        for (const auto& node : nodes_) {
            std::set<std::string> here;
            std::string after;
            for (bool complete = false; !complete;) {
                const v1::HistoryPage page = node->read(channel, after);
                Position at = parse(page.start());
                for (const v1::Publication& event : page.events()) {
                    at.set(event.stream(), event.number());
                    if (event.repeat()) continue;
                    if (!here.insert(event.data()).second) {
                        return violate("P2: a node's history of " + channel + " gives publication " + event.data() +
                                       " twice");
                    }
                }
                known.merge(at);
                after = at.text();
                complete = page.complete();
            }
            if (held && *held != here) {
                return violate("P5: of " + channel + " one node holds " + std::to_string(held->size()) +
                               " entries, another " + std::to_string(here.size()) + ", and not the same");
            }
            held = std::move(here);
        }
        held_[channel] = *held;
        for (const auto& reader : readers_) {
            if (reader->channel() == channel) check_reader(*reader, known);
        }
    }
}

void SimulatedMesh::check_reader(const SimulatedReader& reader, const Position& known) {
    if (!reader.began_at()) return;
    if (!reader.live()) return violate("no convergence: " + reader.name() + " is still waiting");
    for (const auto& [request, record] : records_) {
        if (!record.accepted || record.channel != reader.channel() || reader.has(request)) continue;
        const std::uint64_t* const started_at = reader.start().find(record.stream);
        const bool owed =
            record.accepted_at > *reader.began_at() && (started_at == nullptr || record.number > *started_at);
        // What only nodes had that crashed, nobody knows of any more.
        const std::uint64_t* const top = known.find(record.stream);
        const bool lost_for_all = record.own_id ? !held_[record.channel].contains(std::to_string(request))
                                                : top == nullptr || *top < record.number;
        if (!owed || lost_for_all || reader.told_at() >= record.accepted_at) continue;
        return violate("P3: " + reader.name() + " never got publication " + std::to_string(request) + " on " +
                       reader.channel() + ", number " + std::to_string(record.number) + ", accepted at " +
                       std::to_string(record.accepted_at.time_since_epoch().count()) +
                       " ms, nor was it told of a loss");
    }
}

}  // namespace weft::simulation
