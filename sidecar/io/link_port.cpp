#include "io/link_port.hpp"

#include <algorithm>
#include <utility>

#include "io/ack_lag.hpp"
#include "io/start_error.hpp"
#include "io/zmq_limits.hpp"
#include "shards.hpp"

namespace weft {
namespace {

constexpr std::size_t kMaxReplaced = 16;  // earlier incarnations that are remembered of one name
constexpr auto kMaxRetransmit = std::chrono::seconds(10);

std::string_view role_name(LinkRole role) {
    return role == LinkRole::worker ? "worker" : "peer";
}

std::string_view view(const zmq::message_t& message) {
    return {static_cast<const char*>(message.data()), message.size()};
}

/// The address of who sent `message`; empty when ZeroMQ doesn't know one.
std::string address_of(zmq::message_t& message) {
    const char* address = zmq_msg_gets(message.handle(), "Peer-Address");
    return address == nullptr ? std::string() : std::string(address);
}

/// The key of who sent `message`, as the ZapHandler has admitted it; empty where there is no CURVE.
std::string key_of(zmq::message_t& message) {
    const char* key = zmq_msg_gets(message.handle(), "User-Id");
    return key == nullptr ? std::string() : std::string(key);
}

}  // namespace

/// Who talks under one routing id.
class LinkPort::Dialer final : public BrokerGate::Link, private LinkListener::Events {
public:
    Dialer(LinkPort& port, std::string_view routing_id, std::string address)
        : port_(port),
          routing_id_(routing_id),
          address_(std::move(address)),
          listener_(port.settings_.welcome, port.settings_.timings, port.settings_.max_queued, *this) {}

    ~Dialer() override { port_.gate_.forget(*this); }

    void on_message(std::string_view bytes, Instant now) {
        gone_ = false;
        listener_.on_message(bytes, now);
        port_.gate_.touch(*this);
    }

    void on_tick(Instant now) {
        listener_.on_tick(now);
        if (listener_.wants_send(now)) port_.gate_.touch(*this);
        lag_.note(listener_.acked(), now);
    }

    void queue(std::string_view frame, Instant now) override {
        const bool was_up = listener_.up();
        const std::size_t waiting = listener_.queued_bytes();
        if (listener_.send(frame, now)) return lag_.sent();
        if (!was_up) return;
        port_.log_.from_link(LogLevel::warn, "link_overflow",
                             {{"role", role_name(port_.settings_.role)}, {"name", name_}, {"waiting", waiting}}, now);
    }

    [[nodiscard]] bool busy() const noexcept override {
        return listener_.queued_bytes() > port_.settings_.max_queued / 4;
    }

    bool flush(Instant now) override {
        while (unsent_ || listener_.next_batch(batch_, now)) {
            switch (port_.send(routing_id_, batch_)) {
                case Sent::yes: unsent_ = false; break;
                case Sent::full: unsent_ = true; return false;
                case Sent::gone:
                    unsent_ = false;
                    gone_ = true;
                    listener_.on_unreachable(now);
                    return true;
            }
        }
        return true;
    }

    /// Ends the session from our side, for `why`; what waits is still sent, Bye last.
    void retire(std::string_view why, Instant now) {
        listener_.close(now);
        retired_ = true;
        port_.gate_.touch(*this);
        leave(why, now);
    }

    /// Whether this object has nothing left to do.
    [[nodiscard]] bool done(Instant now) const {
        if (listener_.up()) return false;
        if (gone_) return true;
        return retired_ ? !unsent_ && !listener_.wants_send(now) : listener_.idle(now);
    }

    [[nodiscard]] bool up() const { return id_ != 0; }

    void set_curve_key(std::string key) { curve_key_ = std::move(key); }
    /// Whom it says to be, and how it proved it.
    [[nodiscard]] std::string judge(const ZapHandler& keys) const { return keys.judge(curve_key_, name_); }

private:
    friend class LinkPort;

    std::string on_dialer_up(const v1::Hello& hello, Instant now) override {
        name_ = hello.name();
        std::string refusal = port_.admit(*this, hello, now);
        if (!refusal.empty()) return refusal;
        since_ = now;
        judged_ = false;
        lag_.begin();
        lag_.sent();  // the Welcome
        if (port_.settings_.role == LinkRole::worker) {
            port_.log_.from_link(LogLevel::info, "worker_up",
                                 {{"name", name_}, {"software", hello.software()}, {"address", address_}}, now);
        } else {
            port_.log_.from_link(LogLevel::info, "peer_up",
                                 {{"peer", name_},
                                  {"direction", "in"},
                                  {"endpoint", listen_},
                                  {"software", hello.software()},
                                  {"address", address_}},
                                 now);
        }
        if (port_.settings_.role == LinkRole::worker) port_.gate_.rules(hello.rules());
        const bool movable = hello.kind() == v1::Hello::WORKER;  // a tool has no connections to hand over, or to take
        id_ = port_.gate_.open(*this, port_.settings_.role, name_,
                               {.incarnation = movable ? hello.incarnation() : 0, .clients = hello.clients()}, now);
        return {};
    }

