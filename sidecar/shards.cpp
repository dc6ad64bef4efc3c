#include "shards.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "endpoint.hpp"
#include "weft/shard.hpp"

namespace weft {
namespace {

std::string count(unsigned shards) {
    return std::to_string(shards) + (shards == 1 ? " shard" : " shards");
}

}  // namespace

std::string wrong_shards(const Config& node) {
    if (node.shards == 1) return {};
    std::vector<std::string> listed = node.mesh.peers;
    std::erase(listed, node.mesh.listen);  // one list for all nodes
    if (!node.mesh.listen.empty()) listed.push_back(node.mesh.listen);
    listed.push_back(node.workers.listen);
    std::set<std::string> all;
    if (node.http.port != 0) all.insert("tcp://" + node.http.text());
    for (const std::string& first : listed) {
        for (unsigned shard = 0; shard < node.shards; ++shard) {
            const auto address = shard_address(first, shard);
            const auto use = first.starts_with("dns+") ? Endpoint::Use::dial : Endpoint::Use::listen;
            if (!address || !Endpoint::parse(*address, use)) {
                return count(node.shards) + " have no addresses at \"" + first + "\": one would be at " +
                       (address ? "\"" + *address + "\"" : "a port over 65535");
            }
            if (!all.insert(*address).second) {
                return "shard " + std::to_string(shard) + " of \"" + first + "\" would be at \"" + *address +
                       "\", which is taken; expected " + std::to_string(node.shards) + " ports in a row for each node";
            }
        }
    }
    return {};
}

Config shard_config(const Config& node, unsigned shard) {
    Config config = node;
    if (node.shards == 1) return config;
    config.workers.listen = *shard_address(node.workers.listen, shard);
    if (!node.mesh.listen.empty()) config.mesh.listen = *shard_address(node.mesh.listen, shard);
    for (std::string& peer : config.mesh.peers) peer = *shard_address(peer, shard);
    config.history.max_bytes = node.history.max_bytes / node.shards;
    config.publish.id_bytes = node.publish.id_bytes / node.shards;
    config.limits.max_channels = (node.limits.max_channels + node.shards - 1) / node.shards;
    config.limits.queue = std::max(node.limits.queue / node.shards, kMinLinkQueue);
    return config;
}

std::string wrong_shard(const v1::Hello& hello, const v1::Welcome& welcome) {
    if (hello.kind() == v1::Hello::TOOL) return {};
    const unsigned here = std::max(welcome.shards(), 1U);
    if (hello.kind() == v1::Hello::PEER) {
        const unsigned there = std::max(hello.shards(), 1U);
        if (there != here) {
            return "node " + hello.peer().node() + " has " + count(there) + ", node " + welcome.node() + " has " +
                   count(here) + "; expected the same \"shards\" in weftd.yaml of all nodes of a mesh";
        }
    } else {
        const unsigned most = std::max(hello.max_shards(), 1U);
        if (here > most) {
            return "node " + welcome.node() + " has " + count(here) + ", and this worker's module knows of " +
                   std::to_string(most) + " at most; expected a newer module in nginx";
        }
        if (hello.shards() != 0 && hello.shards() != here) {
            return "node " + welcome.node() + " has " + count(here) + ", the worker goes by " + count(hello.shards()) +
                   " until it hears of it from the first";
        }
    }
    if (hello.shard() == welcome.shard()) return {};
    return "shard " + std::to_string(welcome.shard()) + " of node " + welcome.node() + " was dialed as shard " +
           std::to_string(hello.shard()) + "; expected its first shard's address in the configuration";
}

}  // namespace weft
