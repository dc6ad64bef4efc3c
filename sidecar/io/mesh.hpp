// This node's part of the mesh: the peers that it dials.
#pragma once

#include <memory>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "io/broker_gate.hpp"
#include "io/link_port.hpp"
#include "io/log.hpp"
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
        std::size_t max_queued = 0;
        unsigned shards = 1;  // of this node, and of every other
        unsigned shard = 0;   // which of them this is
    };

    Mesh(zmq::context_t& context, Settings settings, BrokerGate& gate, Log& log);

    /// Dials the endpoints that are new and closes the links to those that are gone. Throws zmq::error_t.
    void set_peers(const std::vector<std::string>& endpoints, Instant now);

    [[nodiscard]] const std::vector<std::unique_ptr<PeerLink>>& links() const noexcept { return links_; }

    void tick(Instant now);
    void close_links(Instant now);

    /// Warns once of each peer that dials this node but isn't among those that this node dials: what is published there
    /// doesn't come here. Waits until it is sure, because names are known only once a link is up.
    void warn_of_one_way(LinkPort& incoming, Instant now);

private:
    std::string admit(const PeerLink& link, const v1::Welcome& welcome) const;

    zmq::context_t& context_;
    Settings settings_;
    BrokerGate& gate_;
    Log& log_;
    std::vector<std::unique_ptr<PeerLink>> links_;  // in the order of the configuration
};

}  // namespace weft
