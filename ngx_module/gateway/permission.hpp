// Who may do what in a channel: what its rule and the client's grants both allow.
#pragma once

#include <string_view>

#include "auth/grants.hpp"
#include "gateway/channel_rules.hpp"

namespace weft {

enum class Permission {
    granted,
    no_channel,      // no rule matches: 4007
    rule_forbids,    // nobody may do that here
    somebody_elses,  // the channel belongs to a user, and this is another
    not_granted,     // the ticket doesn't say so, or denies it
};

/// What a channel's rule says comes first, then whose channel it is, then the grants. `rule` is set to the channel's
/// rule, whatever the answer; null for no_channel.
[[nodiscard]] Permission permission(const ChannelRules& rules, const Grants& grants, std::string_view user,
                                    Action action, std::string_view channel, const ChannelRule*& rule) noexcept;

/// Whether a subscription that was allowed once still is, after rules or grants have changed.
[[nodiscard]] inline bool may_stay(const ChannelRules& rules, const Grants& grants, std::string_view user,
                                   std::string_view channel) noexcept {
    const ChannelRule* rule = nullptr;
    return permission(rules, grants, user, Action::subscribe, channel, rule) == Permission::granted;
}

}  // namespace weft
