// What is asked of all shards of weftd at once, and answered when they all have: the methods weft.channels, weft.node
// and weft.nodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/v1/link.pb.h"

namespace weft {

class Parameters;

struct Survey {
    static constexpr std::uint32_t kDefaultLimit = 100;  // channels
    static constexpr std::uint32_t kMaxLimit = 1000;

    enum class Kind : std::uint8_t { channels, node, nodes } kind;
    // Of channels:
    std::string pattern;  // empty: all
    std::string after;
    std::uint32_t limit = kDefaultLimit;

    // What came of it.
    unsigned awaited = 0;  // shards
    bool failed = false;   // and that was said
    std::vector<v1::ChannelsPage> channels{};
    std::vector<v1::NodesPage> nodes{};
};

/// Whether `method` is answered by a survey.
[[nodiscard]] std::optional<Survey::Kind> survey_kind(std::string_view method) noexcept;

/// Reads the parameters of a survey.
Survey read_survey(Survey::Kind kind, Parameters& parameters);

/// The result, as JSON, once all shards have answered.
[[nodiscard]] std::string survey_result(const Survey& survey);

}  // namespace weft
