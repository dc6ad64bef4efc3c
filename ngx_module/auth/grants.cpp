#include "auth/grants.hpp"

#include <utility>

namespace weft {

std::string_view name_of(Action action) noexcept {
    switch (action) {
        case Action::subscribe: return "subscribe";
        case Action::publish: return "publish";
        case Action::signal: return "signal";
        case Action::presence: return "presence";
        case Action::history: return "history";
    }
    return {};
}

std::uint8_t actions_of(std::string_view name) noexcept {
    if (name == "*") return kAllActions;
    for (Action action : kActions) {
        if (name == name_of(action)) return static_cast<std::uint8_t>(action);
    }
    return 0;
}

tl::expected<void, std::string> Grants::add_channels(std::string_view text, std::uint8_t actions) {
    const bool denied = text.starts_with('!');
    auto pattern = ChannelPattern::parse(text.substr(denied ? 1 : 0));
    if (!pattern) return tl::unexpected(std::move(pattern.error()));
    add(std::move(*pattern), actions, denied);
    return {};
}

tl::expected<void, std::string> Grants::add_methods(std::string_view text) {
    const bool denied = text.starts_with('!');
    auto pattern = MethodPattern::parse(text.substr(denied ? 1 : 0));
    if (!pattern) return tl::unexpected(std::move(pattern.error()));
    add(std::move(*pattern), denied);
    return {};
}

void Grants::add(ChannelPattern pattern, std::uint8_t actions, bool denied) {
    channels_.insert(denied ? channels_.begin() : channels_.end(), ChannelGrant{std::move(pattern), actions, denied});
}

void Grants::add(MethodPattern pattern, bool denied) {
    methods_.insert(denied ? methods_.begin() : methods_.end(), MethodGrant{std::move(pattern), denied});
}

bool Grants::allows(Action action, std::string_view channel, std::string_view user) const noexcept {
    for (const ChannelGrant& grant : channels_) {
        if ((grant.actions & static_cast<std::uint8_t>(action)) != 0 && grant.pattern.matches(channel, user)) {
            return !grant.denied;
        }
    }
    return false;
}

bool Grants::denies(Action action, std::string_view channel, std::string_view user) const noexcept {
    for (const ChannelGrant& grant : channels_) {
        if (!grant.denied) return false;
        if ((grant.actions & static_cast<std::uint8_t>(action)) != 0 && grant.pattern.matches(channel, user)) {
            return true;
        }
    }
    return false;
}

bool Grants::allows_rpc(std::string_view method) const noexcept {
    for (const MethodGrant& grant : methods_) {
        if (grant.pattern.matches(method)) return !grant.denied;
    }
    return false;
}

}  // namespace weft
