#include "simulation/simulated_party.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "simulation/names.hpp"

namespace weft::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kHosts = 3;
constexpr std::size_t kGuests = 4;  // of a worker, at first
// A mark to nobody fails, and its answer says that no mark is on its way that was asked for before.
constexpr std::uint64_t kEcho = std::uint64_t{1} << 63;  // and the number of the move

}  // namespace

/// A worker. What it takes from a mark on, and who it is for isn't here yet, it keeps.
class SimulatedParty::Host final : public LinkDialer::Events {
public:
    Host(SimulatedParty& party, std::size_t index) : party_(party), index_(index) { start(); }

    void start() {
        incarnation_ = party_.mesh_.world_.random();
        v1::Hello hello;
        hello.set_kind(v1::Hello::WORKER);
        hello.set_name(name());
        hello.set_incarnation(incarnation_);
        end_ = std::make_unique<DialingEnd>(party_.mesh_, name(), hello, std::nullopt, party_.node_, *this);
    }
    void crash() {
        party_.mesh_.world_.trace(name() + " crashes");
        const Wire wire = end_->wire;
        end_.reset();
        feeds_.clear();
        arrivals_.clear();
        for (const std::size_t guest : std::exchange(guests, {})) party_.guests_.erase(guest);
        if (party_.mesh_.world_.chance(0.5)) party_.mesh_.nodes_[party_.node_]->unreachable(wire.identity);
        start();
    }
    [[nodiscard]] std::string name() const { return "host " + node_name(party_.node_) + std::to_string(index_); }
    [[nodiscard]] std::uint64_t incarnation() const noexcept { return incarnation_; }
    void tick() { end_->tick(); }

    /// Whether it has everything in this session; asks for it otherwise.
    bool prepare() {
        if (!end_->dialer.up()) return false;
        for (std::size_t i = 0; i < party_.mesh_.plan_.channels; ++i) want("chat:" + std::to_string(i));
        end_->pump();
        return std::ranges::all_of(feeds_, [](const auto& feed) { return feed.second.subscribed; });
    }
    bool ask_for_mark(std::uint64_t number, std::uint64_t to) {
        if (!end_->dialer.up()) return false;
        v1::Frame frame;
        frame.mutable_mark()->set_number(number);
        frame.mutable_mark()->set_to(to);
        end_->dialer.send(frame);
        end_->pump();
        return true;
    }
    /// A client that comes of itself.
    void seat(std::size_t who, PartyGuest& guest) {
        guests.insert(who);
        for (const auto& [channel, feed] : feeds_) {
            if (!feed.subscribed) continue;
            v1::Subscribed subscribed;
            subscribed.set_channel(channel);
            subscribed.set_position(feed.position.text());
            party_.settle(guest, subscribed);
        }
    }
    void expect(std::uint64_t number) { arrivals_[number]; }
    void forget(std::uint64_t number) { arrivals_.erase(number); }
    /// They come, with what they have.
    void arrive(std::uint64_t number, const std::vector<std::size_t>& who) {
        Arrival& arrival = arrivals_[number];
        arrival.here = true;
        arrival.guests = who;
        // The giver has had its mark, so if there is one for us, it is on its way.
        if (arrival.unsure) ask_for_mark(kEcho | number, 0);
        admit(number);
    }

    std::set<std::size_t> guests;

private:
    struct Feed {
        bool subscribed = false;
        Position position;
        bool known = false;
    };
    struct Arrival {
        bool marked = false;
        bool unsure = false;  // a session ended without it; it may have been in that one, or be in the next
        bool lost = false;    // two did: what came in the second may be before it or behind it
        bool here = false;
        std::vector<std::size_t> guests;
        std::vector<v1::Frame> kept;  // since the mark, or since it may have been lost
    };

