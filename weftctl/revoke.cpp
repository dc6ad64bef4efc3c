// weftctl disconnect, ban, unban, unsubscribe: decisions about clients, for every worker of every node.
#include <iostream>

#include "codec/text_rules.hpp"
#include "duration.hpp"
#include "query.hpp"
#include "weft/revocations.hpp"

namespace weft {

namespace {

struct Options {
    Sidecar::Options sidecar;
    std::string user, client, ticket, channel, time;
};

std::uint64_t client_id(const std::string& hex) {
    const auto id = HexId::parse(hex);
    if (!id || *id == 0) {
        throw UsageError("--client " + hex + ": expected 16 hexadecimal digits as in connection_established");
    }
    return *id;
}

void run(const Options& options, v1::Revocation::Kind kind, bool lifted) {
    v1::Frame frame;
    v1::Revoke& revoke = *frame.mutable_revoke();
    revoke.set_request(1);
    v1::Revocation& revocation = *revoke.mutable_revocation();
    revocation.set_kind(kind);
    revocation.set_lifted(lifted);
    revocation.set_user(options.user);
    revocation.set_ticket(options.ticket);
    revocation.set_channel(options.channel);
    if (!options.client.empty()) revocation.set_client_id(client_id(options.client));
    if (!options.time.empty()) {
        const auto time = parse_duration(options.time);
        if (!time) throw UsageError("--for " + options.time + ": expected a time such as 90s, 10m, 12h or 7d");
        revoke.set_seconds(static_cast<std::uint32_t>(std::min<std::int64_t>(time->count(), UINT32_MAX)));
    }
    if (const std::string_view wrong = Revocations::check(revocation); !wrong.empty()) {
        throw UsageError(std::string(wrong));
    }
    Sidecar(options.sidecar).ask(frame);
    std::cout << "accepted\n";
}

void add(CLI::App& app, const std::string& name, const std::string& what, v1::Revocation::Kind kind, bool lifted) {
    add_query<Options>(
        app, name, what,
        [&](CLI::App& command, Options& options) {
            command.add_option("--user", options.user, "All connections of this user (a ticket's sub)");
            command.add_option("--ticket", options.ticket, "All connections that came with this ticket (its jti)");
            if (kind != v1::Revocation::BAN) {
                command.add_option("--client", options.client,
                                   "One connection, by the client_id that it was greeted with");
            }
            if (kind == v1::Revocation::UNSUBSCRIBE) {
                command.add_option("--channel", options.channel, "The channel to leave")->required();
            }
            if (kind == v1::Revocation::BAN && !lifted) {
                command.add_option("--for", options.time, "How long it holds, such as 90s, 10m, 12h or 7d")->required();
            }
        },
        [kind, lifted](const Options& options) { run(options, kind, lifted); });
}

}  // namespace

void add_revoke_commands(CLI::App& app) {
    add(app, "disconnect", "End connections; their clients may come back with new credentials",
        v1::Revocation::DISCONNECT, false);
    add(app, "ban", "End connections, and refuse new ones for a time", v1::Revocation::BAN, false);
    add(app, "unban", "End a ban before its time", v1::Revocation::BAN, true);
    add(app, "unsubscribe", "Take connections out of a channel", v1::Revocation::UNSUBSCRIBE, false);
}

}  // namespace weft
