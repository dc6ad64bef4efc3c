// The mesh as a whole: who is in it, what goes wrong, and how bytes get from one to another.
#include "simulation/simulated_mesh.hpp"

#include <algorithm>

#include "simulation/names.hpp"
#include "simulation/simulated_crowd.hpp"
#include "simulation/simulated_party.hpp"
#include "simulation/simulated_publisher.hpp"
#include "simulation/simulated_reader.hpp"

namespace weft::simulation {

using namespace std::chrono_literals;

namespace {

constexpr milliseconds kTick{250};
constexpr std::size_t kBugEvery = 20;  // a bug strikes at each so-manieth chance

}  // namespace

SimulatedMesh::SimulatedMesh(SimulatedWorld& world, MeshPlan plan) : world_(world), plan_(plan) {
    for (std::size_t i = 0; i < plan_.nodes; ++i) nodes_.push_back(std::make_unique<SimulatedNode>(*this, i));
    for (auto& node : nodes_) node->start();
    for (std::size_t i = 0; i < plan_.nodes * plan_.workers_per_node; ++i) {
        workers_.push_back(std::make_unique<SimulatedWorker>(*this, i % plan_.nodes, i / plan_.nodes));
        workers_.back()->start();
        keep_working(i);
    }
    for (std::size_t i = 0; i < plan_.readers; ++i) {
        readers_.push_back(std::make_unique<SimulatedReader>(*this, i));
        readers_.back()->move_to(i % plan_.nodes);
    }
    for (std::size_t i = 0; i < plan_.publishers; ++i) {
        publishers_.push_back(std::make_unique<SimulatedPublisher>(*this, i));
        publishers_.back()->move_to(i % plan_.nodes);
    }
    for (std::size_t i = 0; plan_.rooms > 0 && i < plan_.nodes; ++i) {
        crowds_.push_back(std::make_unique<SimulatedCrowd>(*this, i));
        keep_stirring(i);
    }
    for (std::size_t i = 0; plan_.parties && i < plan_.nodes; ++i) {
        parties_.push_back(std::make_unique<SimulatedParty>(*this, i));
        keep_partying(i);
    }
    for (std::size_t i = 0; i < nodes_.size() + workers_.size() + readers_.size() + publishers_.size(); ++i) {
        keep_ticking(i);
    }
}

SimulatedMesh::~SimulatedMesh() {
    workers_.clear();
    readers_.clear();
    publishers_.clear();
    crowds_.clear();
    parties_.clear();
    for (auto& node : nodes_) node->crash();
}

void SimulatedMesh::drop_a_connection() {
    if (dialers_.empty()) return;
    const auto victim = std::next(dialers_.begin(), static_cast<std::ptrdiff_t>(world_.below(dialers_.size())));
    victim->second->drop(world_.chance(0.5));
}

void SimulatedMesh::partition_two_nodes(milliseconds time) {
    const std::size_t one = world_.below(nodes_.size());
    const std::size_t other = (one + 1 + world_.below(nodes_.size() - 1)) % nodes_.size();
    const auto pair = std::minmax(one, other);
    if (!partitions_.insert(pair).second) return;
    world_.trace("nodes " + node_name(one) + " and " + node_name(other) + " are cut off from each other");
    world_.after(time, [this, pair = std::pair{pair.first, pair.second}, generation = partition_generation_] {
        if (generation != partition_generation_) return;
        partitions_.erase(pair);
        world_.trace("nodes " + node_name(pair.first) + " and " + node_name(pair.second) + " reach each other again");
    });
}

void SimulatedMesh::crash_a_node(milliseconds down) {
    const std::size_t victim = world_.below(nodes_.size());
    if (!nodes_[victim]->running()) return;
    nodes_[victim]->crash();
    for (auto& [key, end] : std::map(dialers_)) {
        if (end->wire.to == victim) end->drop(world_.chance(0.7));
    }
    world_.after(down, [this, victim] { nodes_[victim]->start(); });
}

void SimulatedMesh::crash_a_worker() {
    workers_[world_.below(workers_.size())]->crash();
}

void SimulatedMesh::crash_a_crowd() {
    crowds_[world_.below(crowds_.size())]->crash();
}

void SimulatedMesh::crash_a_host() {
    parties_[world_.below(parties_.size())]->crash_a_worker();
}

void SimulatedMesh::heal() {
    ++partition_generation_;
    partitions_.clear();
    weather = {};
    for (auto& node : nodes_) node->start();
    world_.trace("all is well from now on");
}

void SimulatedMesh::set_busy(bool publishing, bool toggling) {
    publishing_ = publishing;
    toggling_ = toggling;
}

void SimulatedMesh::subscribe_everybody() {
    for (auto& worker : workers_) {
        for (std::size_t i = 0; i < plan_.channels; ++i) {
            const std::string channel = "chat:" + std::to_string(i);
            if (!worker->wishes().contains(channel)) worker->toggle(channel);
        }
    }
}

void SimulatedMesh::publish_everywhere() {
    const std::uint64_t first = next_request_;
    for (auto& worker : workers_) {
        if (!worker->up()) violate(worker->name() + " has no link after the healing");
        for (std::size_t i = 0; i < plan_.channels; ++i) worker->publish("chat:" + std::to_string(i));
    }
    for (std::uint64_t request = first; request < next_request_; ++request) last_round_.insert(request);
}

void SimulatedMesh::violate(std::string what) {
    world_.trace("VIOLATION " + what);
    if (!violation_.empty()) return;
    violation_ = std::move(what);
    world_.end_trace();  // what led to it is of interest, and not the rest of the run
}

void SimulatedMesh::transmit(std::uint64_t dialer, bool to_node, std::string bytes) {
    const auto found = dialers_.find(dialer);
    if (found == dialers_.end()) return;
    Wire& wire = found->second->wire;
    if (!wire.connected || cut(wire) || world_.chance(weather.loss)) return;
    Instant& last = wire.arrives[to_node ? 0 : 1];
    last = std::max(last, world_.now() + world_.between(weather.min_delay, weather.max_delay));
    world_.at(last, [this, dialer, to_node, generation = wire.generation, bytes = std::move(bytes)] {
        const auto end = dialers_.find(dialer);
        if (end == dialers_.end()) return;
        const Wire& wire = end->second->wire;
        if (!wire.connected || wire.generation != generation || cut(wire)) return;
        if (to_node) {
            nodes_[wire.to]->receive(wire.identity, dialer, bytes);
        } else {
            end->second->receive(bytes);
            if (wire.from) nodes_[*wire.from]->pump();
        }
    });
}

bool SimulatedMesh::cut(const Wire& wire) const {
    return wire.from && partitions_.contains(std::minmax(*wire.from, wire.to));
}

void SimulatedMesh::keep_ticking(std::size_t actor) {
    world_.after(world_.between(kTick / 2, kTick), [this, actor] {
        if (actor < nodes_.size()) {
            nodes_[actor]->tick();
        } else if (actor < nodes_.size() + workers_.size()) {
            workers_[actor - nodes_.size()]->tick();
        } else if (actor < nodes_.size() + workers_.size() + readers_.size()) {
            readers_[actor - nodes_.size() - workers_.size()]->tick();
        } else {
            publishers_[actor - nodes_.size() - workers_.size() - readers_.size()]->tick();
        }
        keep_ticking(actor);
    });
}

void SimulatedMesh::keep_working(std::size_t index) {
    world_.after(world_.between(20ms, 400ms), [this, index] {
        SimulatedWorker& worker = *workers_[index];
        if (publishing_) {
            const std::string channel = some_channel();
            for (std::uint64_t burst = world_.below(4); burst > 0; --burst) worker.publish(channel);
            if (plan_.kept_channels > 0 && plan_.publishers == 0) {
                const std::string kept = some_kept_channel();
                for (std::uint64_t burst = world_.below(6); burst > 0; --burst) worker.publish(kept);
            }
        }
        if (toggling_ && world_.chance(0.1)) {
            const std::string channel = some_channel();
            worker.toggle(channel);
            if (world_.chance(0.3)) worker.toggle(channel);  // and back at once
        }
        keep_working(index);
    });
}

void SimulatedMesh::keep_stirring(std::size_t index) {
    world_.after(world_.between(20ms, 250ms), [this, index] {
        crowds_[index]->tick();
        if (publishing_ && world_.chance(0.6)) {
            crowds_[index]->stir();
            ++moves_;
        }
        keep_stirring(index);
    });
}

void SimulatedMesh::keep_partying(std::size_t index) {
    world_.after(world_.between(5ms, 100ms), [this, index] {
        parties_[index]->tick();
        if (publishing_ && world_.chance(0.5)) parties_[index]->begin_a_move();
        keep_partying(index);
    });
}

bool SimulatedMesh::bug_strikes(Bug bug) {
    return plan_.bug == bug && ++bug_chances_ % kBugEvery == 0;
}

}  // namespace weft::simulation