    void want(const std::string& channel) {
        if (feeds_.contains(channel)) return;
        feeds_[channel];
        ask(channel);
    }
    void ask(const std::string& channel) {
        Feed& feed = feeds_[channel];
        feed.subscribed = false;
        v1::Frame frame;
        frame.mutable_subscribe()->set_channel(channel);
        if (feed.known) frame.mutable_subscribe()->set_position(feed.position.text());
        end_->dialer.send(frame);
    }
    void on_link_up(const v1::Welcome&, Instant) override {
        for (const auto& [channel, feed] : feeds_) ask(channel);
        for (const auto& [number, arrival] : arrivals_) {
            if (arrival.here && arrival.unsure) ask_for_mark(kEcho | number, 0);
        }
    }
    void on_link_down(std::string_view why, Instant) override {
        party_.mesh_.world_.trace(name() + " lost its link: " + std::string(why));
        for (auto& [channel, feed] : feeds_) feed.subscribed = false;
        for (auto& [number, arrival] : arrivals_) {
            if (arrival.marked) continue;
            if (std::exchange(arrival.unsure, true)) {
                arrival.lost = true;
                arrival.kept.clear();
            }
        }
        // The taker may have had a mark of which the giver will never hear.
        std::vector<std::uint64_t> unanswered;
        for (const auto& [number, move] : party_.moves_) {
            if (move.from == this && move.asked) unanswered.push_back(number);
        }
        for (const std::uint64_t number : unanswered) party_.abandon(number);
    }
    void on_link_frame(v1::Frame& frame, Instant) override {
        switch (frame.body_case()) {
            case v1::Frame::kSubscribed: {
                Feed& feed = feeds_[frame.subscribed().channel()];
                feed.subscribed = feed.known = true;
                feed.position = parse(frame.subscribed().position());
                return pass(frame);
            }
            case v1::Frame::kPublication: {
                Feed& feed = feeds_[frame.publication().channel()];
                if (!feed.subscribed) return;
                feed.position = parse(frame.publication().position());
                return pass(frame);
            }
            case v1::Frame::kGap: {
                Feed& feed = feeds_[frame.gap().channel()];
                if (!feed.subscribed) return;
                feed.position = parse(frame.gap().position());
                return pass(frame);
            }
            case v1::Frame::kMarked: return on_marked(frame.marked());
            default:
                party_.mesh_.violate(name() + " got a frame that it can't have asked for: " + frame.ShortDebugString());
        }
    }
    void on_link_refused(const v1::Refused& refused, Instant) override {
        party_.mesh_.violate(name() + " was refused: " + refused.message());
    }
    void pass(const v1::Frame& frame) {
        for (const std::size_t guest : guests) party_.take(party_.guests_.at(guest), frame);
        for (auto& [number, arrival] : arrivals_) {
            if (arrival.marked || arrival.unsure) arrival.kept.push_back(frame);
        }
    }
    void on_marked(const v1::Marked& marked) {
        if (marked.from() == incarnation_ && (marked.number() & kEcho) != 0) {
            const auto arrival = arrivals_.find(marked.number() & ~kEcho);
            if (arrival == arrivals_.end() || !arrival->second.unsure) return;
            arrival->second.marked = true;
            return admit(arrival->first);
        }
        if (marked.from() == incarnation_) {
            return marked.failed() ? party_.abandon(marked.number()) : party_.hand_over(marked.number());
        }
        const auto arrival = arrivals_.find(marked.number());
        if (arrival == arrivals_.end()) return;
        arrival->second.marked = true;
        arrival->second.unsure = arrival->second.lost = false;
        arrival->second.kept.clear();
        admit(marked.number());
    }
    void tell_loss(PartyGuest& guest) {
        for (auto& [channel, wish] : guest.wishes) {
            const Feed& feed = feeds_[channel];
            if (!wish.settled_at) continue;
            ++party_.mesh_.gaps_told_;
            wish.gaps.push_back({party_.mesh_.world_.now(), wish.position, feed.position});
        }
    }
    void admit(std::uint64_t number) {
        Arrival& arrival = arrivals_.at(number);
        if (!arrival.marked || !arrival.here) return;
        for (const std::size_t guest : arrival.guests) {
            if (arrival.lost) tell_loss(party_.guests_.at(guest));
            for (const v1::Frame& frame : arrival.kept) party_.take(party_.guests_.at(guest), frame);
            guests.insert(guest);
            ++party_.handed_over_;
        }
        arrivals_.erase(number);
        party_.moves_.erase(number);
    }

    SimulatedParty& party_;
    std::size_t index_;
    std::uint64_t incarnation_ = 0;
    std::unique_ptr<DialingEnd> end_;
    std::map<std::string, Feed> feeds_;
    std::map<std::uint64_t, Arrival> arrivals_;  // by Mark.number
};

SimulatedParty::SimulatedParty(SimulatedMesh& mesh, std::size_t node) : mesh_(mesh), node_(node) {
    for (std::size_t i = 0; i < kHosts; ++i) hosts_.push_back(std::make_unique<Host>(*this, i));
    restock();
}

SimulatedParty::~SimulatedParty() = default;

void SimulatedParty::restock() {
    for (auto& host : hosts_) {
        while (host->guests.size() < kGuests && guests_.size() < kHosts * kGuests) {
            PartyGuest& guest = guests_[next_guest_];
            guest.name = "guest " + node_name(node_) + std::to_string(next_guest_);
            for (std::size_t i = 0; i < mesh_.plan_.channels; ++i) guest.wishes["chat:" + std::to_string(i)];
            host->seat(next_guest_++, guest);
        }
    }
}

void SimulatedParty::tick() {
    for (auto& host : hosts_) {
        host->tick();
        if (!host->guests.empty()) host->prepare();
    }
    for (auto& [number, move] : moves_) {
        if (move.handed) continue;
        if (!move.ready) {
            move.ready = move.to->prepare();
            if (move.ready) move.to->expect(number);
        }
        // The giver has to know what it lost itself, if it did, before it can say where its clients stand.
        if (move.ready && !move.asked && move.from->prepare()) {
            move.asked = move.from->ask_for_mark(number, move.to->incarnation());
        }
    }
}

