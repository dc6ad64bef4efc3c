#include "auth/grants.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr std::uint8_t bits(std::initializer_list<Action> actions) {
    std::uint8_t set = 0;
    for (Action action : actions) set |= static_cast<std::uint8_t>(action);
    return set;
}

constexpr Action kAll[] = {Action::subscribe, Action::publish, Action::signal, Action::presence, Action::history};

TEST(Grants, AllowNothingAtFirst) {
    const Grants grants;
    for (Action action : kAll) EXPECT_FALSE(grants.allows(action, "chat:lobby"));
    EXPECT_FALSE(grants.allows_rpc("echo"));
    EXPECT_EQ(grants.size(), 0U);
}

TEST(Grants, AllowJustTheActionsGivenOnJustTheChannelsThatMatch) {
    for (Action given : kAll) {
        Grants grants;
        grants.add_channels(*ChannelPattern::parse("chat:*"), bits({given}));
        for (Action asked : kAll) {
            EXPECT_EQ(grants.allows(asked, "chat:lobby"), asked == given) << name_of(given) << name_of(asked);
            EXPECT_FALSE(grants.allows(asked, "news:lobby"));
            EXPECT_FALSE(grants.allows(asked, "chat:a:b"));
        }
    }
}

TEST(Grants, AddUpWhereSeveralPatternsMatch) {
    Grants grants;
    grants.add_channels(*ChannelPattern::parse("**"), bits({Action::subscribe}));
    grants.add_channels(*ChannelPattern::parse("chat:*"), bits({Action::publish, Action::signal}));
    grants.add_channels(*ChannelPattern::parse("chat:lobby"), 0);
    EXPECT_EQ(grants.size(), 3U);
    EXPECT_TRUE(grants.allows(Action::subscribe, "chat:lobby"));
    EXPECT_TRUE(grants.allows(Action::publish, "chat:lobby")) << "an empty grant takes nothing away";
    EXPECT_TRUE(grants.allows(Action::signal, "chat:lobby"));
    EXPECT_FALSE(grants.allows(Action::history, "chat:lobby"));
    EXPECT_FALSE(grants.allows(Action::publish, "news:lobby"));
}

TEST(Grants, KeepMethodsAndChannelsApart) {
    Grants grants;
    grants.add_methods(*MethodPattern::parse("orders.*"));
    EXPECT_TRUE(grants.allows_rpc("orders.list"));
    EXPECT_FALSE(grants.allows_rpc("orders"));
    EXPECT_FALSE(grants.allows_rpc("payments.list"));
    EXPECT_FALSE(grants.allows(Action::subscribe, "orders.list"));
    grants.add_channels(*ChannelPattern::parse("**"), bits({Action::subscribe}));
    EXPECT_FALSE(grants.allows_rpc("payments.list"));
}

TEST(Grants, StayWhatTheyAreWhenTheyAreShared) {
    const auto make = [](std::string_view pattern) {
        Grants grants;
        EXPECT_TRUE(grants.add_channels(pattern, bits({Action::subscribe})));
        EXPECT_TRUE(grants.add_methods("orders.*"));
        grants.share();
        return grants;
    };
    Grants ann = make("chat:*");
    Grants bob = make("chat:*");
    const Grants other = make("!chat:*");
    EXPECT_TRUE(ann.allows(Action::subscribe, "chat:a"));
    EXPECT_TRUE(bob.allows_rpc("orders.list"));
    EXPECT_FALSE(other.allows(Action::subscribe, "chat:a")) << "what is denied is no match for what is granted";
    EXPECT_TRUE(bob.add_channels("news:*", bits({Action::subscribe})));
    EXPECT_TRUE(bob.allows(Action::subscribe, "news:a"));
    EXPECT_FALSE(ann.allows(Action::subscribe, "news:a")) << "what is added to one isn't the other's";
    Grants none;
    none.share();
    EXPECT_FALSE(none.allows_rpc("orders.list"));
}

TEST(Grants, AreSharedUpToABoundAndRightBeyondIt) {
    std::vector<Grants> all;
    for (int i = 0; i < 3000; ++i) {
        Grants grants;
        EXPECT_TRUE(grants.add_channels("chat:" + std::to_string(i), bits({Action::subscribe})));
        grants.share();
        all.push_back(grants);
    }
    for (int i = 0; i < 3000; ++i) {
        EXPECT_TRUE(all[i].allows(Action::subscribe, "chat:" + std::to_string(i)));
        EXPECT_FALSE(all[i].allows(Action::subscribe, "chat:" + std::to_string(i + 1)));
    }
}

TEST(Action, HasTheNameThatTicketsUse) {
    EXPECT_EQ(name_of(Action::subscribe), "subscribe");
    EXPECT_EQ(name_of(Action::publish), "publish");
    EXPECT_EQ(name_of(Action::signal), "signal");
    EXPECT_EQ(name_of(Action::presence), "presence");
    EXPECT_EQ(name_of(Action::history), "history");
    EXPECT_EQ(name_of(static_cast<Action>(3)), "") << "a set of two is none";
}

}  // namespace
}  // namespace weft