    void on_dialer_down(std::string_view why, Instant now) override { leave(why, now); }

    void on_dialer_frame(v1::Frame& frame, Instant now) override { port_.gate_.frame(id_, frame, now); }

    void on_dialer_rejected(std::string_view why, Instant now) override {
        const LogLevel level = std::exchange(itself_, false) ? LogLevel::debug : LogLevel::warn;
        port_.log_.from_link(
            level, "link_rejected",
            {{"role", role_name(port_.settings_.role)}, {"name", name_}, {"address", address_}, {"why", why}}, now);
    }

    void leave(std::string_view why, Instant now) {
        if (id_ == 0) return;
        const auto here = port_.present_.find(key_);
        if (here != port_.present_.end() && here->second == this) port_.present_.erase(here);
        if (port_.settings_.role == LinkRole::worker) {
            port_.log_.from_link(LogLevel::info, "worker_down", {{"name", name_}, {"why", why}}, now);
        } else {
            port_.log_.from_link(LogLevel::info, "peer_down", {{"peer", name_}, {"direction", "in"}, {"why", why}},
                                 now);
        }
        port_.gate_.close(std::exchange(id_, 0), now);
    }

    LinkPort& port_;
    std::string routing_id_;
    std::string address_;
    std::string curve_key_;
    LinkListener listener_;
    std::string batch_;  // taken from the listener; still to be sent if unsent_
    bool unsent_ = false;
    bool gone_ = false;  // ZeroMQ has no connection of this routing id
    bool retired_ = false;
    bool itself_ = false;  // the refusal that follows is of this very process

    // Of the session that is up.
    LinkId id_ = 0;
    std::string key_;
    std::string name_;
    std::string listen_;
    std::uint64_t incarnation_ = 0;
    std::deque<std::uint64_t> replaced_;  // incarnations that had this name before
    Instant since_{};
    bool judged_ = false;
    AckLag lag_;
};

LinkPort::LinkPort(zmq::context_t& context, const Endpoint& endpoint, Settings settings, BrokerGate& gate, Log& log)
    : settings_(std::move(settings)), gate_(gate), log_(log), socket_(context, zmq::socket_type::router) {
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::router_handover, false);
    socket_.set(zmq::sockopt::sndhwm, kHighWaterMark);
    socket_.set(zmq::sockopt::rcvhwm, kHighWaterMark);
    socket_.set(zmq::sockopt::maxmsgsize, kMaxLinkMessage);
    socket_.set(zmq::sockopt::linger, 200);
    socket_.set(zmq::sockopt::handshake_ivl, 5000);
    socket_.set(zmq::sockopt::ipv6, endpoint.ipv6());
    socket_.set(zmq::sockopt::tcp_maxrt, static_cast<int>(std::chrono::milliseconds(kMaxRetransmit).count()));
    try {
        if (settings_.keys != nullptr) settings_.keys->protect_listening(socket_);
        socket_.bind(endpoint.text);
    } catch (const zmq::error_t& error) {
        std::string what = error.what();
        if (error.num() == EADDRINUSE) what += "; is weftd running already?";
        throw StartError("can't listen on " + endpoint.text + ": " + what);
    }
}

LinkPort::~LinkPort() = default;

bool LinkPort::receive(Instant now) {
    std::size_t bytes = 0;
    zmq::message_t routing_id;
    zmq::message_t message;
    for (int i = 0; i < kSliceMessages && bytes < kSliceBytes; ++i) {
        if (!socket_.recv(routing_id, zmq::recv_flags::dontwait)) return false;
        if (!routing_id.more()) continue;
        (void)socket_.recv(message, zmq::recv_flags::dontwait);  // all parts arrive together
        bytes += message.size();
        if (message.more()) {
            // One batch is one part; whoever sends more is no link.
            while (message.more()) (void)socket_.recv(message, zmq::recv_flags::dontwait);
            continue;
        }
        Dialer* const from = dialer(view(routing_id), message, now);
        if (from == nullptr) continue;
        if (settings_.keys != nullptr && !from->up()) from->set_curve_key(key_of(message));
        from->on_message(view(message), now);
    }
    return true;
}

void LinkPort::tick(Instant now) {
    if (settings_.keys != nullptr && settings_.keys->generation() != judged_keys_) retire_disallowed(now);
    for (auto at = dialers_.begin(); at != dialers_.end();) {
        Dialer& dialer = *at->second;
        dialer.on_tick(now);
        at = dialer.done(now) ? dialers_.erase(at) : std::next(at);
    }
}

void LinkPort::close_links(Instant now) {
    for (auto& [routing_id, dialer] : dialers_) dialer->retire("this node is shutting down", now);
}

std::vector<LinkPort::Peer> LinkPort::peers() {
    std::vector<Peer> out;
    for (auto& [routing_id, dialer] : dialers_) {
        if (dialer->up()) out.push_back({dialer->name_, dialer->listen_, dialer->since_, &dialer->judged_});
    }
    return out;
}

