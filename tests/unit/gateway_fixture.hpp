// A worker in memory, for tests of ngx_module/gateway: clients whose sockets are strings, a clock that the test moves,
// and a far end of the link that the test plays (ScriptedWeftd) or a real Broker plays (BrokerWeftd).
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "broker/broker.hpp"
#include "codec/json_codec.hpp"
#include "codec/text_rules.hpp"
#include "gateway/gateway.hpp"
#include "gateway/websocket_connection.hpp"
#include "support/client_frames.hpp"

namespace weft::test {

using namespace std::chrono_literals;
using websocket::Opcode;
using websocket::test::client_frame;
using websocket::test::close_payload;

/// What somebody was sent, a line a frame: see describe().
using Lines = std::vector<std::string>;

// --- reading what a client gets ----------------------------------------------------------------------------------

/// The value at a JSON pointer, as JSON without space; empty when there is none. A string comes without its quotes
/// (and unescaped).
inline std::string json_at(std::string_view json, std::string_view pointer) {
    static simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::element found;
    if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return "NOT JSON";
    if (root.at_pointer(pointer).get(found) != simdjson::SUCCESS) return {};
    std::string_view text;
    if (found.get_string().get(text) == simdjson::SUCCESS) return std::string(text);
    return simdjson::minify(found);
}

/// A server's message in one line: the type, "#" and the id, then what matters of the payload:
///   "subscribed#1 chat:a @k.3 recovered"   "event chat:a {"n":1} @k.4"   "error#2 4017 retry 1000"
inline std::string describe(std::string_view json) {
    const auto at = [&](const char* name) { return json_at(json, std::string("/payload/") + name); };
    const auto add = [&](std::string& line, const char* before, const std::string& value) {
        if (!value.empty()) line += before + value;
    };
    const std::string type = json_at(json, "/type");
    std::string line = type;
    add(line, "#", json_at(json, "/id"));
    if (type == "error") {
        add(line, " ", at("code"));
        add(line, " retry ", at("retry_after_ms"));
        return line;
    }
    add(line, " ", at("channel"));
    if (type == "signal") add(line, " ", at("name"));
    add(line, " ", at("data"));
    add(line, " ", at("result"));
    if (type == "published") add(line, " ", at("message_id"));
    add(line, " @", at("position"));
    if (at("recovered") == "true") line += " recovered";
    if (type == "unsubscribed") add(line, " ", at("code"));
    return line;
}

struct ServerFrameBytes {
    Opcode opcode;
    std::string payload;
};

/// Takes the whole frames off the front of `bytes`; the beginning of an unfinished one stays.
inline std::vector<ServerFrameBytes> take_frames(std::string& bytes) {
    std::vector<ServerFrameBytes> frames;
    std::size_t at = 0;
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
    while (bytes.size() - at >= 2) {
        EXPECT_EQ(byte(at) & 0xF0, 0x80) << "a server's frames are final and use no extension";
        EXPECT_LT(byte(at + 1), 0x80) << "a server masks nothing";
        std::uint64_t size = byte(at + 1);
        const std::size_t length_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
        if (bytes.size() - at < 2 + length_bytes) break;
        if (length_bytes > 0) size = 0;
        for (std::size_t i = 0; i < length_bytes; ++i) size = size << 8 | byte(at + 2 + i);
        if (bytes.size() - at - 2 - length_bytes < size) break;
        frames.push_back({static_cast<Opcode>(byte(at) & 0x0F), bytes.substr(at + 2 + length_bytes, size)});
        at += 2 + length_bytes + size;
    }
    bytes.erase(0, at);
    return frames;
}

class Socket;

/// A back end; it hears lines such as "published mine @k.1", "failed 4017 retry 1000" and "{"nodes":[…]}".
struct BackEnd final : RequestObserver {
    Lines heard;
    std::function<void()> then;  // at each call
    void on_answer(const ServerFrame& answer) override {
        if (const auto* published = std::get_if<event::Published>(&answer.body)) {
            heard.push_back("published " + std::string(published->message_id) + " @" +
                            std::string(published->position));
        } else if (const auto* error = std::get_if<event::Error>(&answer.body)) {
            heard.push_back("failed " + std::to_string(static_cast<unsigned>(error->code)) + " retry " +
                            std::to_string(error->retry_after.count()));
        } else if (const auto* result = std::get_if<event::RpcResponse>(&answer.body)) {
            heard.emplace_back(result->result);
        } else {
            std::string json;
            JsonCodec().encode(answer, json);
            heard.push_back(json);
        }
        if (then) then();
    }
};

/// The far side of a client's socket. Outlives the Connection.
class Client {
public:
    Socket* socket = nullptr;                                  // null once the worker has closed it
    std::string bytes;                                         // received and not yet looked at
    std::size_t room = SIZE_MAX;                               // bytes that the socket still takes from the worker
    bool paused = false;                                       // what it sends stays in its socket
    bool breaks = false;                                       // the next write fails
    std::size_t flushes = 0;                                   // how often the worker flushed this connection
    std::vector<std::pair<const char*, std::size_t>> written;  // the views that writes were made from
    std::vector<std::string> texts;                            // payloads of the text messages of the last take()
    std::uint64_t id = 0;                                      // client_id
    std::uint16_t close_code = 0;                              // Connection::close_code when it was destroyed

