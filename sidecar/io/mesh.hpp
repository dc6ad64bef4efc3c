// This node's part of the mesh: the peers that it dials.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "discovered_peers.hpp"
#include "io/broker_gate.hpp"
#include "io/link_port.hpp"
#include "io/log.hpp"
#include "io/name_lookup.hpp"
#include "io/peer_link.hpp"

namespace weft {

class Mesh {
public:
    struct Settings {
        std::string node;
        std::uint64_t incarnation = 0;
        std::string software;
        std::string listen;  // what this node tells peers; an entry of the peers that is the same is left out
        LinkTimings timings;
        std::chrono::milliseconds resolve{10'000};  // between questions for the addresses of names
        std::size_t max_queued = 0;
        unsigned shards = 1;         // of this node, and of every other
        unsigned shard = 0;          // which of them this is
        ZapHandler* keys = nullptr;  // CURVE: whose keys are taken for a peer's; none: plain
    };

    Mesh(zmq::context_t& context, Settings settings, BrokerGate& gate, Log& log);

    /// Dials the endpoints that are new and closes the links to those that are gone. Behind a name (dns+tcp) there are
    /// as many as it has addresses; that is looked at again in tick(), as is what could not be dialed.
    void set_peers(const std::vector<std::string>& endpoints, Instant now);

    [[nodiscard]] const std::vector<std::unique_ptr<PeerLink>>& links() const noexcept { return links_; }

    void tick(Instant now);
    void close_links(Instant now);

    /// Warns once of each peer that dials this node but isn't among those that this node dials: what is published there
    /// doesn't come here. Waits until it is sure, because names are known only once a link is up.
    void warn_of_one_way(LinkPort& incoming, Instant now);

private:
    static constexpr int kKeptRounds = 3;                            // of answers that lack an address
    static constexpr std::chrono::milliseconds kSecondLook{30'000};  // at a link that wasn't wanted
    static constexpr std::chrono::milliseconds kRedial{2000};        // for want of a socket

    void set_links(Instant now);
    std::unique_ptr<PeerLink> dial(const Endpoint& endpoint, Instant now);
    void look_up_names(Instant now);
    void dial_unwanted_again(Instant now);
    std::string admit(const PeerLink& link, const v1::Welcome& welcome) const;

    zmq::context_t& context_;
    Settings settings_;
    BrokerGate& gate_;
    Log& log_;
    std::vector<std::string> listed_;               // peers that stand in the configuration with their addresses
    DiscoveredPeers discovered_;                    // and those of names
    std::vector<std::string> unresolved_;           // names that have no address: told once
    std::unique_ptr<NameLookup> lookup_;            // none without names
    std::vector<std::unique_ptr<PeerLink>> links_;  // in the order of the configuration
    Instant second_look_at_{};
    std::optional<Instant> redial_at_;  // an endpoint has no link, for want of a socket
};

}  // namespace weft
