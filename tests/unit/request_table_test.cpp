// RequestTable: what was asked and isn't answered, whatever the order of the answers.
#include "gateway/request_table.hpp"

#include <gtest/gtest.h>

#include <random>

namespace weft {
namespace {

struct Request {
    int what = 0;
    bool open = false;
};
using Table = RequestTable<Request>;

TEST(RequestTable, NumbersFromOneOnAndGivesEachBackOnce) {
    Table table;
    EXPECT_EQ(table.add({7}), 1U);
    EXPECT_EQ(table.add({8}), 2U);
    EXPECT_EQ(table.take(2).what, 8);
    EXPECT_FALSE(table.take(2).open);
    EXPECT_FALSE(table.take(3).open) << "not given yet";
    EXPECT_EQ(table.take(1).what, 7);
    EXPECT_EQ(table.add({9}), 3U);
}

TEST(RequestTable, AnUnansweredRequestHoldsNoRoomButItsOwn) {
    Table table;
    const auto slow = table.add({1});
    for (int i = 0; i < 10 * static_cast<int>(Table::kMax); ++i) {
        ASSERT_FALSE(table.full());
        ASSERT_TRUE(table.take(table.add({2})).open);
    }
    EXPECT_EQ(table.size(), 1U);
    EXPECT_EQ(table.take(slow).what, 1);
    EXPECT_EQ(table.size(), 0U);
}

TEST(RequestTable, FindsAndListsAllThatWait) {
    Table table;
    std::mt19937 random(1);
    std::vector<std::uint64_t> waiting;
    for (int i = 1; i <= 20'000; ++i) {
        waiting.push_back(table.add({i}));
        if (random() % 2 == 0) {
            const auto place = waiting.begin() + static_cast<std::ptrdiff_t>(random() % waiting.size());
            EXPECT_EQ(table.take(*place).what, static_cast<int>(*place));
            waiting.erase(place);
        }
    }
    EXPECT_EQ(table.numbers(), waiting);
    std::size_t visited = 0;
    table.for_each([&](Request&) { ++visited; });
    EXPECT_EQ(visited, waiting.size());
    for (const auto number : waiting) EXPECT_EQ(table.find(number)->what, static_cast<int>(number));
}

}  // namespace
}  // namespace weft
