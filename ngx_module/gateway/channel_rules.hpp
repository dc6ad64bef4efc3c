// The channel rules of nginx.conf: which channels exist, and what may be done there at most.
#pragma once

#include <string_view>
#include <vector>

#include "weft/channel.hpp"

namespace weft {

struct ChannelRule {
    ChannelPattern pattern;
    bool publish = false;  // whether clients may publish; back ends always may
};

class ChannelRules {
public:
    void add(ChannelRule rule) { rules_.push_back(std::move(rule)); }

    /// The first rule, in the order of nginx.conf, whose pattern matches; null when none does: no such channel.
    [[nodiscard]] const ChannelRule* find(std::string_view channel) const noexcept {
        for (const ChannelRule& rule : rules_) {
            if (rule.pattern.matches(channel)) return &rule;
        }
        return nullptr;
    }

    [[nodiscard]] const std::vector<ChannelRule>& all() const noexcept { return rules_; }

private:
    std::vector<ChannelRule> rules_;
};

}  // namespace weft
