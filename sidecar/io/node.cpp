#include "io/node.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include "io/clock.hpp"
#include "io/start_error.hpp"
#include "version.hpp"

namespace weft {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMaxTick{250};
constexpr milliseconds kMaxRetry{16};
constexpr milliseconds kGatherWait{2'000};  // workers were seen to take 1.5 s to find a new weftd
constexpr milliseconds kLinger{300};        // of kDrain, left to ZeroMQ for what it holds

BrokerSettings broker_settings(const Config& config) {
    BrokerSettings settings;
    settings.node = config.node;
    settings.max_channels = config.limits.max_channels;
    settings.channel_linger = config.limits.channel_linger;
    settings.history_bytes = config.history.max_bytes;
    settings.sync_interval = config.mesh.sync;
    settings.member_timeout = config.mesh.member_timeout;
    settings.gather_wait = kGatherWait;
    settings.expected_peers = config.mesh.peers.size();
    settings.ack_timeout = config.publish.ack_timeout;
    settings.id_window = config.publish.id_window;
    settings.id_bytes = config.publish.id_bytes;
    return settings;
}

Mesh::Settings mesh_settings(const Config& config, std::uint64_t incarnation, const LinkTimings& timings) {
    return {config.node, incarnation, kSoftware, config.mesh.listen, timings, config.limits.queue};
}

LinkTimings link_timings(const Config& config) {
    LinkTimings timings;
    timings.heartbeat = config.mesh.heartbeat;
    timings.dead = config.mesh.dead;
    return timings;
}

Endpoint endpoint_of(const std::string& text) {
    auto endpoint = Endpoint::parse(text, Endpoint::Use::listen);
    if (!endpoint) throw StartError(endpoint.error());
    return std::move(*endpoint);
}

std::string signal_name(int signal) {
    return signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : std::to_string(signal);
}

}  // namespace

Node::Node(Config config, Reload reload, Log& log)
    : config_(std::move(config)),
      reload_(std::move(reload)),
      log_(log),
      incarnation_(random_bits()),
      timings_(link_timings(config_)),
      tick_every_(std::min(timings_.heartbeat / 4, kMaxTick)),
      gate_(broker_settings(config_)),
      mesh_(context_, mesh_settings(config_, incarnation_, timings_), gate_, log_) {
    log_.info("started", {{"node", config_.node}, {"version", kSoftware}, {"link_version", kLinkVersion}});

    // First: where it can't, nobody has been let in yet.
    if (config_.http.port != 0) {
        status_ = std::make_unique<StatusServer>(config_.http.host, config_.http.port);
        log_.info("http", {{"listen", config_.http.text()}});
    }

    if (BackEndPort::wanted(config_)) {
        hooks_ = make_hook_client(config_, incarnation_);
        back_ends_ = std::make_unique<BackEndPort>(context_, config_, hooks_.get(), gate_, log_);
    }

    LinkPort::Settings settings;
    describe_hooks(config_, settings.welcome);
    settings.welcome.set_node(config_.node);
    settings.welcome.set_incarnation(incarnation_);
    settings.welcome.set_software(kSoftware);
    settings.timings = timings_;
    settings.max_queued = config_.limits.queue;

    const auto listen = [&](const std::string& text, LinkRole role, std::unique_ptr<SocketFile>& file) {
        const Endpoint endpoint = endpoint_of(text);
        if (endpoint.has_file()) file = std::make_unique<SocketFile>(endpoint.path);
        settings.role = role;
        auto port = std::make_unique<LinkPort>(context_, endpoint, settings, gate_, log_);
        if (file) file->settle(config_.workers.mode, config_.workers.group);
        return port;
    };
    workers_ = listen(config_.workers.listen, LinkRole::worker, workers_file_);
    if (!config_.mesh.listen.empty()) incoming_ = listen(config_.mesh.listen, LinkRole::peer_in, mesh_file_);
    mesh_.set_peers(config_.mesh.peers, monotonic_now());
}

Node::~Node() = default;

void Node::run() {
    bool more = true;
    while (stop_signal_ == 0) {
        if (!ready_ && gate_.filled()) say_ready();
        Instant now = monotonic_now();
        items_.clear();
        items_.push_back({signals_.fd(), POLLIN, 0});
        watch(workers_->socket());
        if (incoming_) watch(incoming_->socket());
        for (const auto& link : mesh_.links()) {
            watch(link->monitor());
            watch(link->socket());
        }
        if (back_ends_) back_ends_->watch(items_);
        const auto wait = until_next_turn(now, more).count();
        if (::poll(items_.data(), items_.size(), static_cast<int>(wait)) < 0 && errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "poll");
        }
        now = monotonic_now();
        if (more) {  // their descriptors may keep silent about it
            for (std::size_t i = 1; i < items_.size(); ++i) items_[i].revents = POLLIN;
        }
        more = receive(now);
        bool touched = false;
        if (now >= next_tick_) {
            tick(now);
            touched = true;
        }
        if (gate_.has_unsent()) {
            touched = true;
            const bool progress = gate_.flush(now);
            if (!gate_.has_unsent()) {
                retry_ = {};
            } else {
                retry_ = progress || retry_ == retry_.zero() ? milliseconds(1)
                                                             : std::min<milliseconds>(retry_ * 2, kMaxRetry);
            }
        }
        if ((items_[0].revents & POLLIN) != 0) {
            on_signals(now);
            touched = true;
        }
        if (touched && !more) more = any_readable();
    }
    drain();
}

