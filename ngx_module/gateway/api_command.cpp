#include "gateway/api_command.hpp"

#include <algorithm>
#include <numeric>

#include "auth/grants_text.hpp"
#include "gateway/parameters.hpp"
#include "weft/revocations.hpp"

namespace weft {

namespace {

using Body = decltype(ApiCommand::body);

constexpr std::string_view kBatch = "batch";

Body read_publish(Parameters& parameters, std::vector<std::string> channels, bool broadcast) {
    api::Publish publish;
    publish.channels = std::move(channels);
    publish.broadcast = broadcast;
    publish.data = parameters.json("data");
    if (publish.data.empty()) parameters.refuse("\"data\" is missing: expected any JSON value");
    publish.message_id = parameters.text(text::kMessageId, true);
    return publish;
}

Body read_one_publish(Parameters& parameters) {
    return read_publish(parameters, {parameters.text(text::kChannel)}, false);
}

Body read_broadcast(Parameters& parameters) {
    std::vector<std::string> channels;
    for (const Json element : parameters.list("channels", ApiCommand::kMaxOperations, "channel names")) {
        auto name = Parameters::string_of(element);
        if (!name || !is_channel_name(*name)) {
            parameters.refuse(
                "\"channels\" holds what is no channel name: expected strings of 1 to 255 bytes of A-Z a-z "
                "0-9 _ - . : / @ =");
            break;
        }
        channels.push_back(std::move(*name));
    }
    return read_publish(parameters, std::move(channels), true);
}

template <class Read>
Body read_page(Parameters& parameters) {
    Read read;
    read.channel = parameters.text(text::kChannel);
    read.after = parameters.text(text::kAfter, true);
    read.limit = parameters.number("limit", 1, ApiCommand::kMaxPage, 0);
    return read;
}

Body read_stats(Parameters& parameters) {
    return api::PresenceStats{parameters.text(text::kChannel)};
}

/// Whose connections a decision is about.
void read_subject(Parameters& parameters, v1::Revocation& revocation) {
    revocation.set_user(parameters.text("user"));
    revocation.set_ticket(parameters.text("ticket"));
    const std::string client = parameters.text("client");
    if (client.empty()) return;
    const auto id = HexId::parse(client);
    if (!id || *id == 0) {
        parameters.refuse("\"client\" is no client id: expected 16 hexadecimal digits as in connection_established");
    }
    revocation.set_client_id(id.value_or(0));
}

api::Revoke decide(Parameters& parameters, v1::Revocation::Kind kind) {
    api::Revoke revoke;
    revoke.revocation.set_kind(kind);
    read_subject(parameters, revoke.revocation);
    return revoke;
}

void check(Parameters& parameters, const api::Revoke& revoke) {
    if (const std::string_view wrong = Revocations::check(revoke.revocation); !wrong.empty()) {
        parameters.refuse(std::string(wrong));
    }
}

Body read_disconnect(Parameters& parameters) {
    api::Revoke revoke = decide(parameters, v1::Revocation::DISCONNECT);
    check(parameters, revoke);
    return revoke;
}

Body read_ban(Parameters& parameters) {
    api::Revoke revoke = decide(parameters, v1::Revocation::BAN);
    check(parameters, revoke);
    revoke.lasts = std::chrono::seconds(parameters.number("seconds", 1, ApiCommand::kMaxBan, std::nullopt));
    return revoke;
}

Body read_unban(Parameters& parameters) {
    api::Revoke revoke = decide(parameters, v1::Revocation::BAN);
    revoke.revocation.set_lifted(true);
    check(parameters, revoke);
    return revoke;
}

Body read_unsubscribe(Parameters& parameters) {
    api::Revoke revoke = decide(parameters, v1::Revocation::UNSUBSCRIBE);
    revoke.revocation.set_channel(parameters.text("channel"));
    check(parameters, revoke);
    return revoke;
}

Body read_refresh(Parameters& parameters) {
    api::Revoke revoke = decide(parameters, v1::Revocation::GRANT);
    const Json grants = parameters.json("grants");
    if (!grants.empty()) {
        if (const auto read = parse_grants(grants); !read) {
            parameters.refuse("\"grants\" is not usable, " + read.error() +
                              R"(: expected {"channels":{PATTERN:[ACTION,…],…},"rpc":[PATTERN,…]})");
        }
        revoke.revocation.set_grants(std::string(grants));
    }
    revoke.lasts = std::chrono::seconds(parameters.number("seconds", 1, ApiCommand::kMaxBan, 0));
    if (grants.empty() && revoke.lasts.count() == 0) {
        parameters.refuse("there is nothing to refresh: expected \"grants\", \"seconds\" or both");
    }
    check(parameters, revoke);
    return revoke;
}

template <Survey::Kind kind>
Body read_survey(Parameters& parameters) {
    return read_survey(kind, parameters);
}

struct Reader {
    std::string_view name;
    Body (*read)(Parameters& parameters);
};

constexpr Reader kReaders[] = {
    {"publish", read_one_publish},
    {"broadcast", read_broadcast},
    {"history", read_page<api::History>},
    {"presence", read_page<api::Presence>},
    {"presence_stats", read_stats},
    {"channels", read_survey<Survey::Kind::channels>},
    {"clients", read_survey<Survey::Kind::clients>},
    {"node", read_survey<Survey::Kind::node>},
    {"nodes", read_survey<Survey::Kind::nodes>},
    {"disconnect", read_disconnect},
    {"ban", read_ban},
    {"unban", read_unban},
    {"unsubscribe", read_unsubscribe},
    {"refresh", read_refresh},
};

std::size_t operations_of(const ApiCommand& command) noexcept {
    const auto* const publish = std::get_if<api::Publish>(&command.body);
    return publish == nullptr ? 1 : publish->channels.size();
}

const Reader* find_reader(std::string_view name) noexcept {
    const auto* const reader = std::ranges::find(kReaders, name, &Reader::name);
    return reader == std::end(kReaders) ? nullptr : reader;
}

tl::expected<ApiRequest, ApiFault> read_batch(Parameters& parameters, unsigned max_depth) {
    ApiRequest request;
    request.batch = true;
    const auto elements = parameters.list("commands", ApiCommand::kMaxOperations, "commands");
    const auto wrong = [&](const std::string& why) {
        return tl::unexpected(ApiFault{Code::invalid_message,
                                       "batch: command " + std::to_string(request.commands.size() + 1) + ": " + why});
    };
    std::size_t operations = 0;
    for (const Json element : elements) {
        Parameters members(element, max_depth);
        const std::string name = members.text("command");
        const Reader* const reader = find_reader(name);
        if (members.fault().empty() && reader == nullptr) {
            members.refuse(refusal("command", name.empty() ? "missing" : "unknown", "one of ") +
                           std::string(api_command_names()) + (name == kBatch ? "; no batch within a batch" : ""));
        }
        if (!members.fault().empty()) return wrong(members.fault());
        ApiCommand command{reader->name, reader->read(members)};
        if (!members.fault().empty()) return wrong(members.fault());
        operations += operations_of(command);
        if (operations > ApiCommand::kMaxOperations) {
            return wrong("the batch takes more than 1000 operations, and a broadcast is one for each channel");
        }
        request.commands.push_back(std::move(command));
    }
    return request;
}

}  // namespace

std::size_t ApiRequest::operations() const noexcept {
    return std::accumulate(commands.begin(), commands.end(), std::size_t{0},
                           [](std::size_t sum, const ApiCommand& command) { return sum + operations_of(command); });
}

std::string_view api_command_names() noexcept {
    static const std::string names = [] {
        std::string all;
        for (const Reader& reader : kReaders) all.append(reader.name).append(", ");
        return all.substr(0, all.size() - 2);
    }();
    return names;
}

tl::expected<ApiRequest, ApiFault> parse_api_request(std::string_view command, std::string_view text,
                                                     unsigned max_depth) {
    const Reader* const reader = find_reader(command);
    if (reader == nullptr && command != kBatch) {
        return tl::unexpected(ApiFault{
            Code::method_not_found,
            "there is no such command: expected batch, " + std::string(api_command_names()) + " at the path's end"});
    }
    Parameters parameters(text, max_depth);
    ApiRequest request;
    if (parameters.fault().empty()) {
        if (reader == nullptr) {
            auto batch = read_batch(parameters, max_depth);
            if (!batch) return batch;
            request = std::move(*batch);
        } else {
            request.commands.push_back({reader->name, reader->read(parameters)});
        }
    }
    if (!parameters.fault().empty()) {
        return tl::unexpected(ApiFault{Code::invalid_message, std::string(command) + ": " + parameters.fault()});
    }
    return request;
}

}  // namespace weft
