#include "broker/history_rules.hpp"

#include <algorithm>
#include <chrono>

namespace weft {
namespace {

constexpr std::uint64_t kMaxAgeMs = std::chrono::milliseconds(std::chrono::hours(24 * 365)).count();

Retention retention_of(const v1::Retention& said) {
    return {std::min(said.count(), HistoryRules::kMaxCount),
            std::chrono::milliseconds(static_cast<std::int64_t>(std::min(said.age_ms(), kMaxAgeMs)))};
}

}  // namespace

bool HistoryRules::update(const v1::ChannelRules& said) {
    if (said.generation() <= generation_) return false;
    generation_ = said.generation();
    rules_.clear();
    for (const v1::ChannelRule& rule : said.rules()) {
        if (rules_.size() == kMaxRules) break;
        auto pattern = ChannelPattern::parse(rule.pattern());
        if (!pattern) continue;  // no nginx says this
        rules_.push_back({std::move(*pattern), retention_of(rule.history())});
    }
    ++version_;
    return true;
}

Retention HistoryRules::find(std::string_view channel) const noexcept {
    for (const Rule& rule : rules_) {
        if (rule.pattern.matches(channel)) return rule.retention;
    }
    return {};
}

}  // namespace weft
