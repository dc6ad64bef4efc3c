// A channel's members: free places are found, and found without a walk over everybody.
#include "broker/roster.hpp"

#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>

namespace weft {
namespace {

class RosterTest : public testing::Test {
protected:
    Attendance& add(std::uint64_t client, const std::string& user, const std::string& info = {}, NodeIndex node = 0) {
        Attendance& added = roster_.add({node, client});
        added.user = user;
        added.info = info;
        return added;
    }
    Attendance& show(std::uint64_t client, const std::string& user, const std::string& info = {}) {
        Attendance& shown = add(client, user, info);
        roster_.show(shown, client);
        return shown;
    }
    void linger(Attendance& attendance, bool lingering = true) {
        attendance.lingering = lingering;
        roster_.changed(attendance);
    }
    /// Two connections that stand for one member, though their users differ.
    void share(const std::string& first, const std::string& second) {
        Attendance& one = add(1, first, {}, 1);
        Attendance& two = add(2, second, {}, 1);
        EXPECT_TRUE(roster_.show(one, 7).edge);
        EXPECT_FALSE(roster_.show(two, 7).changed);
        EXPECT_EQ(roster_.users(), 1u);
        EXPECT_EQ(roster_.last_of_user(one, 7), nullptr);
        EXPECT_FALSE(roster_.hide(one, 7).changed);
        roster_.remove(one);
        EXPECT_EQ(roster_.last_of_user(two, 7) != nullptr, !first.empty());
        EXPECT_TRUE(roster_.hide(two, 7).edge);
        roster_.remove(two);
        EXPECT_EQ(roster_.users(), 0u);
        EXPECT_EQ(roster_.members(), 0u);
        for (const std::string& user : {first, second}) {
            EXPECT_FALSE(roster_.has_user(user));
            EXPECT_EQ(roster_.vacant(user, {}), 0u);
        }
    }