std::vector<NodeStatus::Follower> LinkPort::followers(Instant now) const {
    std::vector<NodeStatus::Follower> out;
    for (const auto& [routing_id, dialer] : dialers_) {
        if (!dialer->up()) continue;
        out.push_back({dialer->name_, dialer->lag_.unacknowledged(dialer->listener_.acked()), dialer->lag_.lag(now)});
    }
    std::ranges::sort(out, {}, &NodeStatus::Follower::node);
    return out;
}

std::size_t LinkPort::queued_bytes() const {
    std::size_t bytes = 0;
    for (const auto& [routing_id, dialer] : dialers_) bytes += dialer->listener_.queued_bytes();
    return bytes;
}

/// ZeroMQ asks about a key when a connection begins; this is for the time after it.
void LinkPort::retire_disallowed(Instant now) {
    judged_keys_ = settings_.keys->generation();
    for (auto& [routing_id, dialer] : dialers_) {
        if (!dialer->up()) continue;
        if (const std::string why = dialer->judge(*settings_.keys); !why.empty()) dialer->retire(why, now);
    }
}

LinkPort::Dialer* LinkPort::dialer(std::string_view routing_id, zmq::message_t& message, Instant now) {
    const auto found = dialers_.find(routing_id);
    if (found != dialers_.end()) return found->second.get();
    if (dialers_.size() >= kMaxDialers) {
        log_.from_link(LogLevel::warn, "link_rejected",
                       {{"role", role_name(settings_.role)},
                        {"address", address_of(message)},
                        {"why", "more than " + std::to_string(kMaxDialers) + " dialers at once"}},
                       now);
        return nullptr;
    }
    auto made = std::make_unique<Dialer>(*this, routing_id, address_of(message));
    return dialers_.emplace(std::string(routing_id), std::move(made)).first->second.get();
}

LinkPort::Sent LinkPort::send(std::string_view routing_id, std::string_view bytes) {
    // With ROUTER_MANDATORY the first part tells whether the dialer is there and has room; the second then fits.
    try {
        zmq::message_t to(routing_id.data(), routing_id.size());
        if (!socket_.send(to, zmq::send_flags::sndmore | zmq::send_flags::dontwait)) return Sent::full;
        zmq::message_t body(bytes.data(), bytes.size());
        (void)socket_.send(body, zmq::send_flags::dontwait);
        return Sent::yes;
    } catch (const zmq::error_t& error) {
        if (error.num() == EHOSTUNREACH) return Sent::gone;
        throw;
    }
}

/// Whether this dialer is one for this socket, and whose place it takes. Returns why not.
std::string LinkPort::admit(Dialer& dialer, const v1::Hello& hello, Instant now) {
    const bool worker = settings_.role == LinkRole::worker;
    if (worker && hello.kind() != v1::Hello::WORKER && hello.kind() != v1::Hello::TOOL) {
        return "this socket is for nginx workers; peers dial the address of mesh.listen";
    }
    if (!worker && hello.kind() != v1::Hello::PEER) {
        return "this socket is for peers; nginx workers dial the address of workers.listen";
    }
    if (std::string wrong = wrong_shard(hello, settings_.welcome); !wrong.empty()) return wrong;
    if (!worker) {
        const std::string& node = hello.peer().node();
        if (!is_node_name(node)) return "Hello has no valid node name";
        if (node == settings_.welcome.node()) {
            dialer.itself_ = hello.incarnation() == settings_.welcome.incarnation();
            return dialer.itself_ ? "this is the dialing node itself"
                                  : "this node is named " + node + " too; expected a name for each node";
        }
        dialer.name_ = node;
        dialer.listen_ = hello.peer().listen();
        if (settings_.keys != nullptr) {
            if (std::string why = dialer.judge(*settings_.keys); !why.empty()) return why;
        }
    }

    // A process has one link. It dials again while its old connection still looks alive; and a process that was
    // replaced by another of its name (a restart, or two nodes of one name) must not replace that one in turn.
    dialer.incarnation_ = hello.incarnation();
    dialer.key_ = dialer.name_;
    dialer.replaced_.clear();
    if (worker) dialer.key_.append("\0", 1).append(std::to_string(hello.incarnation()));
    const auto before = present_.find(dialer.key_);
    if (before != present_.end() && before->second != &dialer) {
        Dialer& old = *before->second;
        const bool same = old.incarnation_ == dialer.incarnation_;
        if (!same && std::ranges::find(old.replaced_, dialer.incarnation_) != old.replaced_.end()) {
            return "a newer process is connected as node " + dialer.name_ + "; expected a name for each node";
        }
        dialer.replaced_ = old.replaced_;
        if (!same) {
            dialer.replaced_.push_back(old.incarnation_);
            if (dialer.replaced_.size() > kMaxReplaced) dialer.replaced_.pop_front();
        }
        old.retire(same ? "it dialed again" : "another process of this name dialed", now);
    }
    present_[dialer.key_] = &dialer;
    return {};
}

}  // namespace weft