    [[nodiscard]] bool closed() const { return socket == nullptr; }

    /// What came since the last call, a line a frame; WebSocket's own frames as "ping", "pong <payload>",
    /// "close <code> <reason>".
    Lines take() {
        Lines lines;
        texts.clear();
        for (const ServerFrameBytes& frame : take_frames(bytes)) {
            switch (frame.opcode) {
                case Opcode::text:
                case Opcode::binary:
                    lines.push_back(describe(frame.payload));
                    texts.push_back(frame.payload);
                    break;
                case Opcode::ping: lines.push_back("ping" + frame.payload); break;
                case Opcode::pong: lines.push_back("pong " + frame.payload); break;
                case Opcode::close: {
                    const auto code = static_cast<std::uint8_t>(frame.payload.at(0)) << 8 |
                                      static_cast<std::uint8_t>(frame.payload.at(1));
                    lines.push_back("close " + std::to_string(code) + " " + frame.payload.substr(2));
                    break;
                }
                default: lines.push_back("WRONG OPCODE"); break;
            }
        }
        return lines;
    }
};

class Socket final : public WebSocketConnection {
public:
    Socket(Gateway& gateway, const EndpointSettings& endpoint, WebSocketWire& wire, Client& client,
           const std::optional<websocket::DeflateParameters>& deflate = std::nullopt)
        : WebSocketConnection(gateway, endpoint, wire, deflate), client(client) {}
    Client& client;
};

/// weft.v1.json, and how often it was asked to encode what.
class CountingCodec final : public Codec {
public:
    explicit CountingCodec(bool binary = false) : binary_(binary) {}
    [[nodiscard]] std::string_view name() const noexcept override { return json_.name(); }
    [[nodiscard]] std::string_view subprotocol() const noexcept override { return json_.subprotocol(); }
    [[nodiscard]] bool binary() const noexcept override { return binary_; }
    tl::expected<Command, CommandError> decode(std::string_view message) override { return json_.decode(message); }
    void encode(const ServerFrame& frame, std::string& out) const override {
        if (std::holds_alternative<event::Event>(frame.body)) ++events;
        json_.encode(frame, out);
    }
    mutable std::size_t events = 0;  // encoded

private:
    JsonCodec json_;
    bool binary_;
};

// --- the far end of the link -------------------------------------------------------------------------------------

struct Clock {
    Instant now{1'000'000ms};
    WallTime wall{1'700'000'000'000ms};
};

inline constexpr LinkTimings kTimings{};

inline v1::Welcome welcome_of(const std::string& node) {
    v1::Welcome welcome;
    welcome.set_node(node);
    welcome.set_software("weft/test");
    return welcome;
}

inline v1::Frame subscribed(const std::string& channel, const std::string& position, bool gap = false) {
    v1::Frame frame;
    frame.mutable_subscribed()->set_channel(channel);
    frame.mutable_subscribed()->set_position(position);
    frame.mutable_subscribed()->set_gap(gap);
    return frame;
}

/// `publisher` is a client's id, 0 for a back end.
inline v1::Frame publication(const std::string& channel, const std::string& data, const std::string& position,
                             std::uint64_t publisher = 0) {
    v1::Frame frame;
    v1::Publication& out = *frame.mutable_publication();
    out.set_channel(channel);
    out.set_data(data);
    out.set_position(position);
    out.set_message_id("m-" + position);
    out.set_timestamp_ms(1'700'000'000'123);
    if (publisher != 0) {
        out.mutable_publisher()->set_client_id(publisher);
        out.mutable_publisher()->set_user("somebody");
    }
    return frame;
}

inline v1::Frame signal(const std::string& channel, const std::string& name, const std::string& data = {},
                        std::uint64_t publisher = 0) {
    v1::Frame frame;
    frame.mutable_signal()->set_channel(channel);
    frame.mutable_signal()->set_name(name);
    frame.mutable_signal()->set_data(data);
    if (publisher != 0) frame.mutable_signal()->mutable_publisher()->set_client_id(publisher);
    return frame;
}

inline v1::Frame published(std::uint64_t request, const std::string& message_id = {},
                           const std::string& position = {}) {
    v1::Frame frame;
    frame.mutable_published()->set_request(request);
    frame.mutable_published()->set_message_id(message_id);
    frame.mutable_published()->set_position(position);
    return frame;
}

inline v1::Frame rpc_result(std::uint64_t request, const std::string& result) {
    v1::Frame frame;
    frame.mutable_rpc_result()->set_request(request);
    frame.mutable_rpc_result()->set_result(result);
    return frame;
}

inline v1::Frame failed(std::uint64_t request, Code code, const std::string& channel = {},
                        std::uint32_t retry_after_ms = 0) {
    v1::Frame frame;
    frame.mutable_failed()->set_request(request);
    frame.mutable_failed()->set_code(static_cast<std::uint32_t>(code));
    frame.mutable_failed()->set_message("weftd says no");
    frame.mutable_failed()->set_channel(channel);
    frame.mutable_failed()->set_retry_after_ms(retry_after_ms);
    return frame;
}

inline v1::Frame gap(const std::string& channel, const std::string& position) {
    v1::Frame frame;
    frame.mutable_gap()->set_channel(channel);
    frame.mutable_gap()->set_position(position);
    return frame;
}

/// A weftd that notes what it is told ("subscribe chat:a @k.1", "publish 1 chat:a {…} by ann"), and answers what the
/// test says; by itself it answers subscribes, while `answers`.
class ScriptedWeftd : private LinkListener::Events {
public:
    explicit ScriptedWeftd(const Clock& clock, const v1::Welcome& welcome = welcome_of("node-a"))
        : clock_(clock), listener_(welcome, kTimings, std::size_t{64} << 20, *this) {}

