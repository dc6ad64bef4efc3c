// Workers in memory, and connections that move between them: see MovingHost. Without GoogleTest, for fuzz targets too.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "broker/broker.hpp"
#include "codec/codecs.hpp"
#include "gateway/gateway.hpp"
#include "gateway/leaver.hpp"
#include "gateway/stream_connection.hpp"
#include "gateway/websocket_connection.hpp"
#include "support/client_frames.hpp"
#include "support/require.hpp"

namespace weft::test {

/// What all of them share: a clock, how much sockets take, and where a mark is told.
struct MovingTimes {
    Instant now{std::chrono::milliseconds(1'000'000)};
    WallTime wall{std::chrono::milliseconds(1'700'000'000'000)};
    std::size_t room = SIZE_MAX;                                         // bytes that sockets still take
    std::function<void(LinkId, unsigned, const v1::Marked&)> on_marked;  // a worker is told of a moment
};

struct MovingClient {
    std::unique_ptr<Connection> connection;
    bool held = false;  // it has no socket: nothing is written, and nothing read
};

/// The places that connections are opened at: "usual", "strict" and "echo".
struct MovingPlaces {
    EndpointSettings usual, strict, echo;

    MovingPlaces() {
        usual.compression.on = true;
        strict.rate = {1.0, 2};
        strict.byte_rate = {100.0, 200};
        strict.max_message = 256;
        strict.send_queue = 4096;
        strict.max_subscriptions = 2;
        strict.first_subscribe = std::chrono::seconds(5);
        echo.echo = true;
    }

    [[nodiscard]] const EndpointSettings& at(std::string_view name) const noexcept {
        return name == "strict" ? strict : name == "echo" ? echo : usual;
    }
    [[nodiscard]] static const char* name(unsigned number) noexcept {
        constexpr const char* kNames[] = {"usual", "strict", "echo", "usual"};
        return kNames[number % 4];
    }
    [[nodiscard]] std::string_view name_of(const EndpointSettings& endpoint) const noexcept {
        return &endpoint == &strict ? "strict" : &endpoint == &echo ? "echo" : "usual";
    }
};

class MovingWorker final : private Gateway::Host, private LinkListener::Events {
public:
    MovingWorker(LinkId link, Broker& broker, MovingTimes& times)
        : link_(link), broker_(broker), times_(times), random_(link), listener_(welcome(), {}, kQueue, *this) {
        rules_.add({*ChannelPattern::parse("chat:**"), true});
        ChannelRule kept{*ChannelPattern::parse("kept:**"), true};
        kept.history_count = 8;
        kept.history_age = std::chrono::hours(1);
        kept.overflow = Overflow::drop_oldest;
        rules_.add(kept);
        ChannelRule room{*ChannelPattern::parse("room:**"), true};
        room.presence = true;
        room.overflow = Overflow::conflate;
        rules_.add(room);
        v1::Hello hello;
        hello.set_kind(v1::Hello::WORKER);
        hello.set_name("host/" + std::to_string(link));
        hello.set_incarnation(link);
        hello.mutable_rules()->set_generation(1);
        v1::ChannelRule& said = *hello.mutable_rules()->add_rules();
        said.set_pattern("kept:**");
        said.mutable_history()->set_count(kept.history_count);
        said.mutable_history()->set_age_ms(static_cast<std::uint64_t>(kept.history_age.count()));
        gateway_ = std::make_unique<Gateway>(hello, LinkTimings{}, rules_, counters_,
                                             static_cast<Gateway::Host&>(*this), times.now, times.wall);
        gateway_->link().on_connected(times.now);
    }
    ~MovingWorker() override {
        while (!clients_.empty()) destroy(*clients_.back());
    }

    [[nodiscard]] Gateway& gateway() { return *gateway_; }
    [[nodiscard]] LinkListener& listener() { return listener_; }
    [[nodiscard]] const std::vector<std::unique_ptr<MovingClient>>& clients() const { return clients_; }
    /// The last one, the one before it, and so on; null where there is none.
    [[nodiscard]] MovingClient* client(std::size_t number) {
        return number < clients_.size() ? clients_[clients_.size() - 1 - number].get() : nullptr;
    }

    // --- clients ---

