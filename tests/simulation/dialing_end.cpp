// A dialer and its connection, which comes and goes.
#include "simulation/names.hpp"
#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

using namespace std::chrono_literals;

DialingEnd::DialingEnd(SimulatedMesh& mesh, std::string name, v1::Hello hello, std::optional<std::size_t> from,
                       std::size_t to, LinkDialer::Events& events)
    : dialer(
          std::move(hello), kTimings, [&mesh] { return mesh.world_.random(); }, events),
      mesh_(mesh),
      name_(std::move(name)),
      key_(mesh.next_key_++) {
    wire.from = from;
    wire.to = to;
    wire.stable_identity = mesh.world_.chance(0.5);
    mesh_.dialers_[key_] = this;
    connect_later();
}

DialingEnd::~DialingEnd() {
    mesh_.dialers_.erase(key_);
}

/// A node's link goes by the node's clock.
Instant DialingEnd::now() const {
    return wire.from ? mesh_.nodes_[*wire.from]->now() : mesh_.world_.now();
}

void DialingEnd::receive(const std::string& bytes) {
    dialer.on_message(bytes, now());
    pump();
}

void DialingEnd::tick() {
    dialer.on_tick(now());
    pump();
}

void DialingEnd::pump() {
    std::string bytes;
    while (wire.connected && dialer.next_batch(bytes, now())) {
        mesh_.transmit(key_, true, std::exchange(bytes, {}));
    }
}

void DialingEnd::drop(bool noticed) {
    if (!wire.connected) return;
    ++wire.generation;
    mesh_.world_.trace(name_ + ": connection to " + node_name(wire.to) + " breaks" + (noticed ? "" : " unnoticed"));
    if (mesh_.world_.chance(0.5)) {
        mesh_.world_.after(mesh_.world_.between(0ms, 500ms), [&mesh = mesh_, to = wire.to, identity = wire.identity] {
            mesh.nodes_[to]->unreachable(identity);
        });
    }
    if (!noticed) return;
    wire.connected = false;
    dialer.on_disconnected("connection lost", now());
    connect_later();
}

void DialingEnd::connect_later() {
    mesh_.world_.after(mesh_.world_.between(1ms, 300ms), [&mesh = mesh_, key = key_] {
        const auto end = mesh.dialers_.find(key);
        if (end != mesh.dialers_.end()) end->second->try_to_connect();
    });
}

void DialingEnd::try_to_connect() {
    if (wire.connected) return;
    if (!mesh_.nodes_[wire.to]->running() || mesh_.cut(wire)) return connect_later();
    wire.connected = true;
    ++wire.generation;
    if (wire.identity == 0 || !wire.stable_identity) wire.identity = mesh_.next_identity_++;
    dialer.on_connected(now());
    pump();
}

}  // namespace weft::simulation
