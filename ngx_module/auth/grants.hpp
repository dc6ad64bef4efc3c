// What a connection may do, as its ticket says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "weft/channel.hpp"

namespace weft {

enum class Action : std::uint8_t { subscribe = 1, publish = 2, signal = 4, presence = 8, history = 16 };

inline constexpr Action kActions[] = {Action::subscribe, Action::publish, Action::signal, Action::presence,
                                      Action::history};
inline constexpr std::uint8_t kAllActions = 31;

/// "subscribe"; empty for none.
std::string_view name_of(Action action) noexcept;

/// The bits of "subscribe" and so on, and of "*": all of them; 0 for any other word.
std::uint8_t actions_of(std::string_view name) noexcept;

/// Grants add up, whatever their order; what is denied is denied, whatever is granted. Nothing is granted at first.
class Grants {
public:
    static constexpr std::size_t kMaxPatterns = 256;  // of channels and methods together

    /// What a ticket says: a pattern of channels ("chat:*", "user:{sub}"), denied with a "!" in front, and a set of
    /// Action bits. The error is a sentence.
    tl::expected<void, std::string> add_channels(std::string_view text, std::uint8_t actions);
    /// A pattern of methods ("orders.*"), denied with a "!" in front.
    tl::expected<void, std::string> add_methods(std::string_view text);

    void add_channels(ChannelPattern pattern, std::uint8_t actions) { add(std::move(pattern), actions, false); }
    void add_methods(MethodPattern pattern) { add(std::move(pattern), false); }

    /// `user` is whose grants these are: `{sub}` in them. Without one `{sub}` is nobody.
    [[nodiscard]] bool allows(Action action, std::string_view channel, std::string_view user = {}) const noexcept;
    /// Whether it is denied by name, so that no rule that is open to everybody allows it either.
    [[nodiscard]] bool denies(Action action, std::string_view channel, std::string_view user) const noexcept;
    [[nodiscard]] bool allows_rpc(std::string_view method) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept {
        return lists_ ? lists_->channels.size() + lists_->methods.size() : 0;
    }

    /// Calls `channels(text, actions, denied)` and `methods(text, denied)` for each.
    template <class Channels, class Methods>
    void for_each(Channels channels, Methods methods) const {
        if (!lists_) return;
        for (const ChannelGrant& grant : lists_->channels) channels(grant.pattern.text(), grant.actions, grant.denied);
        for (const MethodGrant& grant : lists_->methods) methods(grant.pattern.text(), grant.denied);
    }

    /// Takes the memory of equal grants that somebody else in this thread has shared and still has, if there are any:
    /// most users of an application are granted the same. Copies share too. What is shared is not to be added to.
    void share();

private:
    static constexpr std::size_t kMaxShared = 1024;  // different ones; more are not shared

    struct ChannelGrant {
        ChannelPattern pattern;
        std::uint8_t actions;
        bool denied;
        bool operator==(const ChannelGrant& other) const noexcept {
            return actions == other.actions && denied == other.denied && pattern.text() == other.pattern.text();
        }
    };
    struct MethodGrant {
        MethodPattern pattern;
        bool denied;
        bool operator==(const MethodGrant& other) const noexcept {
            return denied == other.denied && pattern.text() == other.pattern.text();
        }
    };
    struct Lists {
        std::vector<ChannelGrant> channels;  // those that deny come first
        std::vector<MethodGrant> methods;    // likewise
    };
    void add(ChannelPattern pattern, std::uint8_t actions, bool denied);
    void add(MethodPattern pattern, bool denied);
    Lists& own();

    std::shared_ptr<Lists> lists_;  // null: none; one pointer and a count, since every connection has one
};

}  // namespace weft
