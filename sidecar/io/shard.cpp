#include "io/shard.hpp"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
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
constexpr milliseconds kLeaveToRead{50};    // of kDrain, left to the other ends, behind what was said last

/// That are surely there: not this node itself, and of those behind names one, since nobody knows how many there are.
std::size_t expected_peers(const Config::Mesh& mesh) {
    const auto named =
        std::ranges::count_if(mesh.peers, [](const std::string& peer) { return peer.starts_with("dns"); });
    const auto itself = std::ranges::count(mesh.peers, mesh.listen);
    return mesh.peers.size() - static_cast<std::size_t>(named + itself) + (named > 0 ? 1 : 0);
}

BrokerSettings broker_settings(const Config& config) {
    BrokerSettings settings;
    settings.node = config.node;
    settings.software = kSoftware;
    settings.shards = config.shards;
    settings.max_channels = config.limits.max_channels;
    settings.channel_linger = config.limits.channel_linger;
    settings.history_bytes = config.history.max_bytes;
    settings.sync_interval = config.mesh.sync;
    settings.member_timeout = config.mesh.member_timeout;
    settings.gather_wait = kGatherWait;
    settings.expected_peers = expected_peers(config.mesh);
    settings.ack_timeout = config.publish.ack_timeout;
    settings.id_window = config.publish.id_window;
    settings.id_bytes = config.publish.id_bytes;
    return settings;
}

Mesh::Settings mesh_settings(const Config& config, unsigned index, std::uint64_t incarnation,
                             const LinkTimings& timings, ZapHandler* keys) {
    Mesh::Settings settings;
    settings.node = config.node;
    settings.incarnation = incarnation;
    settings.software = kSoftware;
    settings.listen = config.mesh.listen;
    settings.timings = timings;
    settings.resolve = config.mesh.resolve;
    settings.max_queued = config.limits.queue;
    settings.shards = config.shards;
    settings.shard = index;
    settings.keys = keys;
    return settings;
}

std::unique_ptr<ZapHandler> make_keys(zmq::context_t& context, const Config::Mesh::Curve& files) {
    return files.secret_key.empty() ? nullptr : std::make_unique<ZapHandler>(context, files);
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

}  // namespace

Shard::Shard(Config config, unsigned index, std::uint64_t incarnation, HookClient* hooks, const Log& log, Wakeup& news)
    : config_(std::move(config)),
      index_(index),
      log_(config_.shards > 1 ? log.of_shard(index) : log),
      news_(news),
      timings_(link_timings(config_)),
      tick_every_(std::min(timings_.heartbeat / 4, kMaxTick)),
      gate_(broker_settings(config_)),
      keys_(make_keys(context_, config_.mesh.curve)),
      mesh_(context_, mesh_settings(config_, index, incarnation, timings_, keys_.get()), gate_, log_) {
    if (keys_) log_.info("curve", {{"public_key", keys_->public_key()}, {"allowed", keys_->keys()->all().size()}});
    if (index_ != 0) config_.services = {};  // the first shard answers rpc
    if (BackEndPort::wanted(config_)) {
        back_ends_ = std::make_unique<BackEndPort>(context_, config_, hooks, gate_, log_);
    }
    LinkPort::Settings settings;
    describe_hooks(config_, settings.welcome);
    settings.welcome.set_node(config_.node);
    settings.welcome.set_incarnation(incarnation);
    settings.welcome.set_software(kSoftware);
    settings.welcome.set_shards(config_.shards);
    settings.welcome.set_shard(index_);
    settings.welcome.set_surveys(true);
    settings.welcome.set_clients(true);
    settings.welcome.set_marks(true);
    settings.timings = timings_;
    settings.max_queued = config_.limits.queue;

    const auto listen = [&](const std::string& text, LinkRole role, std::unique_ptr<SocketFile>& file) {
        const Endpoint endpoint = endpoint_of(text);
        if (endpoint.has_file()) file = std::make_unique<SocketFile>(endpoint.path);
        settings.role = role;
        settings.keys = role == LinkRole::peer_in ? keys_.get() : nullptr;
        auto port = std::make_unique<LinkPort>(context_, endpoint, settings, gate_, log_);
        if (file) file->settle(config_.workers.mode, config_.workers.group);
        return port;
    };
    workers_ = listen(config_.workers.listen, LinkRole::worker, workers_file_);
    if (!config_.mesh.listen.empty()) incoming_ = listen(config_.mesh.listen, LinkRole::peer_in, mesh_file_);
    mesh_.set_peers(config_.mesh.peers, monotonic_now());
    show_status(monotonic_now());
}

Shard::~Shard() {
    if (!thread_.joinable()) return;
    stop();
    thread_.join();
}

void Shard::start() {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), ("weftd-shard-" + std::to_string(index_)).c_str());
}

void Shard::stop() {
    stopping_ = true;
    orders_.ring();
}