    /// `argument`: its two low bits are the door (WebSocket, WebSocket, SSE, lines), the next two the place, the last
    /// one whether it is put into channels. `number`, from the low bits: compression, takeover of either side, windows
    /// (three bits each), subprotocol (two), whether its ticket ends, whether it has `info`.
    void connect(std::size_t argument, std::size_t number) {
        const bool several = (argument & 16) != 0;
        v1::Leaver how;
        how.set_location(MovingPlaces::name(argument >> 2 & 3));
        how.set_door((argument & 3) < 2    ? v1::Leaver::WEBSOCKET
                     : (argument & 3) == 2 ? v1::Leaver::SSE
                                           : v1::Leaver::LINES);
        how.set_subprotocol(std::string(wires_.subprotocols()[(number >> 9 & 3) % wires_.subprotocols().size()]));
        how.set_several(several);
        if ((number & 1) != 0) {
            how.mutable_deflate()->set_server_takeover((number & 2) != 0);
            how.mutable_deflate()->set_client_takeover((number & 4) != 0);
            how.mutable_deflate()->set_server_window(static_cast<std::uint32_t>(9 + (number >> 3 & 7) % 7));
            how.mutable_deflate()->set_client_window(static_cast<std::uint32_t>(8 + (number >> 6 & 7)));
        }
        MovingClient* const client = make(how);
        if (client == nullptr) return;
        auto identity = std::make_shared<Identity>();
        identity->user = (number & 2048) != 0 ? "ann" : "bob";
        REQUIRE(identity->grants.add_channels("**", kAllActions) && identity->grants.add_channels("!chat:no:*", 31) &&
                identity->grants.add_methods("weft.*"));
        identity->ticket = number;
        identity->since = times_.wall;
        if ((number & 4096) != 0) identity->expires_at = times_.wall + std::chrono::seconds(45);
        if ((number & 8192) != 0) identity->info = std::make_unique<const std::string>(R"({"nick":"a"})");
        if (several && how.location() != "echo") {
            auto entrance = std::make_unique<Entrance>();
            entrance->channels = {{"chat:in", {}}, {"kept:in", {}}};
            entrance->home = "chat:in";
            client->connection->enter_by(std::move(entrance));
        }
        gateway_->open(*client->connection, std::move(identity));
    }

    void receive(MovingClient& client, std::string_view bytes) {
        if (client.held) return;
        if (!client.connection->may_read()) return client.connection->pause_reading();
        const auto buffer = std::make_unique<char[]>(bytes.size() + websocket::kPadding);
        std::ranges::copy(bytes, buffer.get());
        client.connection->receive({buffer.get(), bytes.size()});
    }
    void say(MovingClient& client, std::string_view text) {
        receive(client, websocket::test::client_frame(websocket::Opcode::text, text));
    }

    // --- those who come, as a worker that hears of them does it ---

    /// Null: it isn't let in.
    MovingClient* expect(const v1::Leaver& leaver) {
        if (!is_sound(leaver)) return nullptr;
        auto identity = read_identity(leaver.identity());
        if (!identity || gateway_->objection(*identity, leaver.client_id())) return nullptr;
        MovingClient* const client = make(leaver);
        if (client == nullptr) return nullptr;
        client->held = true;
        gateway_->expect(*client->connection, std::move(identity), leaver);
        guests_.push_back(client);
        return client;
    }
    /// The moment has come for those who are expected and for whom no moment came yet; who can't be in its channels
    /// then is gone.
    void slip_in_all() {
        const auto guests = guests_;
        for (MovingClient* guest : guests) {
            if (guest != nullptr && !gateway_->slip_in(*guest->connection, 0)) destroy(*guest);
        }
    }
    /// The rest of the one who was expected as number `index`.
    void resume(const v1::Moved& rest) {
        if (rest.index() >= guests_.size() || guests_[rest.index()] == nullptr) return;
        MovingClient& client = *std::exchange(guests_[rest.index()], nullptr);
        if (rest.gone()) return destroy(client);
        gateway_->resume_moved(*client.connection, rest);
        release(client);
    }
    /// Nobody is expected any more; those who are here stay.
    void forget_guests() { guests_.clear(); }
    /// It has a socket.
    void release(MovingClient& client) {
        client.held = false;
        gateway_->mark_dirty(*client.connection);
    }
    [[nodiscard]] std::vector<MovingClient*> at_rest() {
        std::vector<MovingClient*> found;
        for (const auto& client : clients_) {
            if (can_move(*client)) found.push_back(client.get());
        }
        return found;
    }
    [[nodiscard]] bool can_move(const MovingClient& client) const {
        return !client.held && gateway_->movable(*client.connection) == Gateway::Movable::now;
    }
    /// Whether it is here still.
    [[nodiscard]] bool has(const MovingClient* client) const {
        return std::ranges::any_of(clients_, [client](const auto& one) { return one.get() == client; });
    }
    void forget_moved(MovingClient& client) {
        gateway_->forget_moved(*client.connection);
        erase(client);
    }
    [[nodiscard]] std::string_view place_of(const MovingClient& client) const {
        return places_.name_of(client.connection->endpoint());
    }

    // --- turns and time ---

