#include "status_pages.hpp"

#include "status_families.hpp"
#include "version.hpp"

namespace weft {

namespace {

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
    return out += '"';
}

/// Why it isn't healthy; empty when it is.
std::string stall(const NodeStatus& status, Instant now) {
    if (now - status.at < kMaxStall) return {};
    return "the event loop hasn't turned for " + std::to_string((now - status.at).count()) + " ms";
}

StatusPage page(const NodeStatus& status, const std::string& why_not) {
    StatusPage page;
    page.good = why_not.empty();
    page.text = std::string("{\"ok\":") + (page.good ? "true" : "false") + ",\"node\":" + quoted(status.node);
    if (!page.good) page.text += ",\"why\":" + quoted(why_not);
    return page;
}

}  // namespace

StatusPage health_page(const NodeStatus& status, Instant now) {
    StatusPage health = page(status, stall(status, now));
    health.text += "}\n";
    return health;
}

StatusPage ready_page(const NodeStatus& status, Instant now) {
    std::string why_not = stall(status, now);
    if (why_not.empty() && status.stopping) why_not = "it is shutting down";
    if (why_not.empty() && !status.filled) why_not = "it is still fetching history from its peers";
    StatusPage ready = page(status, why_not);
    ready.text += ",\"workers\":" + std::to_string(status.workers) + ",\"peers\":[";
    for (const NodeStatus::Peer& peer : status.peers) {
        if (&peer != status.peers.data()) ready.text += ',';
        ready.text += "{\"endpoint\":" + quoted(peer.endpoint) + ",\"node\":" + quoted(peer.node) +
                      ",\"up\":" + (peer.up ? "true" : "false") + "}";
    }
    ready.text += "]}\n";
    return ready;
}

std::string metrics_page(const NodeStatus& status, Instant now) {
    const Broker::Counts& counts = status.counts;
    Families all;
    Families::value(all.add("info", "The version of weftd, and the name of its node"), 1,
                    {{"version", WEFT_VERSION}, {"node", status.node}});
    all.gauge("ready", "1 when /readyz says so", ready_page(status, now).good ? 1 : 0);
    all.gauge("workers", "nginx workers (and tools) that are linked", status.workers);
    all.gauge("shards", "shards of weftd.yaml", status.shards.size());
    all.gauge("channels", "Channels that are known: wanted, with history, or lingering", counts.channels);
    all.gauge("channels_with_history", "Channels of which history is kept", counts.histories);
    all.gauge("history_bytes", "Bytes of all histories", counts.history_bytes);
    all.gauge("history_max_bytes", "history.max_bytes", status.history_max_bytes);
    all.counter("history_evicted_total", "Entries that went because of history.max_bytes", counts.evicted);
    all.counter("published_total", "Publications that workers here brought and that were accepted", counts.published);
    all.counter("delivered_total", "Publications handed to links, once for each", counts.delivered);
    all.counter("signals_total", "Signals from workers here", counts.signals);
    all.counter("signals_dropped_total", "Signals that a link wasn't sent, since much waited for it",
                counts.signals_dropped);
    all.counter("rpcs_total", "Calls from workers here", counts.rpcs);
    all.counter("revocations_total", "Disconnects, bans and the like that were asked for here", counts.revocations);
    all.counter("gaps_total", "Losses on the way from a peer that were told to workers", counts.gaps);
    all.counter("ignored_frames_total", "Frames that made no sense from the link they came by", counts.ignored);
    if (status.shards.size() > 1) {
        const auto by_shard = [&](const char* name, const char* help, bool total,
                                  std::uint64_t Broker::Counts::*count) {
            auto& family = all.add(name, help, total);
            for (std::size_t i = 0; i < status.shards.size(); ++i) {
                Families::value(family, status.shards[i].*count, {{"shard", std::to_string(i)}});
            }
        };
        by_shard("shard_channels", "weftd_channels of each shard", false, &Broker::Counts::channels);
        by_shard("shard_history_bytes", "weftd_history_bytes of each shard", false, &Broker::Counts::history_bytes);
        by_shard("shard_published_total", "weftd_published_total of each shard", true, &Broker::Counts::published);
    }
    auto& reads =
        all.add("history_reads_total", "Reads of a history from a position on, by whether all was there", true);
    Families::value(reads, counts.recovered, {{"outcome", "recovered"}});
    Families::value(reads, counts.unrecovered, {{"outcome", "lost"}});
    auto& links = all.add("links", "Links that are up, by role");
    Families::value(links, counts.workers, {{"role", "worker"}});
    Families::value(links, counts.peers_in, {{"role", "peer_in"}});
    Families::value(links, counts.peers_out, {{"role", "peer_out"}});
    auto& queued = all.add("queued_bytes", "Bytes that wait for links, by role; see limits.queue");
    Families::value(queued, status.worker_bytes, {{"role", "worker"}});
    Families::value(queued, status.peer_in_bytes, {{"role", "peer_in"}});
    if (!status.peers.empty()) {
        const auto labels = [](const NodeStatus::Peer& peer) {
            return std::vector<prometheus::ClientMetric::Label>{{"endpoint", peer.endpoint}, {"node", peer.node}};
        };
        auto& up = all.add("peer_up", "1 when the link that this node dialed is up");
        for (const NodeStatus::Peer& peer : status.peers) Families::value(up, peer.up ? 1 : 0, labels(peer));
        auto& waiting = all.add("peer_queued_bytes", "Bytes that wait for a peer that this node dialed");
        for (const NodeStatus::Peer& peer : status.peers) Families::value(waiting, peer.queued, labels(peer));
    }
    if (!status.followers.empty()) {
        auto& unacknowledged =
            all.add("peer_unacknowledged_frames", "Frames that a peer was sent and hasn't confirmed");
        for (const NodeStatus::Follower& peer : status.followers) {
            Families::value(unacknowledged, peer.unacknowledged, {{"node", peer.node}});
        }
        auto& lag = all.add("peer_lag_milliseconds", "How long the oldest of these has waited");
        for (const NodeStatus::Follower& peer : status.followers) {
            Families::value(lag, static_cast<std::uint64_t>(peer.lag.count()), {{"node", peer.node}});
        }
    }
    add_back_ends(all, status);
    return all.text();
}

}  // namespace weft