void Shard::set_peers(std::vector<std::string> endpoints) {
    {
        const std::scoped_lock lock(mutex_);
        peers_ = std::move(endpoints);
    }
    orders_.ring();
}

NodeStatus Shard::status() const {
    const std::scoped_lock lock(mutex_);
    return status_;
}

void Shard::join() {
    if (thread_.joinable()) thread_.join();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Shard::run() noexcept {
    try {
        serve();
    } catch (...) {
        failure_ = std::current_exception();
    }
    ended_ = true;
    news_.ring();
}

void Shard::take_orders(Instant now) {
    orders_.clear();
    std::optional<std::vector<std::string>> peers;
    {
        const std::scoped_lock lock(mutex_);
        peers.swap(peers_);
    }
    if (!peers) return;
    if (keys_) keys_->read_again();
    mesh_.set_peers(*peers, now);
}

void Shard::serve() {
    bool more = true;
    while (!stopping_) {
        if (!told_filled_ && gate_.filled()) {
            told_filled_ = true;
            show_status(monotonic_now());
            news_.ring();
        }
        Instant now = monotonic_now();
        items_.clear();
        items_.push_back({orders_.fd(), POLLIN, 0});
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
            take_orders(now);
            touched = true;
        }
        if (touched && !more) more = any_readable();
    }
    drain();
}

void Shard::watch(zmq::socket_ref socket) {
    items_.push_back({socket.get(zmq::sockopt::fd), POLLIN, 0});
}

/// A socket's descriptor tells of a change once; using the socket otherwise than by reading it empty may take that
/// notice away. (zmq_poll() would ask each socket several times a turn, two system calls a time.)
bool Shard::any_readable() {
    const auto readable = [](zmq::socket_ref socket) { return (socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0; };
    if (readable(workers_->socket()) || (incoming_ && readable(incoming_->socket()))) return true;
    if (back_ends_ && back_ends_->readable()) return true;
    return std::ranges::any_of(mesh_.links(),
                               [&](const auto& link) { return readable(link->socket()) || readable(link->monitor()); });
}

Instant::duration Shard::until_next_turn(Instant now, bool more) const {
    if (more) return Instant::duration::zero();
    Instant::duration wait = std::max(next_tick_ - now, Instant::duration::zero());
    if (retry_ != retry_.zero()) wait = std::min(wait, retry_);
    return wait;
}

/// Takes a slice from every socket that has something. True when one of them may have more.
bool Shard::receive(Instant now) {
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

void Shard::show_status(Instant now) {
    NodeStatus status;
    status.node = config_.node;
    status.filled = gate_.filled();
    status.stopping = stopping_;
    status.at = now;
    status.counts = gate_.counts();
    status.workers = status.counts.workers;
    status.worker_bytes = workers_->queued_bytes();
    if (incoming_) {
        status.peer_in_bytes = incoming_->queued_bytes();
        status.followers = incoming_->followers(now);
    }
    for (const auto& link : mesh_.links()) {
        if (link->itself()) continue;
        status.peers.push_back({link->endpoint(), link->node(), link->up(), link->queued_bytes()});
    }
    if (back_ends_) status.back_ends = back_ends_->counts();
    const std::scoped_lock lock(mutex_);
    status_ = std::move(status);
}

void Shard::tick(Instant now) {
    next_tick_ = now + tick_every_;
    workers_->tick(now);
    if (incoming_) {
        incoming_->tick(now);
        mesh_.warn_of_one_way(*incoming_, now);
    }
    mesh_.tick(now);
    gate_.tick(now);
    if (back_ends_) back_ends_->tick(now);
    if (keys_) keys_->write_news(log_, now);
    warn_of_unacknowledged();
    show_status(now);
}

/// Once, when it begins, and again only after peers have been there in between.
void Shard::warn_of_unacknowledged() {
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

void Shard::drain() {
    const Instant begin = monotonic_now();
    show_status(begin);
    workers_->close_links(begin);
    if (incoming_) incoming_->close_links(begin);
    mesh_.close_links(begin);
    if (back_ends_) back_ends_->close(begin);
    Instant now = begin;
    for (gate_.flush(now); gate_.has_unsent() && now - begin < kDrain - kLinger - kLeaveToRead; gate_.flush(now)) {
        std::this_thread::sleep_for(milliseconds(2));
        now = monotonic_now();
    }
    // With ZMQ_IMMEDIATE, as dialers have it, the end of a connection overtakes in libzmq what the dialer hasn't read
    // yet.
    std::this_thread::sleep_for(kLeaveToRead);
    for (LinkPort* port : {workers_.get(), incoming_.get()}) {
        if (port != nullptr) port->socket().set(zmq::sockopt::linger, static_cast<int>(kLinger.count()));
    }
    for (const auto& link : mesh_.links()) {
        link->socket().set(zmq::sockopt::linger, static_cast<int>(kLinger.count()));
    }
    show_status(now);
}

}  // namespace weft
