#include "auth/grants.hpp"

#include <functional>
#include <unordered_map>
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

/// The lists, as this object's alone.
Grants::Lists& Grants::own() {
    if (!lists_) {
        lists_ = std::make_shared<Lists>();
    } else if (lists_.use_count() > 1) {
        lists_ = std::make_shared<Lists>(*lists_);
    }
    return *lists_;
}

void Grants::share() {
    if (!lists_) return;
    thread_local std::unordered_multimap<std::size_t, std::weak_ptr<Lists>> known;
    std::size_t hash = 0;
    const auto mix = [&hash](std::string_view text, std::size_t more) {
        hash = hash * 31 + std::hash<std::string_view>{}(text) + more;
    };
    for (const ChannelGrant& grant : lists_->channels) mix(grant.pattern.text(), grant.actions * 2U + grant.denied);
    for (const MethodGrant& grant : lists_->methods) mix(grant.pattern.text(), 64U + grant.denied);
    const auto [begin, end] = known.equal_range(hash);
    for (auto at = begin; at != end;) {
        const std::shared_ptr<Lists> other = at->second.lock();
        if (!other) {
            at = known.erase(at);  // whoever had them is gone; these here will take the place
            continue;
        }
        if (other->channels == lists_->channels && other->methods == lists_->methods) {
            lists_ = other;
            return;
        }
        ++at;
    }
    if (known.size() >= kMaxShared) std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
    if (known.size() >= kMaxShared) return;
    lists_->channels.shrink_to_fit();
    lists_->methods.shrink_to_fit();
    known.emplace(hash, lists_);
}

void Grants::add(ChannelPattern pattern, std::uint8_t actions, bool denied) {
    auto& channels = own().channels;
    channels.insert(denied ? channels.begin() : channels.end(), ChannelGrant{std::move(pattern), actions, denied});
}

void Grants::add(MethodPattern pattern, bool denied) {
    auto& methods = own().methods;
    methods.insert(denied ? methods.begin() : methods.end(), MethodGrant{std::move(pattern), denied});
}

bool Grants::allows(Action action, std::string_view channel, std::string_view user) const noexcept {
    if (!lists_) return false;
    for (const ChannelGrant& grant : lists_->channels) {
        if ((grant.actions & static_cast<std::uint8_t>(action)) != 0 && grant.pattern.matches(channel, user)) {
            return !grant.denied;
        }
    }
    return false;
}

bool Grants::denies(Action action, std::string_view channel, std::string_view user) const noexcept {
    if (!lists_) return false;
    for (const ChannelGrant& grant : lists_->channels) {
        if (!grant.denied) return false;
        if ((grant.actions & static_cast<std::uint8_t>(action)) != 0 && grant.pattern.matches(channel, user)) {
            return true;
        }
    }
    return false;
}

bool Grants::allows_rpc(std::string_view method) const noexcept {
    if (!lists_) return false;
    for (const MethodGrant& grant : lists_->methods) {
        if (grant.pattern.matches(method)) return !grant.denied;
    }
    return false;
}

}  // namespace weft