    Roster roster_{"c"};
};

TEST_F(RosterTest, CountsAMemberForTheUserWhoWasShownFirst) {
    share("ann", "bob");
    share("", "bob");
    share("ann", "");
}

TEST_F(RosterTest, KnowsWhichPlacesAreFree) {
    Attendance& one = show(1, "ann", "x");
    Attendance& two = show(2, "ann", "y");
    EXPECT_EQ(roster_.vacant("ann", "x"), 0u);
    linger(one);
    linger(two);
    EXPECT_EQ(roster_.vacant("ann", "x"), 1u);
    EXPECT_EQ(roster_.vacant("ann", "y"), 2u);
    EXPECT_EQ(roster_.vacant("ann", ""), 0u);
    EXPECT_EQ(roster_.vacant("bob", "x"), 0u);
    Attendance& back = add(3, "ann", "x");
    roster_.show(back, 1);
    EXPECT_EQ(roster_.vacant("ann", "x"), 0u);
    roster_.hide(back, 1);
    EXPECT_EQ(roster_.vacant("ann", "x"), 1u);
    linger(one, false);
    EXPECT_EQ(roster_.vacant("ann", "x"), 0u);
    roster_.hide(two, 2);
    EXPECT_EQ(roster_.vacant("ann", "y"), 0u);
}

TEST_F(RosterTest, SeesWhatHasChanged) {
    Attendance& one = show(1, "ann", "x");
    Attendance& two = show(2, "ann", "x");
    two.info = "y";
    linger(one);
    linger(two);
    EXPECT_EQ(roster_.vacant("ann", "x"), 1u);
    EXPECT_EQ(roster_.vacant("ann", "y"), 2u);
    Attendance& held = add(3, "ann", "z");
    roster_.hold(held);
    EXPECT_EQ(roster_.held_for_vacancy("ann"), nullptr);
    one.info = "z";
    roster_.changed(one);
    EXPECT_EQ(roster_.held_for_vacancy("ann"), &held);
    linger(one, false);
    EXPECT_EQ(roster_.held_for_vacancy("ann"), nullptr);
    roster_.release(held);
    EXPECT_EQ(roster_.holds(), 0u);
    EXPECT_EQ(roster_.held("ann"), nullptr);
}

TEST_F(RosterTest, HandsOutThoseHeldInTheOrderTheyCame) {
    show(1, "ann");
    Attendance& first = add(9, "ann");
    Attendance& second = add(2, "ann");
    roster_.hold(first);
    roster_.hold(second);
    EXPECT_EQ(roster_.holds(), 2u);
    EXPECT_EQ(roster_.held("ann"), &first);
    linger(*roster_.find({0, 1}));
    EXPECT_EQ(roster_.held_for_vacancy("ann"), &first);
    roster_.remove(first);
    EXPECT_EQ(roster_.held("ann"), &second);
    EXPECT_EQ(roster_.held_for_vacancy("ann"), &second);
    EXPECT_EQ(roster_.held_for_vacancy("anna"), nullptr);
    EXPECT_EQ(roster_.held_for_vacancy("an"), nullptr);
}

TEST_F(RosterTest, LooksAtNoOtherConnectionOfAUserToFindAFreePlace) {
    constexpr std::uint64_t kMany = 300;
    for (std::uint64_t client = 1; client <= kMany; ++client) {
        EXPECT_EQ(roster_.vacant("guest", {}), 0u);
        show(client, "guest");
    }
    // One after the other goes and is replaced.
    for (std::uint64_t client = 1; client <= kMany; ++client) {
        linger(*roster_.find({0, client}));
        EXPECT_EQ(roster_.vacant("guest", {}), client);
        roster_.show(add(kMany + client, "guest"), client);
    }
    EXPECT_LE(roster_.looked_at(), 10 * kMany);
}

TEST_F(RosterTest, LooksAtNoOtherConnectionOfAUserToFindOneThatIsHeldForAFreePlace) {
    constexpr std::uint64_t kMany = 100;
    for (std::uint64_t client = 1; client <= kMany; ++client) show(client, "guest", std::to_string(client));
    for (std::uint64_t client = 1; client <= kMany; ++client) {
        roster_.hold(add(kMany + client, "guest", "new " + std::to_string(client)));
    }
    for (std::uint64_t client = 1; client <= kMany; ++client) {
        linger(*roster_.find({0, client}));
        EXPECT_EQ(roster_.held_for_vacancy("guest"), nullptr);
    }
    EXPECT_LE(roster_.looked_at(), 10 * kMany);
}

// Whatever has been done: a place is found if and only if a walk over everybody finds one.
TEST_F(RosterTest, FindsWhatAWalkFinds) {
    std::mt19937_64 dice(1);
    struct One {
        Attendance* attendance;
        std::uint64_t id;  // 0: held
    };
    std::map<std::uint64_t, One> all;  // by client
    const auto walk = [&](const std::string& user, const std::string& info) {
        std::set<std::uint64_t> free, taken;
        for (const auto& [client, one] : all) {
            if (one.id == 0 || one.attendance->user != user) continue;
            (one.attendance->lingering && one.attendance->info == info ? free : taken).insert(one.id);
        }
        std::erase_if(free, [&](std::uint64_t id) { return taken.contains(id); });
        return free;
    };
    std::size_t found = 0, matched = 0;
    for (std::uint64_t step = 1; step <= 20'000; ++step) {
        const std::string user(1, static_cast<char>('a' + dice() % 2));
        const std::string info(1, static_cast<char>('x' + dice() % 3));
        const auto any = all.empty() ? all.end() : std::next(all.begin(), static_cast<int>(dice() % all.size()));
        const auto what = dice() % (all.size() < 12 ? 6 : 5);
        if (what == 5 || any == all.end()) {
            Attendance& added = add(step, user, info);
            const std::uint64_t place = roster_.vacant(user, info);
            const bool hold = place == 0 && dice() % 2 == 0;
            const std::uint64_t id = hold ? 0 : place != 0 ? place : step;
            hold ? roster_.hold(added) : void(roster_.show(added, id));
            all[step] = {&added, id};
        } else if (what == 0) {
            if (any->second.id != 0) roster_.hide(*any->second.attendance, any->second.id);
            roster_.remove(*any->second.attendance);
            all.erase(any);
        } else if (any->second.id == 0) {
            roster_.release(*any->second.attendance);
            roster_.show(*any->second.attendance, any->second.id = any->first);
        } else if (what == 1) {
            any->second.attendance->info = info;
            roster_.changed(*any->second.attendance);
        } else {
            linger(*any->second.attendance, dice() % 3 != 0);
        }
        for (const std::string one : {"a", "b"}) {
            std::set<Attendance*> held;
            for (const std::string look : {"x", "y", "z"}) {
                const auto free = walk(one, look);
                const std::uint64_t place = roster_.vacant(one, look);
                ASSERT_EQ(place != 0, !free.empty()) << step;
                if (place == 0) continue;
                ASSERT_TRUE(free.contains(place)) << step;
                ++found;
                for (const auto& [client, its] : all) {
                    const Attendance& attendance = *its.attendance;
                    if (its.id == 0 && attendance.user == one && attendance.info == look) held.insert(its.attendance);
                }
            }
            Attendance* const match = roster_.held_for_vacancy(one);
            ASSERT_EQ(match != nullptr, !held.empty()) << step;
            if (match == nullptr) continue;
            ASSERT_TRUE(held.contains(match)) << step;
            ++matched;
        }
    }
    EXPECT_GT(found, 1000u);
    EXPECT_GT(matched, 1000u);
}

}  // namespace
}  // namespace weft
