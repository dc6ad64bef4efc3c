// weftctl history, presence, rpc: one question, one answer.
#include <iostream>

#include "channel_name.hpp"
#include "codec/json_scanner.hpp"
#include "codec/text_rules.hpp"
#include "json_line.hpp"
#include "publication.hpp"
#include "query.hpp"
#include "weft/position.hpp"

namespace weft {

namespace {

struct HistoryOptions {
    Sidecar::Options sidecar;
    std::string channel, after;
    std::uint32_t limit = 0;
    bool json = false;
};

void read_history(const HistoryOptions& options) {
    check_channel(options.channel);
    if (const auto position = Position::parse(options.after); !position) {
        throw UsageError("--after " + options.after + ": " + position.error());
    }
    Sidecar sidecar(options.sidecar, options.channel);
    std::uint32_t left = options.limit;
    for (std::string after = options.after;;) {
        v1::Frame frame;
        v1::ReadHistory& read = *frame.mutable_read_history();
        read.set_request(1);
        read.set_channel(options.channel);
        read.set_after(after);
        read.set_limit(left);
        const v1::Frame answer = sidecar.ask(frame);
        const v1::HistoryPage& page = answer.history_page();
        if (page.lost()) std::cerr << "weftctl: something behind " << after << " can't be had any more\n";
        auto at = Position::parse(page.start()).value_or(Position());
        for (v1::Publication publication : page.events()) {
            at.set(publication.stream(), publication.number());
            publication.set_position(at.text());
            if (!publication.repeat()) std::cout << describe(publication, options.channel, options.json) << '\n';
        }
        const auto count = static_cast<std::uint32_t>(page.events_size());
        if (page.complete() || count == 0 || (options.limit != 0 && count >= left)) return;
        if (options.limit != 0) left -= count;
        after = at.text();
    }
}

struct PresenceOptions {
    Sidecar::Options sidecar;
    std::string channel;
    bool json = false;
};

void read_members(const PresenceOptions& options) {
    check_channel(options.channel);
    Sidecar sidecar(options.sidecar, options.channel);
    for (std::uint64_t after = 0;;) {
        v1::Frame frame;
        frame.mutable_read_members()->set_request(1);
        frame.mutable_read_members()->set_channel(options.channel);
        frame.mutable_read_members()->set_after(after);
        const v1::Frame answer = sidecar.ask(frame);
        const v1::MembersPage& page = answer.members_page();
        for (const v1::Member& member : page.members()) {
            after = member.id();
            if (options.json) {
                JsonLine line;
                line.text("client_id", HexId(member.client_id()).view()).text("user", member.user());
                if (!member.info().empty()) line.json("info", member.info());
                std::cout << line.str() << '\n';
            } else {
                std::cout << HexId(member.client_id()).view() << '\t' << (member.user().empty() ? "-" : member.user())
                          << '\t' << member.info() << '\n';
            }
        }
        if (page.complete() || page.members().empty()) return;
    }
}

struct RpcOptions {
    Sidecar::Options sidecar;
    std::string method, params;
};

void call(const RpcOptions& options) {
    if (const std::string wrong = check_text(text::kMethod, options.method); !wrong.empty()) throw UsageError(wrong);
    if (const std::string wrong = options.params.empty() ? "" : check_json(options.params); !wrong.empty()) {
        throw UsageError("the params are " + wrong);
    }
    v1::Frame frame;
    frame.mutable_rpc()->set_request(1);
    frame.mutable_rpc()->set_method(options.method);
    frame.mutable_rpc()->set_params(options.params);
    const v1::Frame answer = Sidecar(options.sidecar).ask(frame);
    std::cout << (answer.rpc_result().result().empty() ? "null" : answer.rpc_result().result()) << '\n';
}

}  // namespace

void add_history_command(CLI::App& app) {
    add_query<HistoryOptions>(
        app, "history", "Print what a channel's history holds",
        [](CLI::App& command, HistoryOptions& options) {
            add_channel(command, options.channel);
            command.add_option("--after", options.after, "Begin behind this position");
            command.add_option("--limit", options.limit, "So many publications at most")
                ->check(CLI::Range(1U, 1'000'000'000U));
        },
        read_history);
}

void add_presence_command(CLI::App& app) {
    add_query<PresenceOptions>(
        app, "presence", "Print who is in a channel: client, user, info",
        [](CLI::App& command, PresenceOptions& options) { add_channel(command, options.channel); }, read_members);
}

void add_rpc_command(CLI::App& app) {
    add_query<RpcOptions>(
        app, "rpc", "Call a method, and print its result as JSON",
        [](CLI::App& command, RpcOptions& options) {
            command.add_option("method", options.method)->required();
            command.add_option("params", options.params, "A JSON value");
        },
        call);
}

}  // namespace weft