    bool answers = true;
    std::string position = "k.0";                    // of all channels
    std::string refusal;                             // for the next Hello; empty: welcome
    std::function<void(const v1::Frame&)> on_frame;  // sees every frame first

    [[nodiscard]] LinkListener& listener() { return listener_; }
    Lines take() { return std::exchange(told_, {}); }

    void send(const v1::Frame& frame) { ASSERT_TRUE(listener_.send(frame.SerializeAsString(), clock_.now)); }
    void tick() { listener_.on_tick(clock_.now); }

private:
    std::string on_dialer_up(const v1::Hello& hello, Instant) override {
        if (refusal.empty()) told_.push_back("hello " + hello.name());
        return refusal;
    }
    void on_dialer_down(std::string_view, Instant) override { told_.emplace_back("down"); }
    void on_dialer_rejected(std::string_view, Instant) override {}
    void on_dialer_frame(v1::Frame& frame, Instant) override {
        if (on_frame) on_frame(frame);
        const auto words = [](std::string head, std::initializer_list<std::string_view> rest) {
            for (const std::string_view word : rest) {
                if (!word.empty()) head.append(" ").append(word);
            }
            return head;
        };
        switch (frame.body_case()) {
            case v1::Frame::kSubscribe: {
                const v1::Subscribe& in = frame.subscribe();
                told_.push_back(words("subscribe", {in.channel(), in.position().empty() ? "" : "@" + in.position()}));
                if (answers) send(subscribed(in.channel(), position));
                return;
            }
            case v1::Frame::kUnsubscribe: told_.push_back("unsubscribe " + frame.unsubscribe().channel()); return;
            case v1::Frame::kPublish: {
                const v1::Publish& in = frame.publish();
                told_.push_back(words("publish", {std::to_string(in.request()), in.channel(), in.data(),
                                                  in.message_id(), by(in.has_publisher(), in.publisher())}));
                return;
            }
            case v1::Frame::kSendSignal: {
                const v1::SendSignal& in = frame.send_signal();
                told_.push_back(words("signal", {std::to_string(in.request()), in.channel(), in.name(), in.data(),
                                                 by(in.has_publisher(), in.publisher())}));
                return;
            }
            case v1::Frame::kRpc: {
                const v1::Rpc& in = frame.rpc();
                told_.push_back(words(
                    "rpc", {std::to_string(in.request()), in.method(), in.params(), by(in.has_caller(), in.caller())}));
                return;
            }
            case v1::Frame::kReadChannels: {
                const v1::ReadChannels& in = frame.read_channels();
                told_.push_back(words("channels", {std::to_string(in.request()), in.pattern(), in.after(),
                                                   "limit " + std::to_string(in.limit())}));
                return;
            }
            case v1::Frame::kReadClients: {
                const v1::ReadClients& in = frame.read_clients();
                const auto one_of = [](std::string_view name, const std::string& value) {
                    return value.empty() ? std::string() : std::string(name) + "=" + value;
                };
                told_.push_back(words(
                    "clients",
                    {std::to_string(in.request()), one_of("user", in.user()), one_of("channel", in.channel()),
                     one_of("node", in.node()), in.after() == 0 ? "" : "after " + std::string(HexId(in.after()).view()),
                     "limit " + std::to_string(in.limit())}));
                return;
            }
            case v1::Frame::kClientsPage: told_.emplace_back("clients page"); return;
            case v1::Frame::kReadNodes: {
                const v1::ReadNodes& in = frame.read_nodes();
                told_.push_back(words("nodes", {std::to_string(in.request()), in.alone() ? "alone" : ""}));
                return;
            }
            case v1::Frame::kSubscriptions: {
                std::string line = "count";
                for (const auto& one : frame.subscriptions().entries()) {
                    line += " " + one.channel() + "=" + std::to_string(one.count());
                }
                if (frame.subscriptions().has_connections()) {
                    line += " connections=" + std::to_string(frame.subscriptions().connections());
                }
                told_.push_back(std::move(line));
                return;
            }
            default: told_.emplace_back("WRONG FRAME"); return;
        }
    }
    static std::string by(bool known, const v1::Publisher& publisher) {
        return known ? "by " + publisher.user() : std::string();
    }

