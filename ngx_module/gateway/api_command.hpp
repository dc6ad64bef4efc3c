// What back ends and operators ask by HTTP, as values: the commands of weft_api. docs/openapi.yaml describes them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "codec/message.hpp"
#include "gateway/survey.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

namespace api {
/// To each of `channels`; one, but for a broadcast.
struct Publish {
    std::vector<std::string> channels;
    Json data;  // points into what was parsed
    std::string message_id;
    bool broadcast = false;
};
struct History {
    std::string channel, after;
    std::uint32_t limit = 0;
};
struct Presence {
    std::string channel, after;
    std::uint32_t limit = 0;
};
struct PresenceStats {
    std::string channel;
};
struct Revoke {
    v1::Revocation revocation;
    std::chrono::seconds lasts{0};
};
}  // namespace api

struct ApiCommand {
    static constexpr std::size_t kMaxOperations = 1000;  // of one request: commands of a batch, channels of a broadcast
    static constexpr std::uint32_t kMaxBan = 366 * 86400;  // seconds
    static constexpr std::uint32_t kMaxPage = 1000;        // publications or members

    std::string_view name;  // a literal: "publish"
    std::variant<api::Publish, api::History, api::Presence, api::PresenceStats, api::Revoke, Survey> body;
};

/// One request.
struct ApiRequest {
    std::vector<ApiCommand> commands;  // one, but for a batch
    bool batch = false;

    /// How many answers of weftd it takes.
    [[nodiscard]] std::size_t operations() const noexcept;
};

/// The names of all commands.
[[nodiscard]] std::string_view api_command_names() noexcept;

/// Reads what `command` (the last segment of the path) is given: a JSON object, which must outlive the result. The
/// error is method_not_found for an unknown command, else invalid_message; of a batch it says which command is wrong,
/// and then none of them is to be carried out.
struct ApiFault {
    Code code;
    std::string message;
};
tl::expected<ApiRequest, ApiFault> parse_api_request(std::string_view command, std::string_view parameters,
                                                     unsigned max_depth = kMaxDepth);

}  // namespace weft
