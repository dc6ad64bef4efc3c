// What must hold once a simulated mesh has come to rest: the promises that only the end shows.
#include <algorithm>

#include "simulation/names.hpp"
#include "simulation/simulated_crowd.hpp"
#include "simulation/simulated_mesh.hpp"
#include "simulation/simulated_party.hpp"
#include "simulation/simulated_publisher.hpp"
#include "simulation/simulated_reader.hpp"

namespace weft::simulation {

void SimulatedMesh::check_losses() {
    for (const auto& worker : workers_) check_wishes(worker->name(), worker->node(), worker->wishes());
}

void SimulatedMesh::check_parties() {
    for (const auto& party : parties_) party->check();
}

std::size_t SimulatedMesh::handed_over() const {
    std::size_t all = 0;
    for (const auto& party : parties_) all += party->handed_over();
    return all;
}

void SimulatedMesh::check_wishes(const std::string& name, std::size_t at,
                                 const std::map<std::string, SimulatedWorker::Wish>& wishes) {
    for (const auto& [channel, wish] : wishes) {
        if (!wish.settled_at) continue;
        for (const auto& [request, record] : records_) {
            if (!record.accepted || record.channel != channel || wish.delivered.contains(request)) continue;
            const std::uint64_t* const started_at = wish.start.find(record.stream);
            // Within one millisecond only the numbers can tell.
            const bool owed =
                record.accepted_at > *wish.settled_at || (started_at != nullptr && record.number > *started_at);
            if (!owed) continue;
            // What a node accepted, and forgot before this life of the worker's node had ever heard of it, nobody
            // can tell.
            const SimulatedNode& home = *nodes_[at];
            const auto met = at == record.node ? std::optional{Instant{}} : home.met(record.node);
            const auto heard = wish.streams.find(record.stream);
            if ((!met || record.accepted_at < *met) &&
                (heard == wish.streams.end() || heard->second < home.started_at())) {
                continue;
            }
            const bool told = std::ranges::any_of(wish.gaps, [&](const SimulatedWorker::Wish::Gap& gap) {
                const std::uint64_t* const before = gap.before.find(record.stream);
                const std::uint64_t* const after = gap.after.find(record.stream);
                return gap.told_at >= record.accepted_at && (before == nullptr || *before < record.number) &&
                       (after == nullptr || *after >= record.number);
            });
            if (!told) {
                return violate("P3: " + name + " never got publication " + std::to_string(request) + " on " + channel +
                               " (accepted by " + node_name(record.node) + " at " +
                               std::to_string(record.accepted_at.time_since_epoch().count()) + " ms), nor a gap");
            }
        }
    }
}

void SimulatedMesh::check_convergence() {
    for (const auto& worker : workers_) {
        for (const auto& [channel, wish] : worker->wishes()) {
            if (wish.state != SimulatedWorker::Wish::State::subscribed) {
                return violate("no convergence: " + worker->name() + " is not subscribed to " + channel);
            }
            for (const std::uint64_t request : last_round_) {
                const Record& record = records_.at(request);
                if (record.channel == channel && !wish.delivered.contains(request)) {
                    return violate("no convergence: " + worker->name() + " lacks publication " +
                                   std::to_string(request) + " of the last round on " + channel);
                }
            }
        }
    }
}

std::size_t SimulatedMesh::taken_twice() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(records_, [](const auto& entry) { return entry.second.copies.size() > 1; }));
}

std::size_t SimulatedMesh::accepted() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(records_, [](const auto& entry) { return entry.second.accepted; }));
}

