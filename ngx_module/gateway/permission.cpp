#include "gateway/permission.hpp"

namespace weft {

namespace {

bool rule_allows(const ChannelRule& rule, Action action) noexcept {
    if ((rule.denied & static_cast<std::uint8_t>(action)) != 0) return false;
    switch (action) {
        case Action::publish: return rule.publish;
        case Action::signal: return rule.signal;
        case Action::presence: return rule.presence;
        case Action::history: return rule.history_count != 0;
        case Action::subscribe: return true;
    }
    return false;
}

}  // namespace

Permission permission(const ChannelRules& rules, const Grants& grants, std::string_view user, Action action,
                      std::string_view channel, const ChannelRule*& rule) noexcept {
    rule = rules.find(channel);
    if (rule == nullptr) return Permission::no_channel;
    if (!rule_allows(*rule, action)) return Permission::rule_forbids;
    if (rule->pattern.has_owner() && !rule->pattern.matches(channel, user)) return Permission::somebody_elses;
    const bool reads = action == Action::subscribe || action == Action::history;
    if (rule->open && reads) {
        return grants.denies(action, channel, user) ? Permission::not_granted : Permission::granted;
    }
    return grants.allows(action, channel, user) ? Permission::granted : Permission::not_granted;
}

}  // namespace weft
