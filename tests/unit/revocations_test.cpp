// Revocations: what is remembered of decisions about clients, and which of two holds.
#include "weft/revocations.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

v1::Revocation about_user(v1::Revocation::Kind kind, const std::string& user) {
    v1::Revocation revocation;
    revocation.set_kind(kind);
    revocation.set_user(user);
    if (kind == v1::Revocation::UNSUBSCRIBE) revocation.set_channel("chat:a");
    return revocation;
}

class RevocationsTest : public testing::Test {
protected:
    v1::Revocation issue(v1::Revocation revocation, std::chrono::milliseconds ban = 60s) {
        known.issue(revocation, ban, now);
        return revocation;
    }
    bool banned(std::string_view user, std::string_view ticket = {}) {
        return known.banned_until(user, Revocations::ticket_hash(ticket), now) > now;
    }

    WallTime now{1'700'000'000'000ms};
    Revocations known;
};

TEST_F(RevocationsTest, BansAUserUntilTheTimeIsOver) {
    EXPECT_EQ(known.add(issue(about_user(v1::Revocation::BAN, "ann")), now), Revocations::Added::news);
    EXPECT_TRUE(banned("ann"));
    EXPECT_FALSE(banned("bob"));
    now += 59'999ms;
    EXPECT_TRUE(banned("ann"));
    now += 1ms;
    EXPECT_FALSE(banned("ann"));
    known.expire(now);
    EXPECT_EQ(known.size(), 0u);
}

TEST_F(RevocationsTest, BansATicketWhoeverBringsIt) {
    v1::Revocation ban;
    ban.set_kind(v1::Revocation::BAN);
    ban.set_ticket("t-1");
    known.add(issue(ban), now);
    EXPECT_TRUE(banned("ann", "t-1"));
    EXPECT_FALSE(banned("ann", "t-2"));
    EXPECT_FALSE(banned("t-1")) << "a user of that name is somebody else";
}

TEST_F(RevocationsTest, TakesADecisionOnce) {
    const v1::Revocation once = issue(about_user(v1::Revocation::DISCONNECT, "ann"));
    EXPECT_EQ(known.add(once, now), Revocations::Added::news);
    EXPECT_EQ(known.add(once, now), Revocations::Added::known);
    EXPECT_EQ(known.add(issue(about_user(v1::Revocation::DISCONNECT, "ann")), now), Revocations::Added::news)
        << "the same decision made again in the same millisecond is another one";
}

TEST_F(RevocationsTest, LetsTheLaterOfTwoHoldInWhateverOrderTheyCome) {
    const v1::Revocation ban = issue(about_user(v1::Revocation::BAN, "ann"));
    v1::Revocation lift = about_user(v1::Revocation::BAN, "ann");
    lift.set_lifted(true);
    known.add(ban, now);
    lift = issue(lift);
    EXPECT_EQ(known.add(lift, now), Revocations::Added::news);
    EXPECT_FALSE(banned("ann"));
    EXPECT_EQ(known.add(ban, now), Revocations::Added::known) << "a node that was away tells of the ban";
    EXPECT_FALSE(banned("ann"));

    Revocations other;
    EXPECT_EQ(other.add(lift, now), Revocations::Added::news);
    EXPECT_EQ(other.add(ban, now), Revocations::Added::known);
}

TEST_F(RevocationsTest, RemembersTheEndOfABanAsLongAsTheBan) {
    known.add(issue(about_user(v1::Revocation::BAN, "ann"), 30 * 24h), now);
    v1::Revocation lift = about_user(v1::Revocation::BAN, "ann");
    lift.set_lifted(true);
    known.add(issue(lift), now);
    now += 29 * 24h;
    known.expire(now);
    EXPECT_EQ(known.size(), 1u);
}

TEST_F(RevocationsTest, TellsFromMemoryThatItIsMemory) {
    const v1::Revocation fresh = issue(about_user(v1::Revocation::DISCONNECT, "ann"));
    EXPECT_FALSE(fresh.late());
    known.add(fresh, now);
    known.for_each([](const v1::Revocation& told) { EXPECT_TRUE(told.late()); });
}

TEST_F(RevocationsTest, ForgetsDisconnectsBeforeBansWhenItIsFull) {
    Revocations small(3);
    const auto add = [&](v1::Revocation::Kind kind, const std::string& user) {
        v1::Revocation one = about_user(kind, user);
        small.issue(one, 60s, now);
        return small.add(one, now);
    };
    EXPECT_EQ(add(v1::Revocation::DISCONNECT, "d1"), Revocations::Added::news);
    EXPECT_EQ(add(v1::Revocation::UNSUBSCRIBE, "d2"), Revocations::Added::news);
    EXPECT_EQ(add(v1::Revocation::BAN, "b1"), Revocations::Added::news);
    EXPECT_EQ(add(v1::Revocation::BAN, "b2"), Revocations::Added::news);
    EXPECT_EQ(add(v1::Revocation::BAN, "b3"), Revocations::Added::news);
    EXPECT_EQ(small.size(), 3u);
    EXPECT_EQ(add(v1::Revocation::BAN, "b4"), Revocations::Added::forgotten);
    EXPECT_GT(small.banned_until("b1", 0, now), now) << "a ban is never dropped for another";
    now += 61s;
    EXPECT_EQ(add(v1::Revocation::BAN, "b4"), Revocations::Added::news) << "what is over makes room";
}

