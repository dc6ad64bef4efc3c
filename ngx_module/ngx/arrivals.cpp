#include "ngx/arrivals.hpp"

#include <algorithm>
#include <utility>

#include "gateway/leaver.hpp"
#include "gateway/stream_connection.hpp"
#include "gateway/websocket_connection.hpp"
#include "ngx/door.hpp"
#include "ngx/watched_fd.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

constexpr Code kReconnect{};  // no code: the client is to come anew

event::Error come_anew(std::string_view why) {
    return {kReconnect, why, {}};
}

}  // namespace

std::unique_ptr<Arrivals> Arrivals::open(Worker& worker, const MainSettings& settings, const std::string& directory,
                                         ngx_cycle_t* cycle) {
    auto rendezvous = Rendezvous::open(directory, ngx_pid);
    if (!rendezvous) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "weft: no connections can move to this worker: %s",
                      rendezvous.error().c_str());
        return nullptr;
    }
    return std::unique_ptr<Arrivals>(new Arrivals(worker, settings, std::move(*rendezvous), cycle));
}

Arrivals::Arrivals(Worker& worker, const MainSettings& settings, Rendezvous rendezvous, ngx_cycle_t* cycle)
    : worker_(worker), settings_(settings), rendezvous_(std::move(rendezvous)), cycle_(cycle) {
    listening_ = watch_fd(rendezvous_.fd(), on_connection, this, cycle_);
}

Arrivals::~Arrivals() {
    unwatch_fd(listening_);
    for (const auto& origin : origins_) {
        for (const auto& party : origin->parties) {
            for (Guest& guest : party->guests) drop(guest);
        }
    }
}

void Arrivals::on_connection(ngx_event_t* event) noexcept {
    auto& arrivals = *static_cast<Arrivals*>(static_cast<ngx_connection_t*>(event->data)->data);
    try {
        for (;;) {
            auto peer = arrivals.rendezvous_.accept();
            if (!peer) {
                ngx_log_error(NGX_LOG_WARN, arrivals.cycle_->log, 0, "weft: %s", peer.error().text.c_str());
                if (peer.error().kind == Rendezvous::ErrorKind::stranger) continue;
                return arrivals.pause();
            }
            if (!*peer) return;
            auto origin = std::make_unique<Origin>();
            MoveChannel::Events& events = arrivals;
            origin->channel = std::make_unique<MoveChannel>(std::move((*peer)->channel), events, arrivals.cycle_);
            arrivals.origins_.push_back(std::move(origin));
        }
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, arrivals.cycle_->log, 0, "weft: %s", error.what());
    }
}

/// Who waits to be accepted would wake this worker again at once, and so on until something is closed.
void Arrivals::pause() {
    ngx_del_event(listening_->read, NGX_READ_EVENT, 0);
    listen_again_at_ = worker_.gateway().now() + kPause;
}