/// Workers are served before; but resumes wait until what peers hold is here.
void Node::say_ready() {
    ready_ = true;
    const Broker::Counts counts = gate_.counts();
    log_.info("ready", {{"node", config_.node},
                        {"workers", config_.workers.listen},
                        {"mesh", config_.mesh.listen.empty() ? "off" : config_.mesh.listen},
                        {"peers", config_.mesh.peers.size()},
                        {"peers_up", counts.peers_out},
                        {"histories", counts.histories},
                        {"history_bytes", counts.history_bytes}});
    service_.send("READY=1");
}

void Node::watch(zmq::socket_ref socket) {
    items_.push_back({socket.get(zmq::sockopt::fd), POLLIN, 0});
}

/// A socket's descriptor tells of a change once; using the socket otherwise than by reading it empty may take that
/// notice away. (zmq_poll() would ask each socket several times a turn, two system calls a time.)
bool Node::any_readable() {
    const auto readable = [](zmq::socket_ref socket) { return (socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0; };
    if (readable(workers_->socket()) || (incoming_ && readable(incoming_->socket()))) return true;
    if (back_ends_ && back_ends_->readable()) return true;
    return std::ranges::any_of(mesh_.links(),
                               [&](const auto& link) { return readable(link->socket()) || readable(link->monitor()); });
}

Instant::duration Node::until_next_turn(Instant now, bool more) const {
    if (more) return Instant::duration::zero();
    Instant::duration wait = std::max(next_tick_ - now, Instant::duration::zero());
    if (retry_ != retry_.zero()) wait = std::min(wait, retry_);
    return wait;
}

/// Takes a slice from every socket that has something. True when one of them may have more.
bool Node::receive(Instant now) {
    bool more = false;
    std::size_t item = 1;
    const auto readable = [&] { return (items_[item++].revents & POLLIN) != 0; };
    if (readable()) more |= workers_->receive(now);
    if (incoming_ && readable()) more |= incoming_->receive(now);
    for (const auto& link : mesh_.links()) {
        const bool event = readable();
        const bool unread = readable() && link->receive(now);
        more |= unread;
        // What came before a disconnect counts; only then the news of it.
        if (event && !unread) link->on_monitor(now);
    }
    if (back_ends_) more |= back_ends_->receive(now);
    return more;
}

void Node::show_status(Instant now) {
    if (!status_) return;
    NodeStatus status;
    status.node = config_.node;
    status.filled = ready_;
    status.stopping = stop_signal_ != 0;
    status.at = now;
    status.counts = gate_.counts();
    status.worker_bytes = workers_->queued_bytes();
    if (incoming_) status.peer_in_bytes = incoming_->queued_bytes();
    status.history_max_bytes = config_.history.max_bytes;
    for (const auto& link : mesh_.links()) {
        status.peers.push_back({link->endpoint(), link->node(), link->up(), link->queued_bytes()});
    }
    if (back_ends_) back_ends_->describe(status);
    status_->show(std::move(status));
}

void Node::tick(Instant now) {
    next_tick_ = now + tick_every_;
    workers_->tick(now);
    if (incoming_) {
        incoming_->tick(now);
        mesh_.warn_of_one_way(*incoming_, now);
    }
    mesh_.tick(now);
    gate_.tick(now);
    if (back_ends_) back_ends_->tick(now);
    warn_of_unacknowledged();
    service_.pet(now);
    show_status(now);
}

/// Once, when it begins, and again only after peers have been there in between.
void Node::warn_of_unacknowledged() {
    const Broker::Counts counts = gate_.counts();
    if (counts.peers_in > 0) warned_alone_ = false;
    const bool news = counts.unacknowledged > unacknowledged_;
    unacknowledged_ = counts.unacknowledged;
    if (!news || counts.peers_in > 0 || warned_alone_) return;
    warned_alone_ = true;
    log_.warn("no_peer_to_acknowledge",
              {{"node", config_.node},
               {"peers", config_.mesh.peers.size()},
               {"why", config_.mesh.peers.empty()
                           ? "nginx.conf says \"ack peer\" of a channel, and this node has no mesh.peers; its "
                             "publications are refused with 4017"
                           : "no peer has a link to this node; publications to channels with \"ack peer\" are refused "
                             "with 4017 until one has"}});
}

void Node::on_signals(Instant now) {
    while (const int signal = signals_.next()) {
        if (signal == SIGHUP) {
            on_reload(now);
        } else {
            stop_signal_ = signal;
        }
    }
}

void Node::on_reload(Instant now) {
    if (!reload_) {
        log_.warn("reload_ignored", {{"why", "weftd was started without --config"}});
        return;
    }
    auto wanted = reload_();
    if (!wanted) {
        for (const ConfigError& error : wanted.error()) log_.error("reload_error", {{"why", error.text()}});
        log_.error("reload_failed", {{"errors", wanted.error().size()}, {"why", "the old configuration stays"}});
        return;
    }
    for (const std::string& key : keys_that_need_a_restart(config_, *wanted)) {
        log_.warn("reload_needs_restart", {{"key", key}});
    }
    config_.mesh.peers = wanted->mesh.peers;
    config_.mesh.insecure = wanted->mesh.insecure;
    mesh_.set_peers(config_.mesh.peers, now);
    log_.info("reloaded", {{"peers", config_.mesh.peers.size()}});
}

void Node::drain() {
    const Instant begin = monotonic_now();
    log_.info("draining", {{"signal", signal_name(stop_signal_)}});
    service_.send("STOPPING=1");
    show_status(begin);
    workers_->close_links(begin);
    if (incoming_) incoming_->close_links(begin);
    mesh_.close_links(begin);
    if (back_ends_) back_ends_->close(begin);
    Instant now = begin;
    for (gate_.flush(now); gate_.has_unsent() && now - begin < kDrain - kLinger; gate_.flush(now)) {
        std::this_thread::sleep_for(milliseconds(2));
        now = monotonic_now();
    }
    for (LinkPort* port : {workers_.get(), incoming_.get()}) {
        if (port != nullptr) port->socket().set(zmq::sockopt::linger, static_cast<int>(kLinger.count()));
    }
    for (const auto& link : mesh_.links()) {
        link->socket().set(zmq::sockopt::linger, static_cast<int>(kLinger.count()));
    }
    const Broker::Counts counts = gate_.counts();
    log_.info("stopped", {{"node", config_.node}, {"published", counts.published}, {"delivered", counts.delivered}});
}

}  // namespace weft
