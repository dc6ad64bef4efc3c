#include "io/peer_link.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "io/clock.hpp"
#include "io/zmq_limits.hpp"
#include "shards.hpp"

namespace weft {
namespace {

constexpr std::chrono::milliseconds kRedial{2000};  // after all keys were tried, or ours was refused

constexpr int kMonitored = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |
                           ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

std::string monitor_address() {
    static std::atomic<std::uint64_t> next{0};  // shards make sockets, each in its thread
    return "inproc://peer-monitor-" + std::to_string(++next);
}

}  // namespace

PeerLink::PeerLink(zmq::context_t& context, const Endpoint& endpoint, Settings settings, Admit admit, BrokerGate& gate,
                   Log& log, Instant now)
    : context_(context),
      endpoint_(endpoint.text),
      ipv6_(endpoint.ipv6()),
      timings_(settings.timings),
      max_queued_(settings.max_queued),
      hello_(settings.hello),
      keys_(settings.keys),
      discovered_(settings.discovered),
      admit_(std::move(admit)),
      gate_(gate),
      log_(log),
      dialer_(std::move(settings.hello), settings.timings, random_bits, *this) {
    if (keys_ != nullptr) {
        seen_keys_ = keys_->generation();
        choose_next_key();
    }
    make_socket();
    dial(now);
}

/// A new one in the place of the old: what the old one's monitor has still to tell is of no interest any more. Throws
/// zmq::error_t, and the old one stays.
void PeerLink::make_socket() {
    zmq::socket_t monitor(context_, zmq::socket_type::pair);  // closed after the socket that it watches
    zmq::socket_t socket(context_, zmq::socket_type::dealer);
    socket.set(zmq::sockopt::immediate, true);  // nothing is queued for a connection that isn't there
    socket.set(zmq::sockopt::reconnect_ivl, 100);
    socket.set(zmq::sockopt::reconnect_ivl_max, 2000);
    socket.set(zmq::sockopt::connect_timeout, 5000);
    socket.set(zmq::sockopt::handshake_ivl, 5000);
    // Without this a connection through a partition waits for TCP's own retransmissions, minutes after it healed.
    socket.set(zmq::sockopt::tcp_maxrt,
               static_cast<int>(std::max(timings_.dead * 2, std::chrono::milliseconds(1000)).count()));
    socket.set(zmq::sockopt::sndhwm, kHighWaterMark);
    socket.set(zmq::sockopt::rcvhwm, kHighWaterMark);
    socket.set(zmq::sockopt::maxmsgsize, kMaxLinkMessage);
    socket.set(zmq::sockopt::linger, 200);
    socket.set(zmq::sockopt::ipv6, ipv6_);
    monitor.set(zmq::sockopt::linger, 0);

    const std::string address = monitor_address();
    if (zmq_socket_monitor(socket.handle(), address.c_str(), kMonitored) != 0) throw zmq::error_t();
    monitor.connect(address);

    if (socket_) {
        zmq_socket_monitor(socket_.handle(), nullptr, 0);  // as in ~PeerLink
        socket_.set(zmq::sockopt::linger, 0);
    }
    socket_ = std::move(socket);
    monitor_ = std::move(monitor);
    spent_ = false;
}

/// False when there is no new one to be had, for want of descriptors say: then the old one is used for nothing any
/// more, and tick() tries again.
bool PeerLink::renew_socket(Instant now) {
    try {
        make_socket();
        return true;
    } catch (const zmq::error_t& error) {
        spent_ = true;
        (void)zmq_disconnect(socket_.handle(), endpoint_.c_str());
        dial_later(error, now);
        return false;
    }
}

void PeerLink::dial(Instant now) {
    dial_at_.reset();
    try {
        if (keys_ != nullptr) keys_->protect_dialing(socket_, server_key_);
        socket_.connect(endpoint_);
    } catch (const zmq::error_t& error) {
        dial_later(error, now);
    }
}

void PeerLink::dial_later(const zmq::error_t& error, Instant now) {
    dial_at_ = now + kRedial;
    log_.from_link(LogLevel::warn, "peer_unreachable",
                   {{"endpoint", endpoint_}, {"why", std::string("it can't be dialed: ") + error.what()}}, now);
}

/// The allowed keys, and last our own: the endpoint may lead back here, which is seen once the link is up.
std::vector<std::string> PeerLink::server_keys() const {
    std::vector<std::string> keys;
    const auto allowed = keys_->keys();  // which another thread may replace meanwhile
    for (const PeerKeys::Key& key : allowed->all()) {
        if (key.text != keys_->public_key()) keys.push_back(key.text);
    }
    keys.push_back(keys_->public_key());
    return keys;
}

void PeerLink::choose_next_key() {
    const std::vector<std::string> keys = server_keys();
    const auto now = std::ranges::find(keys, server_key_);
    server_key_ = now == keys.end() || now + 1 == keys.end() ? keys.front() : *(now + 1);
}

/// `refused_us`: the peer's key was right, and ours is none that it allows.
void PeerLink::on_failed_handshake(bool refused_us, Instant now) {
    const std::size_t keys = server_keys().size();
    const bool renewed = renew_socket(now);
    if (refused_us) {
        tell_unreachable("it refuses this node's key; expected " + keys_->public_key() +
                         " in its file of mesh.curve.allow");
        dial_at_ = now + kRedial;
        return;
    }
    choose_next_key();
    if (++tried_ < keys) {
        if (renewed) dial(now);
        return;
    }
    tell_unreachable("it has none of the keys of mesh.curve.allow, or no mesh.curve; or is no weftd");
    tried_ = 0;
    dial_at_ = now + kRedial;
}

/// The file of the allowed keys has changed: perhaps to have the peer's at last, perhaps to have it no longer.
void PeerLink::look_at_keys(Instant now) {
    seen_keys_ = keys_->generation();
    const std::vector<std::string> keys = server_keys();
    const bool allowed = std::ranges::find(keys, server_key_) != keys.end();
    if (allowed && !dial_at_) return;
    if (!allowed) {
        dialer_.on_disconnected("its key is no longer among those of mesh.curve.allow", now);
        choose_next_key();
    }
    tried_ = 0;
    if (renew_socket(now)) dial(now);
}

void PeerLink::tell_unreachable(std::string_view why) {
    if (up() || std::exchange(told_unreachable_, true)) return;
    log_.warn("peer_unreachable", {{"endpoint", endpoint_}, {"why", why}});
}

PeerLink::~PeerLink() {
    gate_.forget(*this);
    // Before the monitor is closed, or ZeroMQ's thread waits for ever to hand it an event.
    zmq_socket_monitor(socket_.handle(), nullptr, 0);
}

void PeerLink::on_monitor(Instant now) {
    zmq::message_t event;
    bool failed = false, refused_us = false;
    while (monitor_.recv(event, zmq::recv_flags::dontwait)) {
        std::uint16_t kind = 0;
        if (event.size() >= sizeof kind) std::memcpy(&kind, event.data(), sizeof kind);
        while (event.more()) (void)monitor_.recv(event, zmq::recv_flags::dontwait);
        if (unwanted_ || spent_) continue;
        switch (kind) {
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
                tried_ = 0;
                dialer_.on_connected(now);
                break;
            case ZMQ_EVENT_DISCONNECTED: dialer_.on_disconnected("the connection was lost", now); break;
            case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: refused_us = true; [[fallthrough]];
            case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
                failed = true;
                if (keys_ == nullptr) {
                    tell_unreachable("the handshake failed; is that a weftd, and has it no mesh.curve either?");
                }
                break;
            case ZMQ_EVENT_CLOSED:
            case ZMQ_EVENT_CONNECT_RETRIED: tell_unreachable("no connection"); break;
            default: break;
        }
        gate_.touch(*this);
    }
    if (failed && keys_ != nullptr && !dialer_.up()) on_failed_handshake(refused_us, now);
}

bool PeerLink::receive(Instant now) {
    std::size_t bytes = 0;
    zmq::message_t message;
    for (int i = 0; i < kSliceMessages && bytes < kSliceBytes; ++i) {
        if (!socket_.recv(message, zmq::recv_flags::dontwait)) return false;
        bytes += message.size();
        if (message.more()) {
            // One batch is one part; whoever sends more is no link.
            while (message.more()) (void)socket_.recv(message, zmq::recv_flags::dontwait);
            continue;
        }
        if (unwanted_ || spent_) continue;
        dialer_.on_message({static_cast<const char*>(message.data()), message.size()}, now);
        gate_.touch(*this);
    }
    return true;
}

void PeerLink::tick(Instant now) {
    if (unwanted_) return;
    if (keys_ != nullptr && seen_keys_ != keys_->generation()) look_at_keys(now);
    if (dial_at_ && now >= *dial_at_ && (!spent_ || renew_socket(now))) dial(now);
    dialer_.on_tick(now);
    if (dialer_.wants_send(now)) gate_.touch(*this);
}

void PeerLink::close(std::string_view why, Instant now) {
    dialer_.close(now);
    unwanted_ = true;
    gate_.touch(*this);
    leave(why, now);
}

void PeerLink::queue(std::string_view frame, Instant) {
    if (dialer_.queued_bytes() + frame.size() > max_queued_) {
        overflowed_ = true;  // ends at the flush: a session may not end while the broker sends
        return;
    }
    dialer_.send_encoded(frame);
}

bool PeerLink::flush(Instant now) {
    if (std::exchange(overflowed_, false) && dialer_.up()) {
        log_.from_link(LogLevel::warn, "link_overflow",
                       {{"role", "peer"}, {"name", node_}, {"waiting", dialer_.queued_bytes()}}, now);
        dialer_.on_connected(now);  // a new session, which announces everything again
    }
    while (dialer_.wants_send(now)) {
        if ((socket_.get(zmq::sockopt::events) & ZMQ_POLLOUT) == 0) return false;
        if (!dialer_.next_batch(batch_, now)) break;
        (void)socket_.send(zmq::buffer(batch_), zmq::send_flags::dontwait);
    }
    return true;
}

void PeerLink::on_link_up(const v1::Welcome& welcome, Instant now) {
    node_ = welcome.node();
    incarnation_ = welcome.incarnation();
    told_unreachable_ = false;
    told_refused_.clear();
    if (const std::string why = wrong_shard(hello_, welcome); !why.empty()) {
        log_.warn("peer_refused", {{"peer", node_}, {"endpoint", endpoint_}, {"why", why}});
        return dialer_.close(now);  // until it comes back as another
    }
    if (const std::string why = admit_(*this, welcome); !why.empty()) {
        log_.from_link(discovered_ ? LogLevel::info : LogLevel::warn, "peer_refused",
                       {{"peer", node_}, {"endpoint", endpoint_}, {"why", why}}, now);
        dialer_.close(now);
        unwanted_ = true;
        return;
    }
    log_.from_link(LogLevel::info, "peer_up",
                   {{"peer", node_}, {"direction", "out"}, {"endpoint", endpoint_}, {"software", welcome.software()}},
                   now);
    id_ = gate_.open(*this, LinkRole::peer_out, node_, {.clients = welcome.clients()}, now);
}

void PeerLink::on_link_down(std::string_view why, Instant now) {
    leave(why, now);
}

void PeerLink::on_link_frame(v1::Frame& frame, Instant now) {
    gate_.frame(id_, frame, now);
}

void PeerLink::on_link_refused(const v1::Refused& refused, Instant now) {
    if (refused.incarnation() == hello_.incarnation()) {
        log_.info("peer_is_this_node", {{"endpoint", endpoint_}});
        dialer_.close(now);
        unwanted_ = itself_ = true;
        return;
    }
    if (told_refused_ == refused.message()) return;  // it is tried again and again
    told_refused_ = refused.message();
    log_.from_link(LogLevel::warn, "peer_refused",
                   {{"endpoint", endpoint_}, {"link_version", refused.version()}, {"why", refused.message()}}, now);
}

void PeerLink::leave(std::string_view why, Instant now) {
    if (id_ == 0) return;
    log_.from_link(LogLevel::info, "peer_down",
                   {{"peer", node_}, {"direction", "out"}, {"endpoint", endpoint_}, {"why", why}}, now);
    gate_.close(std::exchange(id_, 0), now);
}

}  // namespace weft