    const Clock& clock_;
    Lines told_;
    LinkListener listener_;
};

/// A weftd with a real broker and no peers.
class BrokerWeftd final : private LinkListener::Events, private Broker::Outbox {
public:
    explicit BrokerWeftd(const Clock& clock)
        : clock_(clock), listener_(welcome_of("node-a"), kTimings, std::size_t{64} << 20, *this) {
        restart();
    }

    [[nodiscard]] LinkListener& listener() { return listener_; }
    [[nodiscard]] Broker& broker() { return *broker_; }
    std::function<void(const v1::Frame&)> on_sent;  // sees what goes to the worker
    /// Forgets everything, as a weftd that was killed and started again. The link must be down.
    void restart() {
        BrokerSettings settings;
        settings.node = "node-a";
        Broker::Outbox& outbox = *this;
        broker_ = std::make_unique<Broker>(
            settings, [this] { return random_(); }, outbox);
    }
    void tick() {
        listener_.on_tick(clock_.now);
        broker_->on_tick(clock_.now);
    }

private:
    std::string on_dialer_up(const v1::Hello& hello, Instant now) override {
        broker_->on_link_up(++link_, LinkRole::worker, hello.name(), now, {.incarnation = hello.incarnation()});
        return {};
    }
    void on_dialer_down(std::string_view, Instant now) override { broker_->on_link_down(link_, now); }
    void on_dialer_rejected(std::string_view, Instant) override {}
    void on_dialer_frame(v1::Frame& frame, Instant now) override { broker_->on_frame(link_, frame, now, clock_.wall); }
    void send(LinkId link, std::string_view frame) override {
        if (link == link_) listener_.send(frame, clock_.now);
        if (!on_sent) return;
        v1::Frame parsed;
        parsed.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
        on_sent(parsed);
    }