void SimulatedParty::begin_a_move() {
    Host* const from = hosts_[mesh_.world_.below(kHosts)].get();
    Host* const to = hosts_[mesh_.world_.below(kHosts)].get();
    const bool under_way = std::ranges::any_of(moves_, [&](const auto& one) { return one.second.from == from; });
    if (from == to || under_way || from->guests.empty()) return;
    Move& move = moves_[next_move_++];
    move.from = from;
    move.to = to;
    for (const std::size_t guest : from->guests) {
        if (mesh_.world_.chance(0.6)) move.guests.push_back(guest);
    }
    mesh_.world_.trace(from->name() + " hands " + std::to_string(move.guests.size()) + " over to " + to->name());
}

void SimulatedParty::hand_over(std::uint64_t number) {
    const auto found = moves_.find(number);
    if (found == moves_.end() || found->second.handed) return;
    Move& move = found->second;
    move.handed = true;
    for (const std::size_t guest : move.guests) move.from->guests.erase(guest);
    // By a socket between the two, which is no faster and no slower than their links.
    mesh_.world_.after(mesh_.world_.between(0ms, 20ms), [this, number] {
        const auto arriving = moves_.find(number);
        if (arriving != moves_.end()) arriving->second.to->arrive(number, arriving->second.guests);
    });
}

void SimulatedParty::abandon(std::uint64_t number) {
    const auto move = moves_.find(number);
    if (move == moves_.end() || move->second.handed) return;
    move->second.to->forget(number);
    moves_.erase(move);
}

void SimulatedParty::crash_a_worker() {
    Host* const host = hosts_[mesh_.world_.below(kHosts)].get();
    for (auto move = moves_.begin(); move != moves_.end();) {
        const auto& [number, one] = *move;
        const bool theirs = one.from == host || one.to == host;
        if (!theirs || (one.handed && one.to != host)) {
            ++move;
            continue;
        }
        if (one.handed) {  // those on their way to it
            for (const std::size_t guest : one.guests) guests_.erase(guest);
        }
        one.to->forget(number);
        move = moves_.erase(move);
    }
    host->crash();
}

void SimulatedParty::take(PartyGuest& guest, const v1::Frame& frame) {
    if (frame.has_subscribed()) return settle(guest, frame.subscribed());
    using Wish = SimulatedWorker::Wish;
    const std::string& channel = frame.has_gap() ? frame.gap().channel() : frame.publication().channel();
    Wish& wish = guest.wishes[channel];
    if (!wish.settled_at) return;
    Position position = parse(frame.has_gap() ? frame.gap().position() : frame.publication().position());
    for (const auto& entry : position.entries()) wish.streams[entry.stream] = mesh_.world_.now();
    if (frame.has_gap()) {
        ++mesh_.gaps_told_;
        wish.gaps.push_back({mesh_.world_.now(), wish.position, position});
    } else {
        std::uint64_t request = 0;
        const std::string& data = frame.publication().data();
        std::from_chars(data.data(), data.data() + data.size(), request);
        const Record& record = mesh_.records_[request];
        std::uint64_t& last = guest.last[{record.publisher, channel}];
        const std::string what = guest.name + " got publication " + data + " (" + channel + ")";
        if (wish.delivered.contains(request)) return mesh_.violate("P2: " + what + " twice");
        if (request < last) return mesh_.violate("P1: " + what + " after " + std::to_string(last));
        last = request;
        wish.delivered.insert(request);
        ++mesh_.delivered_;
    }
    wish.position = std::move(position);
}

void SimulatedParty::settle(PartyGuest& guest, const v1::Subscribed& subscribed) {
    SimulatedWorker::Wish& wish = guest.wishes[subscribed.channel()];
    Position position = parse(subscribed.position());
    wish.state = SimulatedWorker::Wish::State::subscribed;
    for (const auto& entry : position.entries()) wish.streams[entry.stream] = mesh_.world_.now();
    if (!wish.settled_at) {
        wish.settled_at = mesh_.world_.now();
        wish.start = position;
    } else if (subscribed.gap()) {
        ++mesh_.gaps_told_;
        wish.gaps.push_back({mesh_.world_.now(), wish.position, position});
    }
    wish.position = std::move(position);
}

void SimulatedParty::check() {
    for (const auto& [number, move] : moves_) {
        return mesh_.violate("no convergence: " + move.from->name() + " is still handing over to " + move.to->name());
    }
    for (const auto& [index, guest] : guests_) mesh_.check_wishes(guest.name, node_, guest.wishes);
}

}  // namespace weft::simulation
