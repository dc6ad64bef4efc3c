// The channel rules of nginx.conf: which channels exist, and what may be done there at most.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "weft/channel.hpp"

namespace weft {

/// What happens to publications for a reader that doesn't keep up.
enum class Overflow : std::uint8_t {
    close,        // at its queue's bound the connection ends with 4014
    drop_oldest,  // at its queue's bound the oldest are dropped, and the client is told with a gap
    conflate,     // as soon as the reader is behind, a newer one takes the place of the older; nothing is told
};

struct ChannelRule {
    ChannelPattern pattern;
    bool publish = false;  // whether clients may publish; back ends always may
    Overflow overflow = Overflow::close;
    std::uint32_t history_count = 0;           // publications that are kept; 0: none
    std::chrono::milliseconds history_age{0};  // how long
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
