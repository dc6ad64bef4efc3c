#include "weft/survey.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

namespace {

/// Whom `pages` speak for, and for whom they can't.
template <class Page>
void merge_nodes_of(std::span<const Page> pages, Page& all) {
    std::set<std::string_view> nodes, missing;
    for (const Page& page : pages) {
        nodes.insert(page.nodes().begin(), page.nodes().end());
        missing.insert(page.missing().begin(), page.missing().end());
    }
    for (const std::string_view node : nodes) {
        if (!missing.contains(node)) all.add_nodes(node.data(), node.size());  // a part of it may be
    }
    for (const std::string_view node : missing) all.add_missing(node.data(), node.size());
}

}  // namespace

v1::ChannelsPage merge_channels(std::span<const v1::ChannelsPage> pages, std::size_t limit) {
    std::map<std::string_view, std::uint64_t> channels;
    std::string_view horizon;  // empty: there is none
    for (const v1::ChannelsPage& page : pages) {
        for (const auto& entry : page.channels()) channels[entry.channel()] += entry.subscribers();
        if (!page.horizon().empty() && (horizon.empty() || page.horizon() < horizon)) horizon = page.horizon();
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
    merge_nodes_of(pages, all);
    return all;
}

v1::ClientsPage merge_clients(std::span<const v1::ClientsPage> pages, std::size_t limit) {
    std::vector<const v1::ClientInfo*> clients;
    std::uint64_t horizon = 0;  // 0: there is none
    for (const v1::ClientsPage& page : pages) {
        for (const v1::ClientInfo& client : page.clients()) clients.push_back(&client);
        if (page.horizon() != 0 && (horizon == 0 || page.horizon() < horizon)) horizon = page.horizon();
    }
    std::ranges::sort(clients, {}, [](const v1::ClientInfo* client) { return client->client_id(); });
    v1::ClientsPage all;
    for (const v1::ClientInfo* client : clients) {
        if (horizon != 0 && client->client_id() > horizon) break;
        const auto& told = all.clients();
        if (!told.empty() && told.rbegin()->client_id() == client->client_id()) continue;
        if (static_cast<std::size_t>(all.clients_size()) == limit) {
            horizon = all.clients(all.clients_size() - 1).client_id();
            break;
        }
        *all.add_clients() = *client;
    }
    all.set_horizon(horizon);
    merge_nodes_of(pages, all);
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

std::uint64_t survey_request(const v1::Frame& frame) {
    switch (frame.body_case()) {
        case v1::Frame::kReadChannels: return frame.read_channels().request();
        case v1::Frame::kReadClients: return frame.read_clients().request();
        case v1::Frame::kReadNodes: return frame.read_nodes().request();
        case v1::Frame::kChannelsPage: return frame.channels_page().request();
        case v1::Frame::kClientsPage: return frame.clients_page().request();
        case v1::Frame::kNodesPage: return frame.nodes_page().request();
        default: return 0;
    }
}

void set_survey_request(v1::Frame& frame, std::uint64_t request) {
    switch (frame.body_case()) {
        case v1::Frame::kReadChannels: return frame.mutable_read_channels()->set_request(request);
        case v1::Frame::kReadClients: return frame.mutable_read_clients()->set_request(request);
        case v1::Frame::kReadNodes: return frame.mutable_read_nodes()->set_request(request);
        case v1::Frame::kChannelsPage: return frame.mutable_channels_page()->set_request(request);
        case v1::Frame::kClientsPage: return frame.mutable_clients_page()->set_request(request);
        case v1::Frame::kNodesPage: return frame.mutable_nodes_page()->set_request(request);
        default: return;
    }
}

void merge_page(v1::Frame& all, const v1::Frame& page, std::size_t limit) {
    if (all.body_case() == v1::Frame::BODY_NOT_SET) {
        all = page;
    } else if (all.has_channels_page() && page.has_channels_page()) {
        const v1::ChannelsPage both[] = {std::move(*all.mutable_channels_page()), page.channels_page()};
        *all.mutable_channels_page() = merge_channels(both, limit);
    } else if (all.has_clients_page() && page.has_clients_page()) {
        const v1::ClientsPage both[] = {std::move(*all.mutable_clients_page()), page.clients_page()};
        *all.mutable_clients_page() = merge_clients(both, limit);
    } else if (all.has_nodes_page() && page.has_nodes_page()) {
        const v1::NodesPage both[] = {std::move(*all.mutable_nodes_page()), page.nodes_page()};
        *all.mutable_nodes_page() = merge_nodes(both);
    }
}

}  // namespace weft