void Arrivals::listen_again() {
    if (!listen_again_at_ || worker_.gateway().now() < *listen_again_at_) return;
    listen_again_at_.reset();
    ngx_add_event(listening_->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
}

Arrivals::Origin* Arrivals::origin_of(const MoveChannel& channel) noexcept {
    const auto found =
        std::ranges::find_if(origins_, [&channel](const auto& origin) { return origin->channel.get() == &channel; });
    return found == origins_.end() ? nullptr : found->get();
}

void Arrivals::for_each(const std::function<void(Carrier&)>& visit) {
    for (const auto& origin : origins_) {
        for (const auto& party : origin->parties) {
            for (Guest& guest : party->guests) {
                if (guest.socket) visit(*guest.socket);
            }
        }
    }
}

void Arrivals::on_frame(MoveChannel& channel, v1::MoveFrame& frame, UniqueFd fd) {
    Origin* const origin = origin_of(channel);
    if (origin == nullptr) return;
    worker_.wake();
    switch (frame.body_case()) {
        case v1::MoveFrame::kHello: return welcome(*origin, frame.hello());
        case v1::MoveFrame::kLeaving: return expect(*origin, frame.leaving());
        case v1::MoveFrame::kMoved: return on_moved(*origin, *frame.mutable_moved(), std::move(fd));
        default: return;
    }
}

void Arrivals::welcome(Origin& origin, const v1::MoveHello& hello) {
    origin.incarnation = hello.incarnation();
    v1::MoveFrame frame;
    v1::MoveWelcome& welcome = *frame.mutable_welcome();
    welcome.set_version(kMoveVersion);
    welcome.set_software(WEFT_VERSION);
    welcome.set_generation(settings_.generation);
    welcome.set_incarnation(worker_.gateway().incarnation());
    welcome.set_connections(worker_.gateway().connections());
    const bool never = ngx_exiting != 0 || hello.version() != kMoveVersion || hello.software() != WEFT_VERSION ||
                       hello.generation() == settings_.generation;
    welcome.set_state(never                            ? v1::MoveWelcome::NEVER
                      : worker_.gateway().links_mark() ? v1::MoveWelcome::READY
                                                       : v1::MoveWelcome::NOT_YET);
    origin.channel->send(frame);
}

void Arrivals::expect(Origin& origin, const v1::Leaving& leaving) {
    const bool too_many =
        leaving.leavers_size() > static_cast<int>(kMostLeavers) || origin.parties.size() >= kMostParties;
    if (ngx_exiting || too_many) return origin.channel->take_back();  // they will look for somebody else
    Party& party = *origin.parties.emplace_back(std::make_unique<Party>(leaving.number()));
    party.answer.set_number(leaving.number());
    party.guests.resize(static_cast<std::size_t>(leaving.leavers_size()));
    for (std::size_t i = 0; i < party.guests.size(); ++i) {
        Guest& guest = party.guests[i];
        const auto why = take_in(guest, leaving.leavers(static_cast<int>(i)));
        party.add(!why);
        if (!why) continue;
        v1::Awaited::Refusal& refusal = *party.answer.add_refusals();
        refusal.set_index(static_cast<std::uint32_t>(i));
        refusal.set_code(static_cast<std::uint32_t>(why->code));
        refusal.set_message(std::string(why->message));
    }
    run();
}

std::optional<event::Error> Arrivals::take_in(Guest& guest, const v1::Leaver& leaver) {
    const auto found = settings_.locations.find(leaver.location());
    if (found == settings_.locations.end() || found->second == nullptr) {
        return come_anew("its location is not in nginx.conf any more");
    }
    const LocationSettings& location = *found->second;
    if (leaver.terms() != location.terms()) return come_anew("its location lets others in than before");
    auto identity = is_sound(leaver) ? read_identity(leaver.identity()) : nullptr;
    if (!identity) return come_anew("what is said of it makes no sense");
    if (auto why = worker_.gateway().objection(*identity, leaver.client_id())) return why;
    guest.socket = make_socket(leaver, location);
    if (!guest.socket) return come_anew("its location is another door than before");
    guest.socket->await_socket();
    guest.address = leaver.address();
    worker_.gateway().expect(guest.socket->client(), std::move(identity), leaver);
    return std::nullopt;
}

std::unique_ptr<Socket> Arrivals::make_socket(const v1::Leaver& leaver, const LocationSettings& location) {
    if (leaver.door() == v1::Leaver::WEBSOCKET) {
        if (location.stream) return nullptr;
        const auto [wire, deflate] = read_speech(leaver, worker_.wires(), location.endpoint.compression.deflate);
        return std::make_unique<SocketOf<WebSocketConnection>>(worker_, location.endpoint, *wire, deflate);
    }
    StreamWire* const wire = read_stream(leaver, worker_.wires());
    if (wire == nullptr || location.stream != wire->kind()) return nullptr;
    return std::make_unique<SocketOf<StreamConnection>>(
        worker_, location.endpoint, *wire, leaver.several() ? std::make_unique<ChannelPositions>() : nullptr);
}

void Arrivals::run() {
    listen_again();
    for (const auto& origin : origins_) {
        if (origin->channel && origin->channel->ended()) origin->channel.reset();
        for (const auto& party : origin->parties) {
            if (party->awaited()) continue;
            const bool ready = std::ranges::all_of(party->guests, [this](const Guest& guest) {
                return !guest.socket || worker_.gateway().expected_everywhere(guest.socket->client());
            });
            if (!ready || !origin->channel) continue;
            party->await();
            v1::MoveFrame frame;
            *frame.mutable_awaited() = party->answer;
            origin->channel->send(frame);
        }
        std::erase_if(origin->parties, [](const auto& party) { return party->over(); });
    }
    std::erase_if(origins_, [](const auto& origin) { return !origin->channel; });
}

void Arrivals::on_marked(unsigned shard, const v1::Marked& marked) {
    if (marked.to() != worker_.gateway().incarnation()) return;
    for (const auto& origin : origins_) {
        if (origin->incarnation != marked.from()) continue;
        for (const auto& party : origin->parties) {
            if (party->number() != marked.number() || !party->expects_marks(worker_.gateway().links())) continue;
            for (Guest& guest : party->guests) {
                if (guest.socket && !worker_.gateway().slip_in(guest.socket->client(), shard)) drop(guest);
            }
            if (!party->on_marked(worker_.gateway().links())) return;
            for (std::size_t i = 0; i < party->guests.size(); ++i) settle_in(*origin, *party, i);
            return;
        }
    }
}

void Arrivals::on_link_lost() {
    for (const auto& origin : origins_) {
        for (const auto& party : origin->parties) {
            if (!party->on_link_lost(worker_.gateway().links())) continue;
            for (std::size_t i = 0; i < party->guests.size(); ++i) {
                drop(party->guests[i]);
                settle_in(*origin, *party, i);
            }
        }
    }
}

void Arrivals::on_moved(Origin& origin, v1::Moved& moved, UniqueFd fd) {
    const auto found =
        std::ranges::find_if(origin.parties, [&moved](const auto& party) { return party->number() == moved.number(); });
    if (found == origin.parties.end()) return;
    Party& party = **found;
    const std::uint32_t index = moved.index();
    if (moved.gone()) {
        if (party.on_gone(index)) drop(party.guests[index]);
        return;
    }
    if (!party.on_here(index)) return;
    party.guests[index].rest = std::move(moved);
    party.guests[index].fd = std::move(fd);
    if (party.decided(worker_.gateway().links())) settle_in(origin, party, index);
}

/// From here on it is this worker's, if all has come.
void Arrivals::settle_in(Origin& origin, Party& party, std::size_t index) {
    if (!party.settle(index)) return;
    Guest& guest = party.guests[index];
    const v1::Moved rest = std::move(*guest.rest);
    guest.rest.reset();
    v1::MoveFrame frame;
    v1::Taken& taken = *frame.mutable_taken();
    taken.set_number(party.number());
    taken.set_index(static_cast<std::uint32_t>(index));
    ngx_connection_t* connection = nullptr;
    if (guest.socket && guest.fd) {
        connection = connect_moved(guest.fd.release(), guest.address, cycle_);
    }
    taken.set_refused(connection == nullptr);
    guest.fd.reset();
    if (!origin.channel->send(frame) && connection != nullptr) {
        // The other worker may have taken it back.
        ngx_http_close_connection(connection);
        connection = nullptr;
    }
    if (connection == nullptr) return drop(guest);
    Socket& socket = *guest.socket.release();
    Connection& client = socket.client();
    const LocationSettings& location = *client.endpoint().location;
    // There is no limit for who is here already: it is counted twice for a moment.
    worker_.admission().admit(*connection, client.user(), ConnectionLimits(), socket.hold());
    if (location.endpoint.address_rate.limited()) {
        client.set_address_key(rate_key(*connection, rates_of(worker_.settings().zone)));
    }
    if (rest.has_tally() && location.logs) {
        socket.keep_record(ConnectionRecord::unpack(rest.tally(), *location.logs));
    }
    socket.attach(connection, rest);
    if (ngx_exiting) worker_.drain(client);
}

void Arrivals::drop(Guest& guest) {
    if (!guest.socket) return;
    worker_.gateway().remove(guest.socket->client());
    guest.socket.reset();
}

void Arrivals::on_end(MoveChannel& channel, std::string_view) {
    Origin* const origin = origin_of(channel);
    if (origin == nullptr) return;
    worker_.wake();
    for (const auto& party : origin->parties) {
        for (Guest& guest : party->guests) drop(guest);
    }
    origin->parties.clear();
}

}  // namespace weft
