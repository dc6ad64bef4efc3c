// The channel rules of nginx.conf: which channels exist, and what may be done there at most.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "limit/token_bucket.hpp"
#include "weft/channel.hpp"

namespace weft {

/// What happens to publications for a reader that doesn't keep up.
enum class Overflow : std::uint8_t {
    close,        // at its queue's bound the connection ends with 4014
    drop_oldest,  // at its queue's bound the oldest are dropped, and the client is told with a gap
    conflate,     // as soon as the reader is behind, a newer one takes the place of the older; nothing is told
};

/// Who must have a publication before its publisher hears that it was accepted.
enum class Ack : std::uint8_t {
    local,  // this host's weftd
    peer,   // one more node
};

struct ChannelRule {
    ChannelPattern pattern;  // with {sub} in it: only the user whose name stands there may do anything
    bool publish = false;    // whether clients may publish; back ends always may
    Overflow overflow = Overflow::close;
    bool open = false;        // whether subscribing and history need no grant
    bool signal = true;       // whether clients may signal
    bool presence = false;    // whether members are kept and told
    std::uint8_t denied = 0;  // Action bits that no client has here, whatever else is said
    Ack ack = Ack::local;
    Rate rate{};                                 // of what clients publish, all of them together; no limit by default
    std::size_t max_size = 0;                    // bytes of a publication's or signal's data; 0: any
    std::uint32_t max_members = 0;               // subscribed connections of this nginx; 0: any number
    std::uint32_t history_count = 0;             // publications that are kept; 0: none
    std::chrono::milliseconds history_age{0};    // and for how long
    bool presence_counts = false;                // of members only the number is told
    std::chrono::milliseconds debounce{10'000};  // a member that is gone stays so long
    bool latest = false;                         // a subscriber that names no position is given the newest publication
};

class ChannelRules {
public:
    void add(ChannelRule rule) { rules_.push_back(std::move(rule)); }

    /// The first rule, in the order of nginx.conf, whose pattern matches, whoever asks; null when none does: no such
    /// channel. `{sub}` in a pattern matches any segment here, so that somebody else's channel never falls through to a
    /// later rule.
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
