// What back ends send to weft_api: the command on the first line, its parameters behind it.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "codec/json_scanner.hpp"
#include "gateway/api_command.hpp"
#include "support/require.hpp"
#include "weft/channel.hpp"

namespace {

struct Check {
    void operator()(const weft::api::Publish& publish) const {
        REQUIRE(!publish.channels.empty());
        for (const std::string& channel : publish.channels) REQUIRE(weft::is_channel_name(channel));
        REQUIRE(weft::check_json(publish.data).empty());
        REQUIRE(publish.message_id.size() <= weft::kMaxId);
    }
    void operator()(const weft::api::History& history) const {
        REQUIRE(weft::is_channel_name(history.channel));
        REQUIRE(history.limit <= weft::ApiCommand::kMaxPage);
    }
    void operator()(const weft::api::Presence& presence) const {
        REQUIRE(weft::is_channel_name(presence.channel));
        REQUIRE(presence.limit <= weft::ApiCommand::kMaxPage);
    }
    void operator()(const weft::api::PresenceStats& stats) const { REQUIRE(weft::is_channel_name(stats.channel)); }
    void operator()(const weft::api::Revoke& revoke) const {
        REQUIRE(revoke.lasts.count() >= 0 && revoke.lasts.count() <= weft::ApiCommand::kMaxBan);
        REQUIRE(revoke.revocation.kind() != weft::v1::Revocation::BAN || revoke.revocation.client_id() == 0);
    }
    void operator()(const weft::Survey& survey) const {
        REQUIRE(survey.limit >= 1 && survey.limit <= weft::Survey::kMaxLimit);
        REQUIRE(survey.pattern.empty() || weft::ChannelPattern::parse(survey.pattern));
        REQUIRE(survey.after.size() <= weft::kMaxChannelName);
        REQUIRE(survey.channel.empty() || weft::is_channel_name(survey.channel));
        REQUIRE(survey.user.size() <= 255 && survey.node.size() <= 255);
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view parameters = text.substr(std::min(end + 1, text.size()));
    const auto request = weft::parse_api_request(text.substr(0, end), parameters);
    if (!request) {
        REQUIRE(!request.error().message.empty());
        return 0;
    }
    REQUIRE(weft::check_json(parameters).empty());
    REQUIRE(!request->commands.empty());
    REQUIRE(request->operations() <= weft::ApiCommand::kMaxOperations);
    for (const weft::ApiCommand& command : request->commands) std::visit(Check(), command.body);
    return 0;
}
