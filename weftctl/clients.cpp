// weftctl clients: who is connected, and where.
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <set>

#include "channel_name.hpp"
#include "codec/json_codec.hpp"
#include "codec/survey_json.hpp"
#include "codec/text_rules.hpp"
#include "query.hpp"

namespace weft {

namespace {

constexpr std::uint32_t kPage = 1000;  // connections

struct Options {
    Sidecar::Options sidecar;
    std::string user, channel, node;
    std::uint32_t limit = 0;
    bool json = false;
};

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : text;
}

std::string time_text(std::int64_t unix_ms) {
    std::string text;
    if (unix_ms != 0) append_timestamp(text, WallTime(std::chrono::milliseconds(unix_ms)));
    return or_dash(text);
}

void print(const v1::ClientInfo& client, bool json) {
    if (json) {
        std::string line;
        append_object(line, [&](ObjectWriter& out) { write_client(out, client); });
        std::cout << line << '\n';
        return;
    }
    std::cout << HexId(client.client_id()).view() << '\t' << or_dash(client.user()) << '\t' << client.node() << '\t'
              << client.transport() << '\t' << or_dash(client.codec()) << '\t' << time_text(client.since_ms()) << '\t'
              << time_text(client.expires_ms()) << '\t' << client.subscriptions() << '\t' << client.queued_bytes()
              << '\n';
}

void list_clients(const Options& options) {
    if (!options.channel.empty()) check_channel(options.channel);
    Sidecar sidecar(options.sidecar);
    sidecar.expect_clients();
    if (!options.json && ::isatty(STDOUT_FILENO) != 0) {
        std::cout << "client_id\tuser\tnode\ttransport\tcodec\tsince\texpires_at\tsubscriptions\tqueued_bytes\n";
    }
    std::set<std::string> missing;
    std::uint32_t left = options.limit;
    for (std::uint64_t after = 0;;) {
        v1::Frame frame;
        v1::ReadClients& read = *frame.mutable_read_clients();
        read.set_request(1);
        read.set_user(options.user);
        read.set_channel(options.channel);
        read.set_node(options.node);
        read.set_after(after);
        read.set_limit(options.limit == 0 ? kPage : std::min(kPage, left));
        const v1::Frame answer = sidecar.ask(frame);
        const v1::ClientsPage& page = answer.clients_page();
        for (const v1::ClientInfo& client : page.clients()) print(client, options.json);
        missing.insert(page.missing().begin(), page.missing().end());
        left -= std::min(left, static_cast<std::uint32_t>(page.clients_size()));
        after = page.horizon();
        if (after == 0 || (options.limit != 0 && left == 0)) break;
    }
    for (const std::string& node : missing) {
        std::cerr << "weftctl: node " << node << " did not answer, or not for all of its clients\n";
    }
}

}  // namespace

void add_clients_command(CLI::App& app) {
    add_query<Options>(
        app, "clients",
        "List connections: client_id, user, node, transport, codec, since, expires_at, subscriptions, queued_bytes",
        [](CLI::App& command, Options& options) {
            // A variable that a script left empty must not mean everybody.
            const CLI::Validator text([](const std::string& given) { return given.empty() ? "it is empty" : ""; }, "");
            command.add_option("--user", options.user, "Those of this user (a ticket's sub)")->check(text);
            command.add_option("--channel", options.channel, "Those that are in this channel")->check(text);
            command.add_option("--node", options.node, "Those of this node")->check(text);
            command.add_option("--limit", options.limit, "So many connections at most")
                ->check(CLI::Range(1U, 1'000'000'000U));
        },
        list_clients);
}

}  // namespace weft
