// Who may do what where: rule and grants together, case by case.
#include "gateway/permission.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weft {
namespace {

struct Grant {
    const char* pattern;
    std::uint8_t actions;
};

constexpr std::uint8_t kSubscribe = 1;
constexpr std::uint8_t kPublish = 2;
constexpr std::uint8_t kAll = kAllActions;
constexpr const char* kActionNames[] = {"subscribe", "publish", "signal", "presence", "history"};

/// In this order, since the first that matches holds.
ChannelRules rules() {
    ChannelRules rules;
    const auto add = [&](const char* pattern, auto... set) {
        ChannelRule rule{*ChannelPattern::parse(pattern)};
        (set(rule), ...);
        rules.add(std::move(rule));
    };
    const auto publish = [](ChannelRule& rule) { rule.publish = true; };
    const auto open = [](ChannelRule& rule) { rule.open = true; };
    const auto presence = [](ChannelRule& rule) { rule.presence = true; };
    const auto history = [](ChannelRule& rule) { rule.history_count = 10; };
    const auto silent = [](ChannelRule& rule) { rule.signal = false; };
    const auto deny = [](std::uint8_t actions) { return [actions](ChannelRule& rule) { rule.denied = actions; }; };
    add("chat:secret", deny(kAll), publish, open, presence, history);
    add("chat:*", publish, presence, history);
    add("news:**", open, history);
    add("wall:*", open, publish, silent, deny(static_cast<std::uint8_t>(Action::history)), history);
    add("user:{sub}", publish, history);
    add("user:{sub}:**", open);
    add("user:*:shared", open, publish);  // never reached: the rule above matches whoever asks
    add("plain");
    return rules;
}

struct Case {
    const char* user;
    std::vector<Grant> grants;
    Action action;
    const char* channel;
    Permission expected;
};

constexpr Permission kGranted = Permission::granted;
constexpr Permission kNoChannel = Permission::no_channel;
constexpr Permission kForbids = Permission::rule_forbids;
constexpr Permission kElse = Permission::somebody_elses;
constexpr Permission kNot = Permission::not_granted;

TEST(Permission, IsWhatRuleAndGrantsBothAllow) {
    const Action subscribe = Action::subscribe;
    const Action publish = Action::publish;
    const Action signal = Action::signal;
    const Action presence = Action::presence;
    const Action history = Action::history;
    const std::vector<Grant> everything = {{"**", kAll}};
    const Case cases[] = {
        // --- no rule, no channel, whatever is granted
        {"ann", everything, subscribe, "other:a", kNoChannel},
        {"ann", everything, publish, "chat:a:b", kNoChannel},
        {"ann", everything, subscribe, "chat", kNoChannel},
        {"ann", everything, subscribe, "chatter:a", kNoChannel},
        {"ann", everything, subscribe, "news", kNoChannel},
        {"ann", everything, subscribe, "plain:a", kNoChannel},
        {"ann", everything, subscribe, "user", kNoChannel},
        {"ann", everything, subscribe, "user:", kNoChannel},
        // --- private: what is granted, and that alone
        {"ann", {}, subscribe, "chat:a", kNot},
        {"ann", {{"chat:*", 0}}, subscribe, "chat:a", kNot},
        {"ann", {{"chat:*", kSubscribe}}, subscribe, "chat:a", kGranted},
        {"ann", {{"chat:a", kSubscribe}}, subscribe, "chat:a", kGranted},
        {"ann", {{"chat:a", kSubscribe}}, subscribe, "chat:ab", kNot},
        {"ann", {{"chat:a*", kSubscribe}}, subscribe, "chat:ab", kGranted},
        {"ann", {{"CHAT:*", kSubscribe}}, subscribe, "chat:a", kNot},
        {"ann", {{"*", kAll}}, subscribe, "chat:a", kNot},
        {"ann", {{"*", kAll}}, subscribe, "plain", kGranted},
        {"ann", {{"*:*", kAll}}, subscribe, "chat:a", kGranted},
        {"ann", {{"news:**", kAll}}, subscribe, "chat:a", kNot},
        {"ann", {{"**", kSubscribe}}, subscribe, "chat:a", kGranted},
        {"ann", {{"chat:*", kSubscribe}}, publish, "chat:a", kNot},
        {"ann", {{"chat:*", kPublish}}, publish, "chat:a", kGranted},
        {"ann", {{"chat:*", kPublish}}, subscribe, "chat:a", kNot},
        {"ann", {{"chat:*", kPublish}}, signal, "chat:a", kNot},
        {"ann", {{"chat:*", kSubscribe}, {"chat:*", kPublish}}, publish, "chat:a", kGranted},
        {"ann", {{"chat:*", kSubscribe}, {"**", kPublish}}, subscribe, "chat:a", kGranted},
        {"", {{"chat:*", kSubscribe}}, subscribe, "chat:a", kGranted},
        // --- what the rule doesn't allow no grant brings
        {"ann", everything, publish, "plain", kForbids},
        {"ann", everything, presence, "plain", kForbids},
        {"ann", everything, history, "plain", kForbids},
        {"ann", everything, signal, "plain", kGranted},
        {"ann", everything, publish, "news:a", kForbids},
        {"ann", everything, publish, "news:a:b", kForbids},
        {"ann", everything, presence, "news:a", kForbids},
        {"ann", everything, presence, "chat:a", kGranted},
        {"ann", everything, history, "chat:a", kGranted},
        {"ann", everything, signal, "wall:a", kForbids},
        {"ann", everything, history, "wall:a", kForbids},
        // --- deny all: the first rule that matches holds, though a later one would allow
        {"ann", everything, subscribe, "chat:secret", kForbids},
        {"ann", everything, publish, "chat:secret", kForbids},
        {"ann", everything, signal, "chat:secret", kForbids},
        {"ann", everything, presence, "chat:secret", kForbids},
        {"ann", everything, history, "chat:secret", kForbids},
        {"ann", everything, subscribe, "chat:secrets", kGranted},
        // --- public: subscribing and history need no grant; everything else does
        {"", {}, subscribe, "news:a", kGranted},
        {"ann", {}, subscribe, "news:a:b", kGranted},
        {"", {}, history, "news:a", kGranted},
        {"", {}, signal, "news:a", kNot},
        {"", {}, publish, "wall:a", kNot},
        {"", {}, subscribe, "wall:a", kGranted},
        {"ann", {{"wall:*", kPublish}}, publish, "wall:a", kGranted},
        // --- deny lists of the ticket
        {"ann", {{"!chat:b", kAll}, {"chat:*", kAll}}, subscribe, "chat:b", kNot},
        {"ann", {{"chat:*", kAll}, {"!chat:b", kAll}}, subscribe, "chat:b", kNot},
        {"ann", {{"chat:b", kAll}, {"!chat:*", kAll}}, subscribe, "chat:b", kNot},
        {"ann", {{"chat:*", kAll}, {"!chat:b", kAll}}, subscribe, "chat:a", kGranted},
        {"ann", {{"chat:*", kAll}, {"!chat:b", kPublish}}, publish, "chat:b", kNot},
        {"ann", {{"chat:*", kAll}, {"!chat:b", kPublish}}, subscribe, "chat:b", kGranted},
        {"ann", {{"chat:*", kAll}, {"!chat:b", 0}}, subscribe, "chat:b", kGranted},
        {"ann", {{"!news:b", kAll}}, subscribe, "news:b", kNot},
        {"ann", {{"!news:b", kSubscribe}}, history, "news:b", kGranted},
        {"ann", {{"!news:b", kAll}}, subscribe, "news:a", kGranted},
        {"ann", {{"!**", kAll}, {"**", kAll}}, subscribe, "news:a", kNot},
        {"ann", {{"!user:{sub}", kAll}, {"**", kAll}}, subscribe, "user:ann", kNot},
        // --- owner channels: whose name stands there, and nobody else, whatever is granted
        {"ann", {{"user:{sub}", kAll}}, subscribe, "user:ann", kGranted},
        {"ann", {{"user:{sub}", kAll}}, publish, "user:ann", kGranted},
        {"ann", {{"user:{sub}", kAll}}, subscribe, "user:bob", kElse},
        {"ann", everything, subscribe, "user:ann", kGranted},
        {"ann", everything, subscribe, "user:bob", kElse},
        {"ann", everything, publish, "user:bob", kElse},
        {"ann", {{"user:bob", kAll}}, subscribe, "user:bob", kElse},
        {"ann", {}, subscribe, "user:ann", kNot},
        {"ann", {}, subscribe, "user:ann:x", kGranted},
        {"ann", {}, subscribe, "user:bob:x", kElse},
        {"ann", everything, publish, "user:bob:shared", kForbids},
        {"ann", everything, subscribe, "user:bob:shared", kElse},
        {"", everything, subscribe, "user:ann", kElse},
        // --- a user's name is never a pattern, a segment more, or nothing
        {"*", {{"user:{sub}", kAll}}, subscribe, "user:ann", kElse},
        {"**", everything, subscribe, "user:ann:x", kElse},
        {"{sub}", {{"user:{sub}", kAll}}, subscribe, "user:ann", kElse},
        {"ann:x", everything, subscribe, "user:ann:x", kElse},
        {"ann:x", {{"user:{sub}", kAll}}, subscribe, "user:ann", kElse},
        {"an", everything, subscribe, "user:ann", kElse},
        {"annn", everything, subscribe, "user:ann", kElse},
        {"Ann", everything, subscribe, "user:ann", kElse},
        {"ann", {{"chat:{sub}", kAll}}, subscribe, "chat:ann", kGranted},
        {"ann", {{"chat:{sub}", kAll}}, subscribe, "chat:bob", kNot},
        {"*", {{"chat:{sub}", kAll}}, subscribe, "chat:bob", kNot},
        {"", {{"chat:{sub}", kAll}}, subscribe, "chat:", kNot},
    };
    static_assert(std::size(cases) >= 60);
    const ChannelRules all = rules();
    for (const Case& c : cases) {
        Grants grants;
        std::string said;
        for (const Grant& grant : c.grants) {
            ASSERT_TRUE(grants.add_channels(grant.pattern, grant.actions)) << grant.pattern;
            said += std::string(" ") + grant.pattern + "=" + std::to_string(grant.actions);
        }
        const ChannelRule* rule = nullptr;
        EXPECT_EQ(permission(all, grants, c.user, c.action, c.channel, rule), c.expected)
            << name_of(c.action) << ' ' << c.channel << " by \"" << c.user << "\" with" << said;
        EXPECT_EQ(rule == nullptr, c.expected == kNoChannel);
        if (c.action == subscribe) {
            EXPECT_EQ(may_stay(all, grants, c.user, c.channel), c.expected == kGranted) << c.channel;
        }
    }
}

TEST(Grants, DenyMethodsWhateverTheOrder) {
    Grants grants;
    ASSERT_TRUE(grants.add_methods("orders.*"));
    ASSERT_TRUE(grants.add_methods("!orders.delete"));
    EXPECT_TRUE(grants.allows_rpc("orders.list"));
    EXPECT_FALSE(grants.allows_rpc("orders.delete"));
    EXPECT_FALSE(grants.allows_rpc("payments.list"));
}

TEST(Grants, RefuseWhatIsNoPattern) {
    Grants grants;
    for (const char* text : {"", "!", "!!chat:*", "! chat:*", "chat**", "user:{sub}*", "a b"}) {
        EXPECT_FALSE(grants.add_channels(text, kAll)) << text;
        EXPECT_FALSE(grants.add_methods(text)) << text;
    }
    EXPECT_EQ(grants.size(), 0U);
}

TEST(Action, HasAStarForAll) {
    std::uint8_t all = 0;
    for (const char* name : kActionNames) all |= actions_of(name);
    EXPECT_EQ(all, kAllActions);
    EXPECT_EQ(actions_of("*"), kAllActions);
    for (const char* name : {"", "all", "Subscribe", "**", "subscribe "}) EXPECT_EQ(actions_of(name), 0) << name;
}

}  // namespace
}  // namespace weft
