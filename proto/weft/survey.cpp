#include "weft/survey.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace weft {

v1::ChannelsPage merge_channels(std::span<const v1::ChannelsPage> pages, std::size_t limit) {
    std::map<std::string_view, std::uint64_t> channels;
    std::set<std::string_view> nodes, missing;
    std::string_view horizon;  // empty: there is none
    for (const v1::ChannelsPage& page : pages) {
        for (const auto& entry : page.channels()) channels[entry.channel()] += entry.subscribers();
        if (!page.horizon().empty() && (horizon.empty() || page.horizon() < horizon)) horizon = page.horizon();
        nodes.insert(page.nodes().begin(), page.nodes().end());
        missing.insert(page.missing().begin(), page.missing().end());
    }
    v1::ChannelsPage all;
    for (const auto& [name, subscribers] : channels) {
        if (!horizon.empty() && name > horizon) break;
        if (static_cast<std::size_t>(all.channels_size()) == limit) {
            horizon = all.channels(all.channels_size() - 1).channel();
            break;
        }
        v1::ChannelsPage::Entry& entry = *all.add_channels();
        entry.set_channel(name.data(), name.size());
        entry.set_subscribers(subscribers);
    }
    all.set_horizon(horizon.data(), horizon.size());
    for (const std::string_view node : nodes) {
        if (!missing.contains(node)) all.add_nodes(node.data(), node.size());  // one of its shards may be
    }
    for (const std::string_view node : missing) all.add_missing(node.data(), node.size());
    return all;
}

v1::NodesPage merge_nodes(std::span<const v1::NodesPage> pages) {
    v1::NodesPage all;
    for (const v1::NodesPage& page : pages) {
        for (const v1::NodeInfo& part : page.nodes()) {
            auto& nodes = *all.mutable_nodes();
            const auto known = std::find_if(nodes.begin(), nodes.end(),
                                            [&](const v1::NodeInfo& node) { return node.node() == part.node(); });
            if (known == nodes.end()) {
                *nodes.Add() = part;
                continue;
            }
            v1::NodeInfo& node = *known;
            node.set_up(node.up() && part.up());
            if (node.software().empty()) node.set_software(part.software());
            node.set_uptime_ms(std::max(node.uptime_ms(), part.uptime_ms()));
            node.set_shards(std::max(node.shards(), part.shards()));
            // Every worker and every peer has a link to each shard.
            node.set_workers(std::max(node.workers(), part.workers()));
            node.set_peers(std::max(node.peers(), part.peers()));
            node.set_connections(node.connections() + part.connections());
            node.set_subscriptions(node.subscriptions() + part.subscriptions());
            node.set_channels(node.channels() + part.channels());
            node.set_published(node.published() + part.published());
            node.set_delivered(node.delivered() + part.delivered());
            node.set_history_bytes(node.history_bytes() + part.history_bytes());
        }
    }
    return all;
}

}  // namespace weft