    /// One exchange with weftd, and the turn's end; false when there was nothing to do.
    bool turn() {
        bool any = false;
        while (gateway_->link().next_batch(batch_, times_.now)) {
            listener_.on_message(batch_, times_.now);
            any = true;
        }
        while (listener_.next_batch(batch_, times_.now)) {
            gateway_->link().on_message(batch_, times_.now);
            any = true;
        }
        if (!turn_due_) return any;
        turn_due_ = false;
        gateway_->end_turn();
        gateway_->resume_paused();
        return true;
    }
    /// A frame of weftd's, for this worker alone.
    void hear(const v1::Frame& frame) { REQUIRE(listener_.send(frame.SerializeAsString(), times_.now)); }
    void tick() {
        gateway_->set_time(times_.now, times_.wall);
        gateway_->tick();
        listener_.on_tick(times_.now);
    }
    /// The sockets can take something again.
    void flush_all() {
        for (std::size_t i = clients_.size(); i-- > 0;) {
            if (i < clients_.size() && !clients_[i]->connection->queue().empty()) flush(*clients_[i]->connection);
        }
    }

private:
    static constexpr std::size_t kQueue = std::size_t{64} << 20;

    static v1::Welcome welcome() {
        v1::Welcome welcome;
        welcome.set_node("node");
        welcome.set_marks(true);
        return welcome;
    }

    MovingClient* make(const v1::Leaver& how) {
        const EndpointSettings& endpoint = places_.at(how.location());
        auto client = std::make_unique<MovingClient>();
        if (how.door() == v1::Leaver::WEBSOCKET) {
            const auto [wire, deflate] = read_speech(how, wires_, endpoint.compression.deflate);
            client->connection = std::make_unique<WebSocketConnection>(*gateway_, endpoint, *wire, deflate);
        } else {
            StreamWire* const wire = read_stream(how, wires_);
            if (wire == nullptr || endpoint.echo) return nullptr;
            client->connection = std::make_unique<StreamConnection>(
                *gateway_, endpoint, *wire, how.several() ? std::make_unique<ChannelPositions>() : nullptr);
        }
        return clients_.emplace_back(std::move(client)).get();
    }
    void erase(MovingClient& client) {
        std::ranges::replace(guests_, &client, nullptr);
        std::erase_if(clients_, [&client](const auto& one) { return one.get() == &client; });
    }
    void destroy(MovingClient& client) {
        gateway_->remove(*client.connection);
        erase(client);
    }

    // Gateway::Host
    void schedule_turn_end() override { turn_due_ = true; }
    void flush(Connection& connection) override {
        const auto found =
            std::ranges::find(clients_, &connection, [](const auto& one) { return one->connection.get(); });
        REQUIRE(found != clients_.end());
        if ((*found)->held) return;
        if (connection.phase() == Connection::Phase::aborted) return destroy(**found);
        char scratch[4096];
        while (!connection.queue().empty() && times_.room > 0) {
            const std::size_t size = std::min(connection.next_bytes(scratch, sizeof scratch).size(), times_.room);
            REQUIRE(size > 0);
            if (times_.room != SIZE_MAX) times_.room -= size;
            connection.on_written(size);
        }
        if (!connection.queue().empty()) connection.on_blocked();
        if (connection.queue().empty() && connection.phase() == Connection::Phase::finished) destroy(**found);
    }
    void read_on(Connection&) override {}
    void visit(const std::function<void(Connection&)>& visit) override {
        for (const auto& client : clients_) visit(*client->connection);
    }
    std::uint64_t random() override { return random_(); }
    void log(Gateway::Level, std::string_view) override {}
    void on_marked(unsigned shard, const v1::Marked& marked) override {
        if (times_.on_marked) times_.on_marked(link_, shard, marked);
    }

    // LinkListener::Events
    std::string on_dialer_up(const v1::Hello& hello, Instant now) override {
        broker_.on_link_up(link_, LinkRole::worker, hello.name(), now, {.incarnation = hello.incarnation()});
        broker_.on_rules(hello.rules());
        return {};
    }
    void on_dialer_down(std::string_view, Instant now) override { broker_.on_link_down(link_, now); }
    void on_dialer_rejected(std::string_view, Instant) override {}
    void on_dialer_frame(v1::Frame& frame, Instant now) override { broker_.on_frame(link_, frame, now, times_.wall); }

    LinkId link_;
    Broker& broker_;
    MovingTimes& times_;
    std::mt19937_64 random_;
    MovingPlaces places_;
    ChannelRules rules_;
    Counters counters_;
    std::vector<std::unique_ptr<Codec>> codecs_ = make_codecs({});
    WireTable wires_{codecs_, counters_};
    LinkListener listener_;
    std::unique_ptr<Gateway> gateway_;
    std::vector<std::unique_ptr<MovingClient>> clients_;
    std::vector<MovingClient*> guests_;  // by number; null: gone, or served here by now
    std::string batch_;
    bool turn_due_ = false;
};

}  // namespace weft::test
