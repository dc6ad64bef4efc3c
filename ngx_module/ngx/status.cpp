// weft_status: what all workers count, as JSON.
#include <string>

#include "ngx/response.hpp"
#include "ngx/single_use.hpp"
#include "ngx/worker.hpp"
#include "ngx/zone.hpp"

namespace weft {

namespace {

std::string_view name_of(LinkDialer::State state) {
    switch (state) {
        case LinkDialer::State::up: return "\"up\"";
        case LinkDialer::State::greeting: return "\"greeting\"";
        case LinkDialer::State::refused: return "\"refused\"";
        case LinkDialer::State::down: return "\"down\"";
    }
    return "\"\"";
}

std::string status_json(Worker& worker) {
    ZoneReport report;
    report_zone(worker.settings().zone, report);
    const Counters& sum = report.sum;
    const auto number = [](const Counter& counter) { return std::to_string(counter.value()); };
    std::string json = "{\"version\":\"" WEFT_VERSION "\",\"workers\":" + std::to_string(report.workers);
    json += ",\"link\":{\"up\":" + number(sum.link_up) + ",\"pending\":" + number(sum.pending) + ",\"state\":";
    Gateway& gateway = worker.gateway();  // of the worker that answers
    LinkDialer::State state = LinkDialer::State::up;
    std::string shards;
    for (unsigned shard = 0; shard < gateway.links(); ++shard) {
        const LinkDialer::State one = gateway.link(shard).state();
        if (state == LinkDialer::State::up) state = one;
        shards.append(shard == 0 ? "" : ",").append(name_of(one));
    }
    json.append(name_of(state)).append(",\"shards\":[").append(shards);
    json += "]},\"connections\":{\"active\":" + number(sum.active) + ",\"accepted\":" + number(sum.accepted) +
            ",\"refused\":" + number(sum.refused) + ",\"too_many\":" + number(sum.too_many) +
            ",\"banned\":" + number(sum.banned) + ",\"revoked\":" + number(sum.revoked) +
            ",\"slow\":" + number(sum.slow_closed) + ",\"timed_out\":" + number(sum.timed_out) +
            ",\"expired\":" + number(sum.expired) + ",\"blocked\":" + number(sum.blocked) +
            ",\"paused\":" + number(sum.paused) + "}";
    json += ",\"channels\":" + number(sum.channels) + ",\"subscriptions\":" + number(sum.subscriptions);
    json += ",\"messages\":{\"in\":" + number(sum.messages_in) + ",\"out\":" + number(sum.messages_out) +
            ",\"errors\":" + number(sum.errors) + ",\"rate_limited\":" + number(sum.rate_limited) +
            ",\"dropped\":" + number(sum.dropped) + ",\"conflated\":" + number(sum.conflated) +
            ",\"signals_dropped\":" + number(sum.signals_dropped) + "}";
    json +=
        ",\"publications\":{\"in\":" + number(sum.publications_in) + ",\"out\":" + number(sum.publications_out) + "}";
    json += ",\"compression\":{\"in\":{\"raw\":" + number(sum.inflated_in) +
            ",\"compressed\":" + number(sum.compressed_in) + "},\"out\":{\"raw\":" + number(sum.deflated_out) +
            ",\"compressed\":" + number(sum.compressed_out) + "}}";
    json += ",\"bytes\":{\"in\":" + number(sum.bytes_in) + ",\"out\":" + number(sum.bytes_out) + "}";
    const Refusals& refusals = refusals_of(worker.settings().zone);
    const struct {
        const char* name;
        const SharedCounter& counter;
    } kinds[] = {
        {"messages", refusals.messages},
        {"bytes", refusals.bytes},
        {"user_rate", refusals.user},
        {"ip_rate", refusals.address},
        {"channel_rate", refusals.channel},
        {"message_size", refusals.size},
        {"max_size", refusals.payload},
        {"max_members", refusals.members},
        {"subscriptions", refusals.subscriptions},
        {"pending_rpcs", refusals.rpcs},
        {"invalid", refusals.invalid},
        {"denied", refusals.denied},
        {"origin", refusals.origins},
        {"first_subscribe", refusals.first_subscribe},
        {"abusers", refusals.abusers},
    };
    json += ",\"refused\":{";
    for (const auto& [name, counter] : kinds) {
        json.append(&counter == &refusals.messages ? "\"" : ",\"").append(name).append("\":");
        json += std::to_string(counter.value());
    }
    json += "}";
    const SharedRates& rates = rates_of(worker.settings().zone);
    json += ",\"rates\":{\"capacity\":" + std::to_string(rates.capacity()) +
            ",\"forgotten\":" + std::to_string(rates.forgotten()) + "}";
    const UsedTicketsReport once = report_used_tickets(worker.settings().ticket_zone, wall_now());
    json += ",\"once\":{\"used\":" + std::to_string(once.used) + ",\"capacity\":" + std::to_string(once.capacity) + "}";
    const Revocations& revocations = worker.gateway().revocations();  // of the worker that answers
    json += ",\"revocations\":{\"remembered\":" + std::to_string(revocations.size()) +
            ",\"bans\":" + std::to_string(revocations.bans()) + "}";
    json += ",\"zone\":{\"records\":" + std::to_string(report.records) +
            ",\"capacity\":" + std::to_string(report.capacity) + "}}\n";
    return json;
}

}  // namespace

ngx_int_t handle_status(ngx_http_request_t* request) noexcept {
    if ((request->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) return NGX_HTTP_NOT_ALLOWED;
    if (ngx_http_discard_request_body(request) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    Worker* worker = Worker::current();
    if (worker == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
    try {
        return respond(request, NGX_HTTP_OK, "application/json", status_json(*worker));
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, request->connection->log, 0, "weft: %s", error.what());
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

}  // namespace weft
