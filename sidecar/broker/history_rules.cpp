#include "broker/history_rules.hpp"

#include <algorithm>
#include <chrono>

namespace weft {
namespace {

constexpr std::uint64_t kMaxAgeMs = std::chrono::milliseconds(std::chrono::hours(24 * 365)).count();

}  // namespace

Retention HistoryRules::read(const v1::Retention& said) {
    return {std::min(said.count(), kMaxCount),
            std::chrono::milliseconds(static_cast<std::int64_t>(std::min(said.age_ms(), kMaxAgeMs))), said.ack()};
}

void HistoryRules::write(const Retention& retention, v1::Retention& out) {
    out.set_count(retention.count);
    out.set_age_ms(static_cast<std::uint64_t>(retention.age.count()));
    out.set_ack(retention.ack);
}

bool HistoryRules::update(const v1::ChannelRules& said) {
    if (said.generation() <= generation_) return false;
    generation_ = said.generation();
    rules_.clear();
    for (const v1::ChannelRule& rule : said.rules()) {
        if (rules_.size() == kMaxRules) break;
        auto pattern = ChannelPattern::parse(rule.pattern());
        if (!pattern) continue;  // no nginx says this
        rules_.push_back({std::move(*pattern), read(rule.history())});
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
