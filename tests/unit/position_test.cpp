#include "weft/position.hpp"

#include <gtest/gtest.h>

#include <random>

namespace weft {
namespace {

using namespace std::string_literals;

constexpr std::uint64_t kMax = UINT64_MAX;

Position position(std::initializer_list<Position::Entry> entries) {
    Position result;
    for (const auto& entry : entries) EXPECT_TRUE(result.set(entry.stream, entry.number));
    return result;
}

TEST(Position, HasATextForm) {
    const struct {
        Position position;
        std::string text;
    } cases[] = {
        {{}, ""},
        {position({{1, 0}}), "1.0"},
        {position({{35, 7}, {36, 8}}), "z.7_10.8"},
        {position({{26427, 129}, {14443, 12}}), "b57.12_ke3.129"},
        {position({{kMax, kMax}}), "3w5e11264sgsf.18446744073709551615"},
    };
    for (const auto& c : cases) {
        EXPECT_EQ(c.position.text(), c.text);
        const auto parsed = Position::parse(c.text);
        ASSERT_TRUE(parsed) << c.text << ": " << parsed.error();
        EXPECT_EQ(*parsed, c.position) << c.text;
    }
}

TEST(Position, WritesItsStreamsInAscendingOrder) {
    EXPECT_EQ(position({{36, 1}, {5, 2}, {kMax, 3}, {35, 4}}).text(), "5.2_z.4_10.1_3w5e11264sgsf.3");
    EXPECT_EQ(position({{36, 1}, {5, 2}}), position({{5, 2}, {36, 1}}));
}

TEST(Position, RefusesWhatItCanNotHaveWritten) {
    const struct {
        std::string text;
        std::string named;  // in the error
    } cases[] = {
        {"a", "stream.number"},
        {"_", "stream.number"},
        {"a.1_", "stream.number"},
        {"_a.1", "stream.number"},
        {"a.1__b.1", "stream.number"},
        {".1", "base 36"},
        {".", "base 36"},
        {"0.1", "base 36"},
        {"0a.1", "base 36"},
        {"A.1", "base 36"},
        {"aB.1", "base 36"},
        {"a-b.1", "base 36"},
        {"-a.1", "base 36"},
        {"+a.1", "base 36"},
        {" a.1", "base 36"},
        {"3w5e11264sgsg.1", "base 36"},  // 2^64
        {"10000000000000.1", "base 36"},
        {"a.", "decimal"},
        {"a.01", "decimal"},
        {"a.00", "decimal"},
        {"a.-1", "decimal"},
        {"a.+1", "decimal"},
        {"a.1 ", "decimal"},
        {"a.1.2", "decimal"},
        {"a.x", "decimal"},
        {"a.18446744073709551616", "decimal"},
        {"a.1\0"s, "decimal"},
        {"a.1_a.1", "twice"},
        {"a.1_a.2", "twice"},
        {"b.1_a.1", "ascending"},
        {"10.1_z.1", "ascending"},
        {"a.1_b.1_a.1", "ascending"},
        {std::string(Position::kMaxText + 1, 'a'), "longer than"},
    };
    for (const auto& c : cases) {
        const auto parsed = Position::parse(c.text);
        ASSERT_FALSE(parsed) << c.text;
        EXPECT_NE(parsed.error().find(c.named), std::string::npos) << c.text << ": " << parsed.error();
    }
}

TEST(Position, HoldsNoMoreStreamsThanItsBound) {
    Position full;
    for (std::size_t i = 0; i < Position::kMaxStreams; ++i) ASSERT_TRUE(full.set(kMax - i, kMax));
    const auto before = full;
    EXPECT_FALSE(full.set(1, 1));
    EXPECT_EQ(full, before);
    EXPECT_TRUE(full.set(kMax, 5)) << "a stream that it has already";
    EXPECT_FALSE(Position::parse("1.1_" + before.text()));
    full.erase(kMax);
    EXPECT_TRUE(full.set(1, 1));
}

TEST(Position, ReadsTheLongestTextThatItWrites) {
    Position full;
    for (std::size_t i = 0; i < Position::kMaxStreams; ++i) ASSERT_TRUE(full.set(kMax - i, kMax));
    const auto text = full.text();
    EXPECT_LE(text.size(), Position::kMaxText);
    const auto parsed = Position::parse(text);
    ASSERT_TRUE(parsed) << parsed.error();
    EXPECT_EQ(*parsed, full);
}

TEST(Position, RefusesMoreStreamsThanItsBound) {
    std::string text = "10.1";
    for (char c = '1'; c <= '9'; ++c) {
        for (char d = 'a'; d <= 'h'; ++d) text += "_"s + c + d + ".1";
    }
    const auto parsed = Position::parse(text);
    ASSERT_FALSE(parsed);
    EXPECT_NE(parsed.error().find("64"), std::string::npos) << parsed.error();
}

TEST(Position, FindsSetsAndErasesStreams) {
    auto p = position({{5, 50}, {9, 0}});
    ASSERT_NE(p.find(5), nullptr);
    EXPECT_EQ(*p.find(5), 50U);
    ASSERT_NE(p.find(9), nullptr) << "nothing published yet isn't unknown";
    EXPECT_EQ(*p.find(9), 0U);
    for (const StreamId unknown : {1U, 7U, 10U}) EXPECT_EQ(p.find(unknown), nullptr);
    EXPECT_TRUE(p.set(5, 3)) << "a number may go down";
    EXPECT_EQ(*p.find(5), 3U);
    p.erase(7);
    p.erase(5);
    EXPECT_EQ(p, position({{9, 0}}));
    EXPECT_FALSE(p.empty());
    p.erase(9);
    EXPECT_TRUE(p.empty());
    EXPECT_FALSE(p.set(0, 1)) << "no stream is 0";
    EXPECT_TRUE(p.empty());
}

TEST(Position, CoversWhatItLacksNothingOf) {
    const struct {
        Position mine;
        Position theirs;
        bool covers;
    } cases[] = {
        {{}, {}, true},
        {position({{1, 5}}), position({{1, 5}}), true},
        {position({{1, 6}}), position({{1, 5}}), true},
        {position({{1, 4}}), position({{1, 5}}), false},
        {position({{1, 5}, {2, 5}}), position({{1, 5}, {2, 4}}), true},
        {position({{1, 9}, {2, 3}}), position({{1, 5}, {2, 4}}), false},
        {position({{1, 5}}), {}, false},  // it knows a stream that the other doesn't
        {{}, position({{1, 5}}), false},
        {{}, position({{1, 0}}), false},  // unknown isn't 0
        {position({{1, 5}, {2, 5}}), position({{1, 5}}), false},
        {position({{1, 5}}), position({{1, 5}, {2, 0}}), false},
        {position({{1, 5}}), position({{2, 5}}), false},
    };
    for (const auto& c : cases) {
        EXPECT_EQ(c.mine.covers(c.theirs), c.covers) << c.mine.text() << " and " << c.theirs.text();
    }
}

TEST(Position, SurvivesItsTextForm) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 300; ++round) {
        Position p;
        for (auto left = random() % (Position::kMaxStreams + 1); left > 0; --left) {
            p.set(1 + (random() >> (random() % 64)) % kMax, random() >> (random() % 64));
        }
        const auto parsed = Position::parse(p.text());
        ASSERT_TRUE(parsed) << p.text() << ": " << parsed.error();
        EXPECT_EQ(*parsed, p);
        EXPECT_EQ(parsed->text(), p.text());
    }
}

}  // namespace
}  // namespace weft
