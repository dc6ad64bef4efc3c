#include "io/node.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "endpoint.hpp"
#include "io/clock.hpp"
#include "shards.hpp"
#include "status_pages.hpp"
#include "version.hpp"
#include "weft/shard.hpp"

namespace weft {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};

std::string signal_name(int signal) {
    return signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : std::to_string(signal);
}

}  // namespace

Node::Node(Config config, Reload reload, Log& log) : config_(std::move(config)), reload_(std::move(reload)), log_(log) {
    log_.info("started", {{"node", config_.node}, {"version", kSoftware}, {"link_version", kLinkVersion}});

    // First: where it can't, nobody has been let in yet.
    if (config_.http.port != 0) {
        NodeStatus begun;
        begun.node = config_.node;
        begun.at = monotonic_now();
        status_ = std::make_unique<StatusServer>(config_.http.host, config_.http.port, std::move(begun));
        log_.info("http", {{"listen", config_.http.text()}});
    }
    const std::uint64_t incarnation = random_bits();
    hooks_ = make_hook_client(config_, incarnation);
    for (unsigned i = 0; i < config_.shards; ++i) {
        shards_.push_back(std::make_unique<Shard>(shard_config(config_, i), i, incarnation, hooks_.get(), log_, news_));
    }
    forget_shards_of_before();
}

Node::~Node() = default;

/// A weftd that was killed leaves the sockets of its shards; those of numbers that aren't used now would stay for ever.
void Node::forget_shards_of_before() {
    for (const std::string& first : {config_.workers.listen, config_.mesh.listen}) {
        for (unsigned i = config_.shards; i < kMaxShards; ++i) {
            const auto address = shard_address(first, i);
            const auto endpoint = Endpoint::parse(address.value_or(""), Endpoint::Use::listen);
            if (endpoint && endpoint->has_file()) SocketFile::remove_if_stale(endpoint->path);
        }
    }
}

void Node::run() {
    for (const auto& shard : shards_) shard->start();
    while (stop_signal_ == 0) {
        pollfd items[] = {{signals_.fd(), POLLIN, 0}, {news_.fd(), POLLIN, 0}};
        if (::poll(items, std::size(items), static_cast<int>(kLookEvery.count())) < 0 && errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "poll");
        }
        if ((items[1].revents & POLLIN) != 0) news_.clear();
        if ((items[0].revents & POLLIN) != 0) on_signals();
        look(monotonic_now());
        if (std::ranges::any_of(shards_, [](const auto& shard) { return shard->ended(); })) break;
    }
    drain();
}

NodeStatus Node::status() const {
    std::vector<NodeStatus> all;
    all.reserve(shards_.size());
    for (const auto& shard : shards_) all.push_back(shard->status());
    NodeStatus status = status_of_all(all);
    status.stopping = stop_signal_ != 0;
    status.history_max_bytes = config_.history.max_bytes;
    if (hooks_) {
        for (const Hook hook : kAllHooks) {
            if (auto counts = hooks_->counts(hook)) status.hooks.push_back({hook, *counts});
        }
    }
    return status;
}

void Node::look(Instant now) {
    NodeStatus now_is = status();
    if (!ready_ && now_is.filled) say_ready(now_is);
    if (now - now_is.at < kMaxStall) service_.pet(now);
    if (status_) status_->show(std::move(now_is));
}

/// Workers are served before; but resumes wait until what peers hold is here.
void Node::say_ready(const NodeStatus& status) {
    ready_ = true;
    log_.info("ready", {{"node", config_.node},
                        {"workers", config_.workers.listen},
                        {"mesh", config_.mesh.listen.empty() ? "off" : config_.mesh.listen},
                        {"shards", config_.shards},
                        {"peers", config_.mesh.peers.size()},
                        {"peers_up", status.counts.peers_out},
                        {"histories", status.counts.histories},
                        {"history_bytes", status.counts.history_bytes}});
    service_.send("READY=1");
}

void Node::on_signals() {
    while (const int signal = signals_.next()) {
        if (signal == SIGHUP) {
            on_reload();
        } else {
            stop_signal_ = signal;
        }
    }
}

void Node::on_reload() {
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
    Config changed = config_;
    changed.mesh.peers = wanted->mesh.peers;
    changed.mesh.insecure = wanted->mesh.insecure;
    // It was looked at with the number of shards that it says itself.
    if (const std::string wrong = wrong_shards(changed); !wrong.empty()) {
        log_.error("reload_failed", {{"why", wrong}});
        return;
    }
    config_ = std::move(changed);
    for (unsigned i = 0; i < shards_.size(); ++i) shards_[i]->set_peers(shard_config(config_, i).mesh.peers);
    log_.info("reloaded", {{"peers", config_.mesh.peers.size()}});
}

void Node::drain() {
    if (stop_signal_ != 0) log_.info("draining", {{"signal", signal_name(stop_signal_)}});
    service_.send("STOPPING=1");
    if (status_) status_->show(status());
    for (const auto& shard : shards_) shard->stop();
    for (const auto& shard : shards_) shard->join();
    const Broker::Counts counts = status().counts;
    log_.info("stopped", {{"node", config_.node}, {"published", counts.published}, {"delivered", counts.delivered}});
}

}  // namespace weft