    const Clock& clock_;
    std::mt19937_64 random_{7};
    LinkId link_ = 0;
    std::unique_ptr<Broker> broker_;
    LinkListener listener_;
};

// --- the worker --------------------------------------------------------------------------------------------------

inline std::shared_ptr<const Identity> everything(std::string user) {
    auto identity = std::make_shared<Identity>();
    identity->user = std::move(user);
    identity->grants.add_channels(*ChannelPattern::parse("**"), 31);
    identity->grants.add_methods(*MethodPattern::parse("**"));
    return identity;
}

/// Channels: "chat:*" (clients may publish) and "news:*" (they may not).
inline ChannelRules usual_rules() {
    ChannelRules rules;
    rules.add({*ChannelPattern::parse("chat:*"), true});
    rules.add({*ChannelPattern::parse("news:*"), false});
    return rules;
}

template <class Weftd>
class World : private Gateway::Host {
public:
    World() {
        v1::Hello hello;
        hello.set_kind(v1::Hello::WORKER);
        hello.set_name("host/1");
        gateway_ = std::make_unique<Gateway>(hello, kTimings, rules, counters, static_cast<Gateway::Host&>(*this),
                                             clock.now, clock.wall);
    }
    ~World() override { destroy_all(); }

    /// Ends all connections; for fixtures whose own members these need at their end.
    void destroy_all() {
        for (const auto& client : clients_) {
            if (client->socket != nullptr) destroy(*client->socket);
        }
    }

    Clock clock;
    ChannelRules rules = usual_rules();
    Counters counters;
    EndpointSettings endpoint;
    CountingCodec codec;
    WebSocketWire wire{0, codec};
    Weftd weftd{clock};
    Lines logged;
    std::size_t scratch_size = 4096;            // of what a write gathers
    std::size_t turns = 0;                      // that were asked for
    std::size_t visits = 0;                     // walks over all connections
    std::size_t sealed = 0;                     // bytes of a blocked queue that must be sent as they are, as with TLS
    bool link_stuck = false;                    // the transport takes nothing from the worker
    std::function<void(Connection&)> on_flush;  // sees every flush first
    std::vector<std::unique_ptr<Client>>& clients() { return clients_; }

    [[nodiscard]] Gateway& gateway() { return *gateway_; }

    // --- clients ---

    /// A client that is connected and greeted; its greeting is taken already.
    Client& connect(const std::string& user = "ann") { return connect(everything(user), endpoint, wire); }
    Client& connect(std::shared_ptr<const Identity> identity, const EndpointSettings& at, WebSocketWire& with) {
        Client& client = accept(at, with);
        gateway_->open(*client.socket, std::move(identity));
        client.id = client.socket->client_id();
        run();
        EXPECT_EQ(client.take(), Lines{"connection_established"});
        return client;
    }
    /// A client's socket, which the gateway hasn't been told of.
    Client& accept(const EndpointSettings& at, WebSocketWire& with,
                   const std::optional<websocket::DeflateParameters>& deflate = std::nullopt) {
        Client& client = *clients_.emplace_back(std::make_unique<Client>());
        client.socket = new Socket(*gateway_, at, with, client, deflate);
        return client;
    }

    /// Bytes arrive from a client; what follows from them waits for the end of the turn.
    void receive(Client& client, std::string_view bytes) {
        if (client.closed()) return;
        const auto buffer = std::make_unique<char[]>(bytes.size() + websocket::kPadding);
        std::ranges::copy(bytes, buffer.get());
        std::fill_n(buffer.get() + bytes.size(), websocket::kPadding, '"');
        client.socket->receive({buffer.get(), bytes.size()});
    }
    /// The same for one text message.
    void say(Client& client, std::string_view json) { receive(client, client_frame(Opcode::text, json)); }
    /// One message, all that comes of it, and what the client was sent then.
    Lines ask(Client& client, std::string_view json) {
        say(client, json);
        run();
        return client.take();
    }
    /// The client's end of TCP closes.
    void hang_up(Client& client) {
        if (!client.closed()) client.socket->on_broken();
    }

