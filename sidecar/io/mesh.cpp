#include "io/mesh.hpp"

#include <algorithm>
#include <utility>

#include "weft/v1/link.pb.h"

namespace weft {

Mesh::Mesh(zmq::context_t& context, Settings settings, BrokerGate& gate, Log& log)
    : context_(context), settings_(std::move(settings)), gate_(gate), log_(log) {}

void Mesh::set_peers(const std::vector<std::string>& endpoints, Instant now) {
    for (const auto& link : links_) {
        if (std::ranges::find(endpoints, link->endpoint()) != endpoints.end()) continue;
        log_.info("peer_removed", {{"endpoint", link->endpoint()}});
        link->close("it is no longer a configured peer", now);
        link->flush(now);
    }
    std::vector<std::unique_ptr<PeerLink>> links;
    for (const std::string& text : endpoints) {
        if (text == settings_.listen) continue;  // one list for all nodes
        const auto kept = std::ranges::find_if(links_, [&](const auto& link) {
            return link && link->endpoint() == text && !link->unwanted();  // an unwanted one gets another chance
        });
        if (kept != links_.end()) {
            links.push_back(std::move(*kept));
            continue;
        }
        const auto endpoint = Endpoint::parse(text, Endpoint::Use::dial);
        if (!endpoint) continue;  // the configuration was checked
        v1::Hello hello;
        hello.set_kind(v1::Hello::PEER);
        hello.set_name(settings_.node);
        hello.set_incarnation(settings_.incarnation);
        hello.set_software(settings_.software);
        hello.set_shards(settings_.shards);
        hello.set_shard(settings_.shard);
        hello.mutable_peer()->set_node(settings_.node);
        hello.mutable_peer()->set_listen(settings_.listen);
        log_.info("peer_dial", {{"endpoint", text}});
        links.push_back(std::make_unique<PeerLink>(
            context_, *endpoint, PeerLink::Settings{std::move(hello), settings_.timings, settings_.max_queued},
            [this](const PeerLink& link, const v1::Welcome& welcome) { return admit(link, welcome); }, gate_, log_));
    }
    links_ = std::move(links);
}

void Mesh::tick(Instant now) {
    for (const auto& link : links_) link->tick(now);
}

void Mesh::close_links(Instant now) {
    for (const auto& link : links_) link->close("this node is shutting down", now);
}

void Mesh::warn_of_one_way(LinkPort& incoming, Instant now) {
    const bool all_known = std::ranges::all_of(links_, [](const auto& link) { return !link->node().empty(); });
    for (const LinkPort::Peer& peer : incoming.peers()) {
        if (*peer.judged) continue;
        const bool dialed = std::ranges::any_of(
            links_, [&](const auto& link) { return link->node() == peer.name || link->endpoint() == peer.listen; });
        if (dialed) {
            *peer.judged = true;
        } else if (all_known || now - peer.since > 3 * settings_.timings.dead) {
            *peer.judged = true;
            log_.from_link(
                LogLevel::warn, "peer_one_way",
                {{"peer", peer.name},
                 {"endpoint", peer.listen},
                 {"why", "it dials this node but is not in mesh.peers here, so its publications don't come"}},
                now);
        }
    }
}

std::string Mesh::admit(const PeerLink& link, const v1::Welcome& welcome) const {
    if (welcome.node() == settings_.node) return "it is named " + settings_.node + " as this node";
    for (const auto& other : links_) {
        // The first of the list stays, whichever of them was connected first; so both ends come to rest.
        if (other.get() == &link) break;
        if (other->incarnation() == welcome.incarnation()) {
            return "it is the node that " + other->endpoint() + " leads to; expected each node once in mesh.peers";
        }
    }
    return {};
}

}  // namespace weft
