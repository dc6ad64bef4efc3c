#include "ngx/departures.hpp"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "handover/rendezvous.hpp"
#include "ngx/worker.hpp"
#include "ngx/zone.hpp"

namespace weft {

namespace {

constexpr std::chrono::milliseconds kLook{100};  // between two looks for workers

}  // namespace

Departures::Departures(Worker& worker, ngx_cycle_t* cycle, std::string directory, std::uint64_t generation)
    : worker_(worker), cycle_(cycle), directory_(std::move(directory)), generation_(generation) {
    const auto* core = reinterpret_cast<ngx_core_conf_t*>(ngx_get_conf(cycle->conf_ctx, ngx_core_module));
    other_master_ = std::string(view(core->oldpid));
}

Departures::~Departures() = default;

bool Departures::add(Socket& socket) {
    if (!socket.can_move() || worker_.gateway().movable(socket.client()) == Gateway::Movable::never) return false;
    const Instant now = worker_.gateway().now();
    if (!begun_) {
        begun_ = true;
        began_at_ = now;
        look_for_destinations();
    }
    if (!expects_anybody()) return false;
    give_up_at_ = now + kPatience;
    pending_.push_back(&socket);
    return true;
}

bool Departures::expects_anybody() const {
    if (std::ranges::any_of(destinations_, [](const auto& destination) { return !destination->closed; })) return true;
    return worker_.gateway().now() < began_at_ + kReloadPatience && others_come();
}

bool Departures::others_come() const {
    // In a binary upgrade there are two masters, of which one goes.
    return latest_generation(worker_.settings().zone) != generation_ || ::access(other_master_.c_str(), F_OK) == 0;
}

void Departures::forget(const Socket& socket) noexcept {
    if (!begun_) return;
    std::erase(pending_, &socket);
    for (const auto& destination : destinations_) {
        for (std::size_t i = 0; i < destination->batch.sockets.size(); ++i) {
            if (destination->batch.sockets[i] != &socket) continue;
            v1::MoveFrame frame;
            frame.mutable_moved()->set_number(destination->batch.number);
            frame.mutable_moved()->set_index(static_cast<std::uint32_t>(i));
            frame.mutable_moved()->set_gone(true);
            destination->channel->send(frame);
            settle(destination->batch, i);
            return;
        }
    }
}

void Departures::look_for_destinations() {
    next_look_ = worker_.gateway().now() + kLook;
    const auto pids = Rendezvous::others(directory_, ngx_pid);
    if (!pids) return;
    for (const pid_t pid : *pids) {
        const bool known = std::ranges::any_of(destinations_, [pid](const auto& one) { return one->pid == pid; });
        if (known) continue;
        auto channel = Rendezvous::connect(directory_, pid);
        if (!channel) continue;
        auto destination = std::make_unique<Destination>();
        destination->pid = pid;
        MoveChannel::Events& events = *this;
        try {
            destination->channel = std::make_unique<MoveChannel>(std::move(*channel), events, cycle_);
        } catch (const std::runtime_error&) {
            return;  // this worker has no connection left for it, which nginx has logged; it may at the next look
        }
        destinations_.push_back(std::move(destination));
        say_hello(*destinations_.back());
    }
}

void Departures::say_hello(Destination& destination) {
    v1::MoveFrame frame;
    v1::MoveHello& hello = *frame.mutable_hello();
    hello.set_version(kMoveVersion);
    hello.set_software(WEFT_VERSION);
    hello.set_generation(generation_);
    hello.set_incarnation(worker_.gateway().incarnation());
    destination.channel->send(frame);
}

void Departures::run() {
    if (!begun_) return;
    // Those that have gone are kept by name, so that nobody asks them again.
    for (const auto& destination : destinations_) {
        if (destination->closed && destination->channel) destination->channel.reset();
    }
    go_on();
}

void Departures::go_on() {
    if (pending_.empty()) return;
    const Instant now = worker_.gateway().now();
    if (now >= next_look_) {
        look_for_destinations();
        for (const auto& destination : destinations_) {
            if (!destination->closed && !destination->ready) say_hello(*destination);
        }
    }
    if (worker_.gateway().links_mark()) {
        while (!pending_.empty()) {
            Destination* const destination = least_loaded();
            if (destination == nullptr) break;
            const std::size_t before = pending_.size();
            announce(*destination);
            if (pending_.size() == before) break;
        }
    }
    const bool anybody_ready = std::ranges::any_of(
        destinations_, [](const auto& destination) { return destination->ready && !destination->closed; });
    if (!anybody_ready && now < began_at_ + kReloadPatience && expects_anybody()) {
        give_up_at_ = now + kPatience;
    }
    if (now < give_up_at_ && expects_anybody()) return;
    std::vector<Socket*> rest;
    rest.swap(pending_);
    for (Socket* socket : rest) stay(*socket);
}

Departures::Destination* Departures::least_loaded() noexcept {
    Destination* best = nullptr;
    for (const auto& destination : destinations_) {
        if (destination->closed || !destination->ready || !destination->batch.sockets.empty()) continue;
        if (best == nullptr || destination->load < best->load) best = destination.get();
    }
    return best;
}

/// As many of those that wait as are at rest.
void Departures::announce(Destination& destination) {
    Batch& batch = destination.batch;
    v1::MoveFrame frame;
    v1::Leaving& leaving = *frame.mutable_leaving();
    std::vector<Socket*> waiting;
    std::size_t still = 0;
    while (!pending_.empty() && batch.sockets.size() < kBatch && still < kMaxStill) {
        Socket& socket = *pending_.back();
        pending_.pop_back();
        Connection& client = socket.client();
        const Gateway::Movable movable = worker_.gateway().movable(client);
        v1::Leaver leaver;
        if (movable == Gateway::Movable::never || !socket.can_move() || !client.describe(leaver)) {
            stay(socket);
            continue;
        }
        client.stand_still();
        if (movable == Gateway::Movable::soon) {
            ++still;
            waiting.push_back(&socket);
            continue;
        }
        const LocationSettings& location = *client.endpoint().location;
        leaver.set_location(location.name);
        leaver.set_terms(location.terms());
        leaver.set_address(std::string(socket.address()));
        Gateway::describe(client, leaver);
        *leaving.add_leavers() = std::move(leaver);
        batch.sockets.push_back(&socket);
    }
    pending_.insert(pending_.begin(), waiting.begin(), waiting.end());
    if (batch.sockets.empty()) return;
    batch.number = ++last_number_;
    batch.stage = Batch::Stage::announced;
    batch.marks = 0;
    batch.left = batch.sockets.size();
    leaving.set_number(batch.number);
    destination.load += batch.left;
    if (!destination.channel->send(frame)) abort(destination);
}

void Departures::on_frame(MoveChannel& channel, v1::MoveFrame& frame, UniqueFd) {
    Destination* const destination = destination_of(channel);
    if (destination == nullptr) return;
    worker_.wake();
    switch (frame.body_case()) {
        case v1::MoveFrame::kWelcome: {
            const v1::MoveWelcome& welcome = frame.welcome();
            const bool stranger = welcome.version() != kMoveVersion || welcome.software() != WEFT_VERSION;
            if (stranger) {
                ngx_log_error(NGX_LOG_NOTICE, cycle_->log, 0,
                              "weft: connections don't move to worker %P, which is of another version: \"%s\"",
                              destination->pid, welcome.software().c_str());
            }
            destination->ready = !stranger && welcome.state() == v1::MoveWelcome::READY;
            destination->incarnation = welcome.incarnation();
            destination->load = welcome.connections();
            if (stranger || welcome.state() == v1::MoveWelcome::NEVER) destination->closed = true;
            break;
        }
        case v1::MoveFrame::kAwaited: on_awaited(*destination, frame.awaited()); break;
        case v1::MoveFrame::kTaken: on_taken(*destination, frame.taken()); break;
        default: return;
    }
    go_on();
}

void Departures::on_awaited(Destination& destination, const v1::Awaited& awaited) {
    Batch& batch = destination.batch;
    if (awaited.number() != batch.number || batch.stage != Batch::Stage::announced) return;
    for (const v1::Awaited::Refusal& refusal : awaited.refusals()) {
        if (refusal.index() >= batch.sockets.size() || batch.sockets[refusal.index()] == nullptr) continue;
        Socket& socket = *batch.sockets[refusal.index()];
        settle(batch, refusal.index());
        if (refusal.code() == 0) {
            stay(socket);
        } else {
            socket.client().end(static_cast<std::uint16_t>(refusal.code()), refusal.message());
        }
    }
    if (batch.sockets.empty()) return;
    batch.stage = Batch::Stage::marking;
    if (!worker_.gateway().mark(batch.number, destination.incarnation)) abort(destination);
}

void Departures::on_marked(unsigned shard, const v1::Marked& marked) {
    if (marked.from() != worker_.gateway().incarnation()) return;
    for (const auto& destination : destinations_) {
        Batch& batch = destination->batch;
        if (batch.sockets.empty() || batch.number != marked.number() || batch.stage != Batch::Stage::marking) continue;
        if (marked.failed()) {
            destination->ready = false;  // until it says so again
            return abort(*destination);
        }
        for (Socket* socket : batch.sockets) {
            if (socket != nullptr) worker_.gateway().slip_out(socket->client(), shard);
        }
        if (++batch.marks == worker_.gateway().links()) send_all(*destination);
        return;
    }
}

void Departures::on_link_lost() {
    for (const auto& destination : destinations_) {
        if (!destination->batch.sockets.empty() && destination->batch.stage == Batch::Stage::marking) {
            abort(*destination);
        }
    }
}

void Departures::send_all(Destination& destination) {
    Batch& batch = destination.batch;
    batch.stage = Batch::Stage::sent;
    v1::MoveFrame frame;
    for (std::size_t i = 0; i < batch.sockets.size(); ++i) {
        if (batch.sockets[i] == nullptr) continue;
        Socket& socket = *batch.sockets[i];
        Connection& client = socket.client();
        v1::Moved& moved = *frame.mutable_moved();
        moved.Clear();
        moved.set_number(batch.number);
        moved.set_index(static_cast<std::uint32_t>(i));
        if (client.phase() != Connection::Phase::open) {  // it ends here
            moved.set_gone(true);
            destination.channel->send(frame);
            settle(batch, i);
            continue;
        }
        client.pack(moved);
        if (client.tally() != nullptr) static_cast<ConnectionRecord&>(*client.tally()).pack(*moved.mutable_tally());
        const int fd = socket.lend();
        if (!destination.channel->send(frame, fd)) return;  // its end comes, and with it what is to become of them
    }
}

void Departures::on_taken(Destination& destination, const v1::Taken& taken) {
    Batch& batch = destination.batch;
    if (taken.number() != batch.number || batch.stage != Batch::Stage::sent || taken.index() >= batch.sockets.size() ||
        batch.sockets[taken.index()] == nullptr) {
        return;
    }
    Socket& socket = *batch.sockets[taken.index()];
    settle(batch, taken.index());
    give_up_at_ = worker_.gateway().now() + kPatience;
    taken.refused() ? send_away(socket) : socket.leave_to_other();
}

void Departures::settle(Batch& batch, std::size_t index) noexcept {
    batch.sockets[index] = nullptr;
    if (--batch.left == 0) batch.sockets.clear();
}

void Departures::abort(Destination& destination) {
    Batch batch;
    std::swap(batch, destination.batch);
    for (std::size_t i = 0; i < batch.sockets.size(); ++i) {
        if (batch.sockets[i] == nullptr) continue;
        if (destination.channel && batch.stage != Batch::Stage::sent) {
            v1::MoveFrame frame;
            frame.mutable_moved()->set_number(batch.number);
            frame.mutable_moved()->set_index(static_cast<std::uint32_t>(i));
            frame.mutable_moved()->set_gone(true);
            destination.channel->send(frame);
        }
        if (batch.stage != Batch::Stage::sent && batch.marks == 0) {
            pending_.push_back(batch.sockets[i]);
        } else {
            send_away(*batch.sockets[i]);
        }
    }
}

void Departures::on_end(MoveChannel& channel, std::string_view why) {
    Destination* const destination = destination_of(channel);
    if (destination == nullptr) return;
    worker_.wake();
    if (!destination->batch.sockets.empty()) {
        ngx_log_error(NGX_LOG_WARN, cycle_->log, 0, "weft: worker %P does not take %uz connections: %*s",
                      destination->pid, destination->batch.left, why.size(), why.data());
    }
    destination->closed = true;
    abort(*destination);
}

Departures::Destination* Departures::destination_of(const MoveChannel& channel) noexcept {
    const auto found = std::ranges::find_if(
        destinations_, [&channel](const auto& destination) { return destination->channel.get() == &channel; });
    return found == destinations_.end() ? nullptr : found->get();
}

void Departures::stay(Socket& socket) {
    socket.client().go_on();
    worker_.drain_here(socket.client());
}

void Departures::send_away(Socket& socket) {
    if (socket.away()) socket.take_back();
    socket.client().go_on();
    socket.client().drain_now();
}

}  // namespace weft