    // --- turns of the event loop, and the link ---

    void link_up() {
        gateway_->link().on_connected(clock.now);
        run();
    }
    void link_down() { gateway_->link().on_disconnected("the test cut it", clock.now); }

    /// Carries what the worker has for weftd.
    virtual bool carry_out() {
        bool any = false;
        while (!link_stuck && gateway_->link().next_batch(batch_, clock.now)) {
            weftd.listener().on_message(batch_, clock.now);
            any = true;
        }
        return any;
    }
    /// Carries what weftd has for the worker; the turn goes on.
    virtual bool carry_in() {
        bool any = false;
        while (weftd.listener().next_batch(batch_, clock.now)) {
            gateway_->link().on_message(batch_, clock.now);
            any = true;
        }
        return any;
    }
    /// Ends the turn, if the worker asked for it.
    bool end_turn() {
        if (!turn_due_) return false;
        turn_due_ = false;
        gateway_->end_turn();
        return true;
    }
    /// The client's socket says that it can take more.
    void flush_now(Client& client) {
        if (!client.closed()) flush(*client.socket);
    }
    /// The host has done with this connection.
    void remove_now(Client& client) {
        if (!client.closed()) destroy(*client.socket);
    }
    /// Turns until nothing is left to do.
    void run() {
        for (int i = 0; i < 100; ++i) {
            bool any = carry_out();
            any = carry_in() || any;
            any = end_turn() || any;
            if (!any) return;
        }
        ADD_FAILURE() << "worker and weftd never come to rest";
    }
    /// Time passes, in the steps of a worker's timer.
    void pass(std::chrono::milliseconds time) {
        for (const Instant until = clock.now + time; clock.now < until;) {
            const auto step = std::min<std::chrono::milliseconds>(50ms, until - clock.now);
            clock.now += step;
            clock.wall += step;
            gateway_->set_time(clock.now, clock.wall);
            gateway_->tick();
            weftd.tick();
            run();
        }
    }

