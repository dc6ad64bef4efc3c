#include "bench/stamp.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace weft::bench {
namespace {

std::string text_of(const Stamp& stamp) {
    std::string text(kStampText, '\0');
    write_stamp(text.data(), stamp);
    return text;
}

void expect_equal(const Stamp& got, const Stamp& want) {
    EXPECT_EQ(got.publisher, want.publisher);
    EXPECT_EQ(got.number, want.number);
    EXPECT_EQ(got.sent_at, want.sent_at);
}

TEST(Stamp, ComesBackAsItWasWritten) {
    for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xFFFFFFFF},
                                     std::uint64_t{0x0123456789ABCDEF}, UINT64_MAX}) {
        const Stamp stamp{static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(~word), word};
        expect_equal(read_stamp(text_of(stamp).data()), stamp);
    }
    std::mt19937_64 random(1);
    for (int i = 0; i < 10'000; ++i) {
        const Stamp stamp{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random()), random()};
        expect_equal(read_stamp(text_of(stamp).data()), stamp);
    }
}

TEST(Stamp, NeedsNoEscapingInJson) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 1000; ++i) {
        const std::string text =
            text_of({static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random()), random()});
        EXPECT_EQ(text.find_first_not_of("~Wabcdefghijklmnop"), std::string::npos) << text;
    }
}

TEST(StampFinder, FindsTheStampInWhateverEnvelopeAndWhereverItMoves) {
    StampFinder finder;
    for (const std::string& before :
         {std::string(), std::string(R"({"type":"event","payload":{"data":")"), std::string("42[\"m\",\""),
          std::string(200, '.'), std::string("~"), std::string("a~b")}) {
        for (int again = 0; again < 2; ++again) {
            const Stamp stamp{5, 6, 7};
            const std::string message = before + text_of(stamp) + "xxxx\"}}";
            const char* found = finder.find(message);
            ASSERT_NE(found, nullptr) << before;
            expect_equal(read_stamp(found), stamp);
        }
    }
}

TEST(StampFinder, FindsNoneInOtherMessagesAndNeverReadsBeyondTheEnd) {
    const std::string whole = text_of({1, 2, 3});
    const std::string others[] = {R"({"type":"subscribed"})", "", whole.substr(0, kStampText - 1),
                                  "xx" + whole.substr(0, 20)};
    for (const std::string& other : others) {
        StampFinder finder;
        EXPECT_EQ(finder.find(other), nullptr) << other;
        ASSERT_NE(finder.find("xx" + whole), nullptr);
        EXPECT_EQ(finder.find(other), nullptr) << other << ", after the finder has learnt a place";
    }
}

}  // namespace
}  // namespace weft::bench