void SimulatedMesh::check_histories() {
    for (std::size_t i = 0; i < plan_.kept_channels; ++i) {
        const std::string channel = "kept:" + std::to_string(i);
        Position known;
        std::optional<std::set<std::string>> held;
        for (const auto& node : nodes_) {
            std::set<std::string> here;
            std::string after;
            for (bool complete = false; !complete;) {
                const v1::HistoryPage page = node->read(channel, after);
                Position at = parse(page.start());
                for (const v1::Publication& event : page.events()) {
                    at.set(event.stream(), event.number());
                    if (event.repeat()) continue;
                    if (!here.insert(event.data()).second) {
                        return violate("P2: a node's history of " + channel + " gives publication " + event.data() +
                                       " twice");
                    }
                }
                known.merge(at);
                after = at.text();
                complete = page.complete();
            }
            if (held && *held != here) {
                return violate("P5: of " + channel + " one node holds " + std::to_string(held->size()) +
                               " entries, another " + std::to_string(here.size()) + ", and not the same");
            }
            held = std::move(here);
        }
        held_[channel] = *held;
        for (const auto& reader : readers_) {
            if (reader->channel() == channel) check_reader(*reader, known);
        }
    }
}

void SimulatedMesh::check_reader(const SimulatedReader& reader, const Position& known) {
    if (!reader.began_at()) return;
    if (!reader.live()) return violate("no convergence: " + reader.name() + " is still waiting");
    for (const auto& [request, record] : records_) {
        if (!record.accepted || record.channel != reader.channel() || reader.has(request)) continue;
        const std::uint64_t* const started_at = reader.start().find(record.stream);
        const bool owed =
            record.accepted_at > *reader.began_at() && (started_at == nullptr || record.number > *started_at);
        // What only nodes had that crashed, nobody knows of any more.
        const std::uint64_t* const top = known.find(record.stream);
        const bool lost_for_all = record.own_id ? !held_[record.channel].contains(std::to_string(request))
                                                : top == nullptr || *top < record.number;
        if (!owed || lost_for_all || reader.told_at() >= record.accepted_at) continue;
        return violate("P3: " + reader.name() + " never got publication " + std::to_string(request) + " on " +
                       reader.channel() + ", number " + std::to_string(record.number) + ", accepted at " +
                       std::to_string(record.accepted_at.time_since_epoch().count()) +
                       " ms, nor was it told of a loss");
    }
}

void SimulatedMesh::check_acknowledged() {
    for (const auto& publisher : publishers_) {
        if (publisher->waiting()) return violate("no convergence: " + publisher->name() + " is not acknowledged");
    }
    for (const auto& [request, record] : records_) {
        if (!record.own_id || !record.accepted) continue;
        if (!held_[record.channel].contains(std::to_string(request))) {
            return violate("P4: publication " + std::to_string(request) + " on " + record.channel +
                           " was acknowledged by " + node_name(record.node) + " at " +
                           std::to_string(record.accepted_at.time_since_epoch().count()) + " ms, and no node has it");
        }
    }
}

namespace {

/// The first member that only one of the two has.
std::string difference(const Members& here, const Members& truth) {
    for (const auto& [client, user] : here) {
        if (!truth.contains(client)) return user + " (" + std::to_string(client) + ") is not there";
    }
    for (const auto& [client, user] : truth) {
        if (!here.contains(client)) return user + " (" + std::to_string(client) + ") is there, too";
    }
    return "somebody has another name";
}

}  // namespace

void SimulatedMesh::check_members() {
    for (std::size_t i = 0; i < plan_.rooms; ++i) {
        const std::string room = "room:" + std::to_string(i);
        Members truth;
        for (const auto& crowd : crowds_) truth.merge(crowd->members(room));
        for (const auto& node : nodes_) {
            if (const Members here = node->members(room); here != truth) {
                return violate("P5: node " + node_name(node->index()) + " knows " + std::to_string(here.size()) +
                               " members of " + room + (here.size() == truth.size() ? ", not those" : "") + " of " +
                               std::to_string(truth.size()) + " that are there: " + difference(here, truth));
            }
        }
        std::multiset<std::string> users;
        for (const auto& [client, user] : truth) users.insert(user);
        for (const auto& crowd : crowds_) {
            if (crowd->seen(room) == users) continue;
            return violate("P5: " + crowd->name() + " was told of " + std::to_string(crowd->seen(room).size()) +
                           " members of " + room + ", and " + std::to_string(truth.size()) + " are there");
        }
    }
}

}  // namespace weft::simulation
