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

void Grants::add_channels(ChannelPattern pattern, std::uint8_t actions) {
    channels_.push_back({std::move(pattern), actions});
}

void Grants::add_methods(MethodPattern pattern) {
    methods_.push_back(std::move(pattern));
}

bool Grants::allows(Action action, std::string_view channel) const noexcept {
    for (const ChannelGrant& grant : channels_) {
        if ((grant.actions & static_cast<std::uint8_t>(action)) != 0 && grant.pattern.matches(channel)) return true;
    }
    return false;
}

bool Grants::allows_rpc(std::string_view method) const noexcept {
    for (const MethodPattern& pattern : methods_) {
        if (pattern.matches(method)) return true;
    }
    return false;
}

}  // namespace weft
