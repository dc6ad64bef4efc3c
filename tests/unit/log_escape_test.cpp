#include "gateway/log_escape.hpp"

#include <gtest/gtest.h>

#include <string>

namespace weft {
namespace {

using namespace std::string_literals;

std::string escaped(std::string_view text, LogEscape escape, std::size_t room = 1000) {
    std::string line = "before|";
    append_escaped(line, text, escape, room);
    EXPECT_TRUE(line.starts_with("before|"));
    return line.substr(7);
}

TEST(LogEscape, StandardWritesWhatIsNoPrintableAsciiInHexadecimal) {
    EXPECT_EQ(escaped("GET /a?b=c HTTP/1.1", LogEscape::standard), "GET /a?b=c HTTP/1.1");
    EXPECT_EQ(escaped("a\"b\\c", LogEscape::standard), R"(a\x22b\x5Cc)");
    EXPECT_EQ(escaped("\0\t\n\x1f ~\x7f"s, LogEscape::standard), R"(\x00\x09\x0A\x1F ~\x7F)");
    EXPECT_EQ(escaped("J\u00fcrgen", LogEscape::standard), R"(J\xC3\xBCrgen)");
    EXPECT_EQ(escaped("\xff", LogEscape::standard), R"(\xFF)");
}

TEST(LogEscape, JsonWritesWhatAJsonStringMustNotHold) {
    EXPECT_EQ(escaped("a\"b\\c/", LogEscape::json), R"(a\"b\\c/)");
    EXPECT_EQ(escaped("\b\f\n\r\t", LogEscape::json), R"(\b\f\n\r\t)");
    EXPECT_EQ(escaped("\0\x01\x1f\x7f"s, LogEscape::json), "\\u0000\\u0001\\u001F\x7f");
    EXPECT_EQ(escaped("J\u00fcrgen \u2603", LogEscape::json), "J\u00fcrgen \u2603");
}

TEST(LogEscape, NoneWritesTheBytes) {
    EXPECT_EQ(escaped("a\"b\\c\n\x01\xff", LogEscape::none), "a\"b\\c\n\x01\xff");
}

TEST(LogEscape, CutsInFrontOfWhatDoesNotFit) {
    EXPECT_EQ(escaped("abcdef", LogEscape::standard, 3), "abc");
    EXPECT_EQ(escaped("abc", LogEscape::standard, 0), "");
    EXPECT_EQ(escaped("abc", LogEscape::none, 2), "ab");
    for (std::size_t room = 1; room < 5; ++room) EXPECT_EQ(escaped("a\"b", LogEscape::standard, room), "a");
    EXPECT_EQ(escaped("a\"b", LogEscape::standard, 5), R"(a\x22)");
    EXPECT_EQ(escaped("\n\n", LogEscape::json, 3), R"(\n)");
    EXPECT_EQ(escaped("\x01\x01", LogEscape::json, 11), R"(\u0001)");
}

TEST(LogEscape, CutsNoCharacterOfUtf8) {
    const std::string text = "a\u00fc\u2603\U0001F600z";  // 1, 2, 3, 4 and 1 bytes
    const std::size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (const LogEscape escape : {LogEscape::json, LogEscape::none}) {
        for (std::size_t room = 0; room < std::size(whole); ++room) {
            EXPECT_EQ(escaped(text, escape, room), text.substr(0, whole[room])) << room;
        }
    }
}

TEST(LogEscape, CutsBytesThatAreNoUtf8WithoutTakingEscapesApart) {
    EXPECT_EQ(escaped("\n\x80", LogEscape::json, 2), R"(\n)");
    EXPECT_EQ(escaped("a\x80\x80\x80\x80\x80\x80", LogEscape::json, 6).size(), 3U);
    EXPECT_EQ(escaped("\x80\x80", LogEscape::none, 1), "");
}

TEST(LogEscape, AnAbsentValueIsADashInTheStandardForm) {
    std::string line;
    append_absent(line, LogEscape::json);
    append_absent(line, LogEscape::none);
    EXPECT_EQ(line, "");
    append_absent(line, LogEscape::standard);
    EXPECT_EQ(line, "-");
}

}  // namespace
}  // namespace weft
