// What is asked of all shards of weftd at once (of the first alone: weft.clients), and answered when they all have: the
// methods weft.channels, weft.clients, weft.node and weft.nodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "weft/v1/link.pb.h"

namespace weft {

class Parameters;

struct Survey {
    static constexpr std::uint32_t kDefaultLimit = 100;  // channels or clients
    static constexpr std::uint32_t kMaxLimit = 1000;

    enum class Kind : std::uint8_t { channels, clients, node, nodes } kind;
    // Of channels:
    std::string pattern;  // empty: all
    std::string after;
    // Of channels and clients:
    std::uint32_t limit = kDefaultLimit;
    // Of clients; whatever is empty holds for all:
    std::string user{}, channel{}, node{};
    std::uint64_t after_client = 0;

    // What came of it.
    unsigned awaited = 0;  // shards
    bool failed = false;   // and that was said
    v1::Frame page{};      // of those that have answered
};

/// Whether `method` is answered by a survey.
[[nodiscard]] std::optional<Survey::Kind> survey_kind(std::string_view method) noexcept;

/// Reads the parameters of a survey.
Survey read_survey(Survey::Kind kind, Parameters& parameters);

/// The question, under this number, as it goes to a shard.
void write_question(const Survey& survey, std::uint64_t number, v1::Frame& question);

/// The result, as JSON, once all shards have answered.
[[nodiscard]] std::string survey_result(const Survey& survey);

}  // namespace weft
