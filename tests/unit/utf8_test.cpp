#include "websocket/utf8.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace weft::websocket {
namespace {

using namespace std::string_literals;

// The characters of RFC 3629 §4 by their definition, not by its table: a number of the right range, in its shortest
// form. Slow and plain, to judge the checker by.
bool decodes(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
        const int size = byte(i) < 0x80       ? 1
                         : byte(i) >> 5 == 6  ? 2
                         : byte(i) >> 4 == 14 ? 3
                         : byte(i) >> 3 == 30 ? 4
                                              : 0;
        if (size == 0 || i + static_cast<std::size_t>(size) > text.size()) return false;
        std::uint32_t value = size == 1 ? byte(i) : byte(i) & (0xFFU >> (size + 1));
        for (int k = 1; k < size; ++k) {
            if (byte(i + static_cast<std::size_t>(k)) >> 6 != 2) return false;
            value = value << 6 | (byte(i + static_cast<std::size_t>(k)) & 0x3F);
        }
        constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
        if (value < kLeast[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return false;
        i += static_cast<std::size_t>(size);
    }
    return true;
}

std::string encode(std::uint32_t value, int size) {
    if (size == 1) return std::string(1, static_cast<char>(value));
    std::string text;
    for (int k = size - 1; k > 0; --k)
        text.insert(text.begin(), static_cast<char>(0x80 | (value >> 6 * (size - 1 - k) & 0x3F)));
    const std::uint32_t mark = size == 2 ? 0xC0 : size == 3 ? 0xE0 : 0xF0;
    text.insert(text.begin(), static_cast<char>(mark | value >> 6 * (size - 1)));
    return text;
}

TEST(Utf8, KnowsEveryCharacterInEveryForm) {
    for (std::uint32_t value = 0; value <= 0x1FFFFF; ++value) {
        for (int size = 1; size <= 4; ++size) {
            if (value >= std::vector<std::uint32_t>{0, 0x80, 0x800, 0x10000, 0x200000}[static_cast<std::size_t>(size)])
                continue;
            const auto text = encode(value, size);
            ASSERT_EQ(is_utf8(text), decodes(text)) << std::hex << value << " in " << size << " bytes";
        }
    }
}

TEST(Utf8, KnowsEveryPairOfBytesAndEveryTripleOfFirstBytes) {
    std::string text(3, '\0');
    for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; ++b) {
            text[0] = static_cast<char>(a);
            text[1] = static_cast<char>(b);
            ASSERT_EQ(is_utf8(text.substr(0, 2)), decodes(text.substr(0, 2))) << a << ' ' << b;
            for (int c = 0; c < 256; ++c) {
                text[2] = static_cast<char>(c);
                ASSERT_EQ(is_utf8(text), decodes(text)) << a << ' ' << b << ' ' << c;
            }
        }
    }
}

TEST(Utf8, FailsAtTheFirstByteThatCanNotBeRight) {
    const struct {
        std::string text;
        std::size_t at;  // bytes fed when it fails
    } cases[] = {
        {"a\x80", 2},      // a tail without a head
        {"a\xc0\xaf", 2},  // overlong in two bytes
        {"a\xc1\xbf", 2},
        {"a\xe0\x9f\xbf", 3},      // overlong in three
        {"a\xf0\x8f\xbf\xbf", 3},  // overlong in four
        {"a\xed\xa0\x80", 3},      // the first surrogate
        {"a\xed\xbf\xbf", 3},      // the last
        {"a\xf4\x90\x80\x80", 3},  // U+110000
        {"a\xf5\x80\x80\x80", 2},
        {"a\xff", 2},
        {"a\xc3(", 3},  // a head without a tail
        {"a\xe2\x82(", 4},
        {"a\xf0\x9f\x98(", 5},
    };
    for (const auto& c : cases) {
        Utf8Checker checker;
        for (std::size_t i = 0; i < c.text.size(); ++i) {
            ASSERT_EQ(checker.feed({&c.text[i], 1}), i + 1 < c.at) << testing::PrintToString(c.text) << " at " << i;
        }
        EXPECT_FALSE(checker.feed("a")) << "it must stay failed";
        EXPECT_FALSE(checker.feed(""));
        EXPECT_FALSE(checker.complete());
        checker.reset();
        EXPECT_TRUE(checker.feed("a"));
    }
}

TEST(Utf8, KnowsWhereACharacterIsUnfinished) {
    const auto text = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z"s;
    const std::vector<bool> complete{true, false, true, false, false, true, false, false, false, true, true};
    Utf8Checker checker;
    for (std::size_t i = 0; i < text.size(); ++i) {
        ASSERT_TRUE(checker.feed({&text[i], 1}));
        EXPECT_EQ(checker.complete(), complete[i]) << i;
        EXPECT_EQ(is_utf8(text.substr(0, i + 1)), complete[i]) << i;
    }
}

TEST(Utf8, FindsABadByteAtEveryPlaceOfARunOfAscii) {
    for (std::size_t size = 0; size < 100; ++size) {
        for (std::size_t bad = 0; bad < size; ++bad) {
            // In memory that ends with the text, so that a read beyond it shows.
            const auto text = std::make_unique<char[]>(size);
            std::fill_n(text.get(), size, 'a');
            ASSERT_TRUE(is_utf8({text.get(), size}));
            text[bad] = '\x80';
            ASSERT_FALSE(is_utf8({text.get(), size})) << bad << " of " << size;
        }
    }
}

TEST(Utf8, SaysTheSameHoweverTextIsSplit) {
    const std::string texts[] = {"gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac\xe2\x82\xac", "x\xf0\x9f\x98\x80\xf0\x9f\x98\x80y",
                                 "\xe2\x82\xac\xed\xa0\x80", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xf4\x90"};
    for (const auto& text : texts) {
        for (std::size_t i = 0; i <= text.size(); ++i) {
            for (std::size_t k = i; k <= text.size(); ++k) {
                Utf8Checker checker;
                const bool valid = checker.feed(text.substr(0, i)) && checker.feed(text.substr(i, k - i)) &&
                                   checker.feed(text.substr(k)) && checker.complete();
                EXPECT_EQ(valid, decodes(text)) << testing::PrintToString(text) << " cut at " << i << " and " << k;
            }
        }
    }
}

TEST(Utf8, TakesTheEmptyText) {
    EXPECT_TRUE(is_utf8(""));
}

}  // namespace
}  // namespace weft::websocket