    /// What weftd tells of a decision, later than the last; `set` says about whom, and what.
    v1::Frame revocation(v1::Revocation::Kind kind, const std::function<void(v1::Revocation&)>& set) {
        v1::Frame frame;
        v1::Revocation& out = *frame.mutable_revocation();
        out.set_kind(kind);
        set(out);
        issued_ = std::max(issued_ + 1, clock.wall.time_since_epoch().count());
        out.set_issued_ms(issued_);
        out.set_until_ms(issued_ + 60'000);
        return frame;
    }

    std::uint64_t random() override { return random_(); }

    /// The tokens that are accepted, and whose they are; "full" is of somebody who has too many connections.
    std::map<std::string, std::shared_ptr<const Identity>, std::less<>> tokens;
    tl::expected<std::shared_ptr<const Identity>, event::Error> identify(Connection&, std::string_view token) override {
        if (token == "full") return tl::unexpected(event::Error{Code::too_many_connections, "too many", {}});
        const auto found = tokens.find(token);
        if (found != tokens.end()) return found->second;
        return tl::unexpected(event::Error{Code::authentication_failed, "not accepted", {}});
    }

private:
    void schedule_turn_end() override {
        ++turns;
        turn_due_ = true;
    }
    void flush(Connection& connection) override {
        auto& socket = static_cast<Socket&>(connection);
        Client& client = socket.client;
        ++client.flushes;
        if (on_flush) on_flush(connection);
        if (client.breaks) socket.on_broken();
        if (socket.phase() == Connection::Phase::aborted) return destroy(socket);
        const auto scratch = std::make_unique<char[]>(scratch_size);
        while (!socket.queue().empty() && client.room > 0) {
            const std::string_view next = socket.next_bytes(scratch.get(), scratch_size);
            const std::size_t size = std::min(next.size(), client.room);
            client.bytes.append(next.data(), size);
            client.written.emplace_back(next.data(), size);
            if (client.room != SIZE_MAX) client.room -= size;
            socket.on_written(size);
        }
        if (!socket.queue().empty()) socket.on_blocked(std::min(sealed, socket.queue().bytes()));
        if (socket.queue().empty() && socket.phase() == Connection::Phase::finished) destroy(socket);
    }
    void visit(const std::function<void(Connection&)>& visit) override {
        ++visits;
        for (const auto& client : clients_) {
            if (client->socket != nullptr) visit(*client->socket);
        }
    }
    void read_on(Connection& connection) override { static_cast<Socket&>(connection).client.paused = false; }
    void log(Gateway::Level level, std::string_view line) override {
        constexpr const char* kNames[] = {"info", "warning", "error"};
        logged.push_back(kNames[static_cast<int>(level)] + (": " + std::string(line)));
    }
    void destroy(Socket& socket) {
        socket.client.socket = nullptr;
        socket.client.close_code = socket.close_code();
        gateway_->remove(socket);
        delete &socket;
    }

    std::int64_t issued_ = 0;  // milliseconds, of the last decision
    std::mt19937_64 random_{42};
    std::string batch_;
    bool turn_due_ = false;
    std::vector<std::unique_ptr<Client>> clients_;
    std::unique_ptr<Gateway> gateway_;
};

using ScriptedWorld = World<ScriptedWeftd>;
using BrokerWorld = World<BrokerWeftd>;

/// A worker whose link is up, and a weftd that the test plays.
class ScriptedGateway : public testing::Test, public ScriptedWorld {
protected:
    ScriptedGateway() {
        link_up();
        EXPECT_EQ(weftd.take(), Lines{"hello host/1"});
    }
    /// A client that is in `channel` already.
    Client& subscriber(const std::string& channel, const std::string& user = "ann") {
        Client& client = connect(user);
        say(client, R"({"type":"subscribe","payload":{"channel":")" + channel + R"("}})");
        run();
        EXPECT_EQ(client.take(), Lines{"subscribed " + channel + " @" + weftd.position});
        weftd.take();
        return client;
    }
    /// A turn in which weftd's frames arrive, and its end.
    void deliver(const std::vector<v1::Frame>& frames) {
        for (const v1::Frame& frame : frames) weftd.send(frame);
        run();
    }
};

/// A worker whose link is up, with a real broker behind it.
class BrokerGateway : public testing::Test, public BrokerWorld {
protected:
    BrokerGateway() { link_up(); }
};

// --- what clients say --------------------------------------------------------------------------------------------

inline std::string with_id(std::string_view id) {
    return id.empty() ? std::string() : R"(,"id":")" + std::string(id) + '"';
}
inline std::string subscribe(std::string_view channel, std::string_view id, std::string_view more = {}) {
    return R"({"type":"subscribe")" + with_id(id) + R"(,"payload":{"channel":")" + std::string(channel) + '"' +
           std::string(more) + "}}";
}
inline std::string resume(std::string_view channel, std::string_view id, std::string_view position) {
    return subscribe(channel, id, R"(,"position":")" + std::string(position) + '"');
}
inline std::string unsubscribe(std::string_view channel, std::string_view id) {
    return R"({"type":"unsubscribe")" + with_id(id) + R"(,"payload":{"channel":")" + std::string(channel) + "\"}}";
}
inline std::string publish(std::string_view channel, std::string_view id, std::string_view data,
                           std::string_view more = {}) {
    return R"({"type":"publish")" + with_id(id) + R"(,"payload":{"channel":")" + std::string(channel) + R"(","data":)" +
           std::string(data) + std::string(more) + "}}";
}
inline std::string send_signal(std::string_view channel, std::string_view id, std::string_view name,
                               std::string_view more = {}) {
    return R"({"type":"signal")" + with_id(id) + R"(,"payload":{"channel":")" + std::string(channel) + R"(","name":")" +
           std::string(name) + '"' + std::string(more) + "}}";
}
inline std::string rpc(std::string_view method, std::string_view id, std::string_view more = {}) {
    return R"({"type":"rpc")" + with_id(id) + R"(,"payload":{"method":")" + std::string(method) + '"' +
           std::string(more) + "}}";
}
inline std::string ping(std::string_view id) {
    return R"({"type":"ping")" + with_id(id) + "}";
}

}  // namespace weft::test
