#include "codec/survey_json.hpp"

namespace weft {

void write_node(ObjectWriter& out, const v1::NodeInfo& node) {
    out.string("node", node.node());
    out.boolean("up", node.up());
    if (node.up()) {
        out.string("software", node.software());
        out.number("uptime_ms", node.uptime_ms());
        out.number("shards", node.shards());
        out.number("workers", node.workers());
        out.number("peers", node.peers());
        out.number("connections", node.connections());
        out.number("subscriptions", node.subscriptions());
        out.number("channels", node.channels());
        out.number("published", node.published());
        out.number("delivered", node.delivered());
        out.number("history_bytes", node.history_bytes());
    }
}

void write_client(ObjectWriter& out, const v1::ClientInfo& client) {
    const auto time = [](std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); };
    out.client_id(client.client_id());
    if (!client.user().empty()) out.string("user", client.user());
    out.string("node", client.node());
    out.string("transport", client.transport());
    if (!client.codec().empty()) out.string("codec", client.codec());
    if (client.since_ms() != 0) out.time("since", time(client.since_ms()));
    if (client.expires_ms() != 0) out.time("expires_at", time(client.expires_ms()));
    out.number("subscriptions", client.subscriptions());
    out.number("queued_bytes", client.queued_bytes());
}

}  // namespace weft
