// What back ends ask of a worker, and what clients ask in the same way once they have been checked.
#include "gateway/gateway.hpp"
#include "weft/position.hpp"

namespace weft {

void Gateway::publish(std::string_view channel, Json data, std::string_view message_id, RequestObserver& observer,
                      const Publisher& by, std::string_view id) {
    const Request asked{nullptr, &observer, std::string(id)};
    const ChannelRule* const rule = rule_for(channel, asked);
    if (rule == nullptr) return;
    if (data.size() > kMaxData) {
        return fail(
            asked,
            {Code::message_too_large, "the data is longer than 8 MiB, the most that a publication may have", {}});
    }
    if (rule->max_size != 0 && data.size() > rule->max_size) {
        refusals().payload.add();
        return fail(asked, {Code::message_too_large, "the data is longer than this channel takes", {}});
    }
    ShardLink& link = link_of(channel);
    const std::uint64_t number = new_request(link, {nullptr, &observer, std::string(id)});
    if (number == 0) return fail_unavailable(asked);
    counters_.publications_in.add();
    v1::Publish& out = *outgoing_.mutable_publish();
    out.set_request(number);
    out.set_channel(channel.data(), channel.size());
    out.set_data(data.data(), data.size());
    out.set_message_id(message_id.data(), message_id.size());
    out.clear_publisher();
    if (by.known()) {
        out.mutable_publisher()->set_user(by.user.data(), by.user.size());
        out.mutable_publisher()->set_client_id(by.client_id);
    }
    send_link(link, outgoing_);
}

void Gateway::cancel(RequestObserver& observer) noexcept {
    for (const auto& link : links_) {
        link->requests.for_each([&observer](Request& request) {
            if (request.observer == &observer) request.observer = nullptr;
        });
    }
}

const ChannelRule* Gateway::rule_for(std::string_view channel, const Request& request) {
    const ChannelRule* const rule = rules_.find(channel);
    if (rule == nullptr) fail(request, {Code::channel_not_found, "no weft_channel rule matches this channel", {}});
    return rule;
}

void Gateway::read_history(const command::History& history, RequestObserver& observer, std::string_view id) {
    Request request{nullptr, &observer, std::string(id), Request::Kind::history};
    const ChannelRule* const rule = rule_for(history.channel, request);
    if (rule == nullptr) return;
    if (rule->history_count == 0) {
        return fail(request, {Code::permission_denied, "this channel keeps no history", {}});
    }
    ask_history(std::move(request), history);
}

void Gateway::ask_history(Request request, const command::History& history) {
    if (const auto position = Position::parse(history.after); !position) {
        return fail(request,
                    {Code::invalid_message, "\"after\" is no position that a server gave: " + position.error(), {}});
    }
    const Request asked{request.connection, request.observer, request.id};
    if (read_history(link_of(history.channel), std::move(request), history.channel, std::string(history.after),
                     history.limit) == 0) {
        fail_unavailable(asked);
    }
}

void Gateway::read_members(const command::Presence& presence, RequestObserver& observer, std::string_view id) {
    Request request{nullptr, &observer, std::string(id), Request::Kind::members};
    const ChannelRule* const rule = rule_for(presence.channel, request);
    if (rule == nullptr) return;
    ask_members(std::move(request), *rule, presence);
}

void Gateway::read_member_stats(std::string_view channel, RequestObserver& observer, std::string_view id) {
    Request request{nullptr, &observer, std::string(id), Request::Kind::member_stats};
    const ChannelRule* const rule = rule_for(channel, request);
    if (rule == nullptr) return;
    ask_members(std::move(request), *rule, {channel, {}, 1});
}

}  // namespace weft