TEST_F(RevocationsTest, SaysWhatIsWrong) {
    struct Case {
        const char* what;
        std::function<void(v1::Revocation&)> change;
        bool good;
    };
    const Case cases[] = {
        {"a user", [](auto&) {}, true},
        {"nobody", [](auto& r) { r.clear_user(); }, false},
        {"two subjects", [](auto& r) { r.set_ticket("t"); }, false},
        {"a client", [](auto& r) { r.clear_user(), r.set_client_id(7); }, true},
        {"a long user", [](auto& r) { r.set_user(std::string(256, 'u')); }, false},
        {"no kind", [](auto& r) { r.clear_kind(); }, false},
        {"a ban of a connection", [](auto& r) { r.clear_user(), r.set_client_id(7), r.set_kind(v1::Revocation::BAN); },
         false},
        {"no channel", [](auto& r) { r.set_kind(v1::Revocation::UNSUBSCRIBE); }, false},
        {"a bad channel", [](auto& r) { r.set_kind(v1::Revocation::UNSUBSCRIBE), r.set_channel("a b"); }, false},
        {"a channel", [](auto& r) { r.set_kind(v1::Revocation::UNSUBSCRIBE), r.set_channel("a:b"); }, true},
    };
    for (const Case& one : cases) {
        v1::Revocation revocation = about_user(v1::Revocation::DISCONNECT, "ann");
        one.change(revocation);
        EXPECT_EQ(Revocations::check(revocation).empty(), one.good) << one.what;
        known.issue(revocation, 60s, now);
        EXPECT_EQ(known.add(revocation, now) == Revocations::Added::news, one.good) << one.what;
    }
}

TEST_F(RevocationsTest, TellsWhoWasDisconnectedBehindAMark) {
    v1::Revocation ticket;
    ticket.set_kind(v1::Revocation::DISCONNECT);
    ticket.set_ticket("t-1");
    v1::Revocation client;
    client.set_kind(v1::Revocation::DISCONNECT);
    client.set_client_id(7);
    const std::uint64_t before = known.decided();
    known.add(issue(about_user(v1::Revocation::DISCONNECT, "ann")), now);
    known.add(issue(ticket), now);
    known.add(issue(client), now);
    const auto disconnected = [&](std::string_view user, std::string_view jti, std::uint64_t id, std::uint64_t mark) {
        return known.disconnected(user, Revocations::ticket_hash(jti), id, now, mark);
    };
    EXPECT_TRUE(disconnected("ann", "", 1, before));
    EXPECT_TRUE(disconnected("bob", "t-1", 1, before));
    EXPECT_TRUE(disconnected("", "", 7, before));
    EXPECT_FALSE(disconnected("bob", "t-2", 1, before));
    EXPECT_FALSE(disconnected("ann", "t-1", 7, known.decided())) << "that was known when they were let in";
    EXPECT_FALSE(disconnected("ann", "", 1, before + 1));
}

TEST_F(RevocationsTest, SparesWhoWasAcceptedAfterADisconnectThatIsToldLate) {
    v1::Revocation late = issue(about_user(v1::Revocation::DISCONNECT, "ann"));
    late.set_late(true);
    const std::uint64_t before = known.decided();
    known.add(late, now + 5s);
    EXPECT_TRUE(known.disconnected("ann", 0, 1, now - 1s, before));
    EXPECT_FALSE(known.disconnected("ann", 0, 1, now + 1s, before));
}

TEST_F(RevocationsTest, GivesAGrantItsEnd) {
    v1::Revocation grant = about_user(v1::Revocation::GRANT, "ann");
    grant.set_grants("{}");
    EXPECT_EQ(issue(grant, 10s).expires_ms(), (now + 10s).time_since_epoch().count());
    EXPECT_EQ(issue(grant, 0s).expires_ms(), 0) << "as it was";
    EXPECT_EQ(issue(grant, 10s).until_ms(), (now + Revocations::kRemembered).time_since_epoch().count());
    grant.set_grants(std::string(8193, ' '));
    EXPECT_NE(Revocations::check(grant), "");
}

TEST_F(RevocationsTest, BoundsTheBytesOfGrants) {
    const std::size_t most = Revocations::kMaxGrantBytes / 8192;
    EXPECT_EQ(known.add(issue(about_user(v1::Revocation::BAN, "eve")), now), Revocations::Added::news);
    for (std::size_t i = 0; i < most + 10; ++i) {
        v1::Revocation grant = about_user(v1::Revocation::GRANT, "user-" + std::to_string(i));
        grant.set_grants(std::string(8192, ' '));
        EXPECT_EQ(known.add(issue(grant), now), Revocations::Added::news);
        // The same about the same takes its place.
        EXPECT_EQ(known.add(issue(grant), now), Revocations::Added::news);
    }
    EXPECT_EQ(known.size(), most + 1) << "the oldest went, but no ban";
    EXPECT_TRUE(banned("eve"));
}

}  // namespace
}  // namespace weft
