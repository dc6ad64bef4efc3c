#include "ngx/departures.hpp"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "move/rendezvous.hpp"
#include "ngx/worker.hpp"
#include "ngx/zone.hpp"

namespace weft {

Departures::Departures(Worker& worker, ngx_cycle_t* cycle, std::string directory, std::uint64_t generation)
    : worker_(worker), cycle_(cycle), directory_(std::move(directory)), generation_(generation) {
    const auto* core = reinterpret_cast<ngx_core_conf_t*>(ngx_get_conf(cycle->conf_ctx, ngx_core_module));
    other_master_ = std::string(view(core->oldpid));
}

Departures::~Departures() = default;

bool Departures::add(Socket& socket) {
    if (!socket.can_move() || worker_.gateway().movable(socket.client()) == Gateway::Movable::never) return false;
    const Instant now = worker_.gateway().now();
    const bool first = !destinations_.begun();
    destinations_.on_departure(now);
    if (first && destinations_.look(now)) look_for_workers();
    if (!destinations_.expect_anybody(now, [this] { return others_come(); })) return false;
    pending_.push_back(&socket);
    return true;
}

bool Departures::others_come() const {
    // In a binary upgrade there are two masters, of which one goes.
    return latest_generation(worker_.settings().zone) != generation_ || ::access(other_master_.c_str(), F_OK) == 0;
}

void Departures::forget(const Socket& socket) noexcept {
    if (!destinations_.begun()) return;
    std::erase(pending_, &socket);
    for (const auto& route : routes_) {
        const std::size_t index = route->batch.find(socket);
        if (index == route->batch.size()) continue;
        say_gone(*route, route->batch.number(), index);
        settle(*route, index);
        return;
    }
}

void Departures::look_for_workers() {
    const auto pids = Rendezvous::others(directory_, ngx_pid);
    if (!pids) return;
    for (const pid_t pid : *pids) {
        if (!destinations_.wants(pid)) continue;
        auto channel = Rendezvous::connect(directory_, pid);
        if (!channel) continue;
        MoveChannel::Events& events = *this;
        std::unique_ptr<MoveChannel> watched;
        try {
            watched = std::make_unique<MoveChannel>(std::move(*channel), events, cycle_);
        } catch (const std::runtime_error&) {
            return;  // this worker has no connection left for it, which nginx has logged; it may at the next look
        }
        routes_.push_back(std::make_unique<Route>(destinations_.add(pid), std::move(watched)));
        say_hello(*routes_.back());
    }
}

void Departures::say_hello(Route& route) {
    v1::MoveFrame frame;
    v1::MoveHello& hello = *frame.mutable_hello();
    hello.set_version(kMoveVersion);
    hello.set_software(WEFT_VERSION);
    hello.set_generation(generation_);
    hello.set_incarnation(worker_.gateway().incarnation());
    route.channel->send(frame);
}

void Departures::run() {
    if (!destinations_.begun()) return;
    for (const auto& route : routes_) {
        if (route->batch.overdue(worker_.gateway().now())) on_overdue(*route);
    }
    // By name those that have gone stay known, so that nobody asks them again.
    std::erase_if(routes_, [](const auto& route) { return route->worker.closed && route->batch.empty(); });
    go_on();
}

void Departures::go_on() {
    if (pending_.empty()) return;
    const Instant now = worker_.gateway().now();
    if (destinations_.look(now)) {
        look_for_workers();
        for (const auto& route : routes_) {
            if (!route->worker.closed && !route->worker.ready) say_hello(*route);
        }
    }
    if (worker_.gateway().links_mark()) {
        while (!pending_.empty()) {
            Route* const route = next_route();
            if (route == nullptr) break;
            const std::size_t before = pending_.size();
            announce(*route);
            if (pending_.size() == before) break;
        }
    }
    if (!destinations_.give_up(now, [this] { return others_come(); })) return;
    std::vector<Socket*> rest;
    rest.swap(pending_);
    for (Socket* socket : rest) stay(*socket);
}

Departures::Route* Departures::next_route() noexcept {
    const Destination* const next = destinations_.next();
    const auto found = std::ranges::find_if(routes_, [next](const auto& route) { return &route->worker == next; });
    return found == routes_.end() ? nullptr : found->get();
}

/// As many of those that wait as are at rest, and as one message can tell of.
void Departures::announce(Route& route) {
    v1::MoveFrame frame;
    v1::Leaving& leaving = *frame.mutable_leaving();
    std::vector<Socket*> going, waiting;
    std::size_t still = 0, said = 0;
    while (!pending_.empty() && going.size() < kBatch && still < kMaxStill) {
        Socket& socket = *pending_.back();
        pending_.pop_back();
        Connection& client = socket.client();
        const Gateway::Movable movable = worker_.gateway().movable(client);
        v1::Leaver leaver;
        if (movable == Gateway::Movable::never || !socket.can_move() || client.queue().bytes() > kMostUnsent ||
            !client.describe(leaver)) {
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
        const std::size_t size = leaver.ByteSizeLong() + 16;  // with its tag and length, and a refusal in the answer
        if (size > kMostSaid) {
            stay(socket);
            continue;
        }
        if (!going.empty() && said + size > kMostSaidTogether) {
            client.go_on();  // it is at rest, and is of the next message
            pending_.push_back(&socket);
            break;
        }
        said += size;
        *leaving.add_leavers() = std::move(leaver);
        going.push_back(&socket);
    }
    pending_.insert(pending_.begin(), waiting.begin(), waiting.end());
    if (going.empty()) return;
    leaving.set_number(++last_number_);
    route.worker.load += going.size();
    route.worker.busy = true;
    route.batch.announce(last_number_, std::move(going));
    renew(route);
    if (!route.channel->send(frame)) abort(route);
}

void Departures::on_frame(MoveChannel& channel, v1::MoveFrame& frame, UniqueFd) {
    Route* const route = route_of(channel);
    if (route == nullptr) return;
    worker_.wake();
    switch (frame.body_case()) {
        case v1::MoveFrame::kWelcome: on_welcome(*route, frame.welcome()); break;
        case v1::MoveFrame::kAwaited: on_awaited(*route, frame.awaited()); break;
        case v1::MoveFrame::kTaken: on_taken(*route, frame.taken()); break;
        default: return;
    }
    go_on();
}

void Departures::on_welcome(Route& route, const v1::MoveWelcome& welcome) {
    using Answer = Destination::Answer;
    const bool stranger = welcome.version() != kMoveVersion || welcome.software() != WEFT_VERSION;
    if (stranger) {
        ngx_log_error(NGX_LOG_NOTICE, cycle_->log, 0,
                      "weft: connections don't move to worker %P, which is of another version: \"%s\"",
                      route.worker.pid, welcome.software().c_str());
    }
    const bool never = stranger || welcome.state() == v1::MoveWelcome::NEVER;
    route.incarnation = welcome.incarnation();
    route.worker.on_answer(never                                       ? Answer::never
                           : welcome.state() == v1::MoveWelcome::READY ? Answer::ready
                                                                       : Answer::not_yet,
                           welcome.connections());
}

void Departures::on_awaited(Route& route, const v1::Awaited& awaited) {
    Batch& batch = route.batch;
    if (!batch.is(awaited.number(), Batch::Stage::announced)) return;
    for (const v1::Awaited::Refusal& refusal : awaited.refusals()) {
        Socket* const socket = batch.at(refusal.index());
        if (socket == nullptr) continue;
        settle(route, refusal.index());
        if (refusal.code() == 0) {
            stay(*socket);
        } else {
            socket->client().end(static_cast<std::uint16_t>(refusal.code()), refusal.message());
        }
    }
    if (batch.empty()) return;
    batch.mark();
    renew(route);
    if (!worker_.gateway().mark(batch.number(), route.incarnation)) abort(route);
}

void Departures::on_marked(unsigned shard, const v1::Marked& marked) {
    if (marked.from() != worker_.gateway().incarnation()) return;
    for (const auto& route : routes_) {
        Batch& batch = route->batch;
        if (!batch.is(marked.number(), Batch::Stage::marking)) continue;
        if (marked.failed()) {
            route->worker.ready = false;  // until it says so again
            return abort(*route);
        }
        for (std::size_t i = 0; i < batch.size(); ++i) {
            if (Socket* const socket = batch.at(i)) worker_.gateway().slip_out(socket->client(), shard);
        }
        renew(*route);
        if (batch.on_marked(worker_.gateway().links())) send_all(*route);
        return;
    }
}

void Departures::on_link_lost() {
    for (const auto& route : routes_) {
        if (!route->batch.empty() && route->batch.stage() == Batch::Stage::marking) abort(*route);
    }
}

void Departures::send_all(Route& route) {
    Batch& batch = route.batch;
    v1::MoveFrame frame;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (batch.at(i) == nullptr) continue;
        Socket& socket = *batch.at(i);
        Connection& client = socket.client();
        v1::Moved& moved = *frame.mutable_moved();
        moved.Clear();
        moved.set_number(batch.number());
        moved.set_index(static_cast<std::uint32_t>(i));
        const bool open = client.phase() == Connection::Phase::open;  // else it ends here
        if (open) {
            client.pack(moved);
            if (client.tally() != nullptr) static_cast<ConnectionRecord&>(*client.tally()).pack(*moved.mutable_tally());
        }
        if (!open || frame.ByteSizeLong() > kMaxMessage) {
            say_gone(route, batch.number(), i);
            settle(route, i);
            if (open) send_away(socket);
            continue;
        }
        const int fd = socket.lend();
        if (!route.channel->send(frame, fd)) return;  // its end comes, and with it what is to become of them
    }
}

void Departures::on_taken(Route& route, const v1::Taken& taken) {
    Socket* const socket = route.batch.at(taken.index());
    if (!route.batch.is(taken.number(), Batch::Stage::sent) || socket == nullptr) return;
    settle(route, taken.index());
    renew(route);
    destinations_.on_success(worker_.gateway().now());
    taken.refused() ? send_away(*socket) : socket->leave_to_other();
}

void Departures::say_gone(Route& route, std::uint64_t number, std::size_t index) {
    v1::MoveFrame frame;
    frame.mutable_moved()->set_number(number);
    frame.mutable_moved()->set_index(static_cast<std::uint32_t>(index));
    frame.mutable_moved()->set_gone(true);
    route.channel->send(frame);
}

void Departures::settle(Route& route, std::size_t index) noexcept {
    route.batch.settle(index);
    route.worker.busy = !route.batch.empty();
}

void Departures::renew(Route& route) {
    route.batch.expect_by(worker_.gateway().now() + kWait);
}

void Departures::on_overdue(Route& route) {
    ngx_log_error(NGX_LOG_WARN, cycle_->log, 0,
                  "weft: nothing was heard of %uz connections that move to worker %P for %d seconds",
                  route.batch.left(), route.worker.pid, static_cast<int>(kWait.count()));
    route.worker.ready = false;  // until it says so again
    if (route.batch.can_be_called_off()) return abort(route, Rest::stays);
    renew(route);
    route.channel->take_back();  // its end comes, and with it what is to become of them
}

void Departures::abort(Route& route, Rest rest) {
    const Batch batch = std::exchange(route.batch, {});
    route.worker.busy = false;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        Socket* const socket = batch.at(i);
        if (socket == nullptr) continue;
        if (batch.can_be_called_off()) say_gone(route, batch.number(), i);
        if (!batch.can_stay()) {
            send_away(*socket);
        } else if (rest == Rest::tried_again) {
            pending_.push_back(socket);
        } else {
            stay(*socket);
        }
    }
}

void Departures::on_end(MoveChannel& channel, std::string_view why) {
    Route* const route = route_of(channel);
    if (route == nullptr) return;
    worker_.wake();
    if (!route->batch.empty()) {
        ngx_log_error(NGX_LOG_WARN, cycle_->log, 0, "weft: worker %P does not take %uz connections: %*s",
                      route->worker.pid, route->batch.left(), why.size(), why.data());
    }
    route->worker.closed = true;
    abort(*route);
}

Departures::Route* Departures::route_of(const MoveChannel& channel) noexcept {
    const auto found =
        std::ranges::find_if(routes_, [&channel](const auto& route) { return route->channel.get() == &channel; });
    return found == routes_.end() ? nullptr : found->get();
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
