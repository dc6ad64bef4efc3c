#include "io/mesh.hpp"

#include <algorithm>
#include <utility>

#include "weft/v1/link.pb.h"

namespace weft {

Mesh::Mesh(zmq::context_t& context, Settings settings, BrokerGate& gate, Log& log)
    : context_(context),
      settings_(std::move(settings)),
      gate_(gate),
      log_(log),
      discovered_(kKeptRounds * settings_.resolve) {}

void Mesh::set_peers(const std::vector<std::string>& endpoints, Instant now) {
    listed_.clear();
    std::vector<Endpoint> names;
    std::vector<std::string> hosts;
    for (const std::string& text : endpoints) {
        const auto endpoint = Endpoint::parse(text, Endpoint::Use::dial);
        if (!endpoint) continue;  // the configuration was checked
        if (endpoint->transport == Endpoint::Transport::dns) {
            names.push_back(*endpoint);
            if (std::ranges::find(hosts, endpoint->host) == hosts.end()) hosts.push_back(endpoint->host);
        } else if (text != settings_.listen) {  // one list for all nodes
            listed_.push_back(text);
        }
    }
    discovered_.set_names(std::move(names));
    unresolved_.clear();
    if (!hosts.empty() && !lookup_) lookup_ = std::make_unique<NameLookup>(settings_.resolve);
    if (lookup_) lookup_->set_names(std::move(hosts));
    std::erase_if(links_, [&](const auto& link) { return link->unwanted() && !link->itself(); });  // another chance
    set_links(now);
}

void Mesh::set_links(Instant now) {
    std::vector<std::string> endpoints = listed_;
    for (std::string& endpoint : discovered_.endpoints()) {
        if (endpoint != settings_.listen && std::ranges::find(listed_, endpoint) == listed_.end()) {
            endpoints.push_back(std::move(endpoint));
        }
    }
    for (const auto& link : links_) {
        if (std::ranges::find(endpoints, link->endpoint()) != endpoints.end()) continue;
        log_.info("peer_removed", {{"endpoint", link->endpoint()}});
        link->close("it is no longer a peer of the configuration, or of DNS", now);
        link->flush(now);
    }
    redial_at_.reset();
    std::vector<std::unique_ptr<PeerLink>> links;
    for (const std::string& text : endpoints) {
        const auto kept =
            std::ranges::find_if(links_, [&](const auto& link) { return link && link->endpoint() == text; });
        if (kept != links_.end()) {
            links.push_back(std::move(*kept));
        } else if (const auto endpoint = Endpoint::parse(text, Endpoint::Use::dial)) {
            if (auto link = dial(*endpoint, now)) {
                log_.info("peer_dial", {{"endpoint", text}});
                links.push_back(std::move(link));
            } else {
                redial_at_ = now + kRedial;
            }
        }
    }
    links_ = std::move(links);
}

/// None when there is no socket to be had, for want of descriptors say; it is logged.
std::unique_ptr<PeerLink> Mesh::dial(const Endpoint& endpoint, Instant now) {
    const bool discovered = std::ranges::find(listed_, endpoint.text) == listed_.end();
    v1::Hello hello;
    hello.set_kind(v1::Hello::PEER);
    hello.set_name(settings_.node);
    hello.set_incarnation(settings_.incarnation);
    hello.set_software(settings_.software);
    hello.set_shards(settings_.shards);
    hello.set_shard(settings_.shard);
    hello.mutable_peer()->set_node(settings_.node);
    hello.mutable_peer()->set_listen(settings_.listen);
    try {
        return std::make_unique<PeerLink>(
            context_, endpoint,
            PeerLink::Settings{std::move(hello), settings_.timings, settings_.max_queued, settings_.keys, discovered},
            [this](const PeerLink& link, const v1::Welcome& welcome) { return admit(link, welcome); }, gate_, log_,
            now);
    } catch (const zmq::error_t& error) {
        log_.from_link(LogLevel::warn, "peer_unreachable",
                       {{"endpoint", endpoint.text}, {"why", std::string("it can't be dialed: ") + error.what()}}, now);
        return nullptr;
    }
}

void Mesh::look_up_names(Instant now) {
    if (!lookup_) return;
    bool news = false;
    for (const NameLookup::Answer& answer : lookup_->news()) {
        const auto told = std::ranges::find(unresolved_, answer.name);
        if (!answer.error.empty() && told == unresolved_.end()) {
            unresolved_.push_back(answer.name);
            log_.warn("peers_unresolved", {{"name", answer.name}, {"why", answer.error}});
        } else if (answer.error.empty() && told != unresolved_.end()) {
            unresolved_.erase(told);
        }
        for (std::size_t i = 0; i < discovered_.names().size(); ++i) {
            if (discovered_.names()[i].host == answer.name) news |= discovered_.take(i, answer.addresses, now);
        }
    }
    news |= discovered_.expire(now, [this](std::string_view endpoint) {
        return std::ranges::any_of(links_,
                                   [&](const auto& link) { return link->endpoint() == endpoint && link->up(); });
    });
    if (news) set_links(now);
}

/// A node that has two addresses is dialed at both, and then one of the links isn't wanted; until the other is down.
void Mesh::dial_unwanted_again(Instant now) {
    if (now < second_look_at_) return;
    second_look_at_ = now + kSecondLook;
    for (auto& link : links_) {
        const bool served = std::ranges::any_of(
            links_, [&](const auto& other) { return other->up() && other->node() == link->node(); });
        if (!link->unwanted() || link->itself() || served || link->node() == settings_.node) continue;
        const auto endpoint = Endpoint::parse(link->endpoint(), Endpoint::Use::dial);
        if (!endpoint) continue;
        if (auto again = dial(*endpoint, now)) link = std::move(again);
    }
}

void Mesh::tick(Instant now) {
    look_up_names(now);
    if (redial_at_ && now >= *redial_at_) set_links(now);
    dial_unwanted_again(now);
    for (const auto& link : links_) link->tick(now);
}

void Mesh::close_links(Instant now) {
    for (const auto& link : links_) link->close("this node is shutting down", now);
}

void Mesh::warn_of_one_way(LinkPort& incoming, Instant now) {
    const bool all_known =
        std::ranges::all_of(links_, [](const auto& link) { return !link->node().empty() || link->itself(); });
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
    if (settings_.keys != nullptr) {
        if (std::string why = settings_.keys->judge(link.server_key(), welcome.node()); !why.empty()) return why;
    }
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
