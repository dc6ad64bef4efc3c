#include "weft/channel.hpp"

#include <gtest/gtest.h>

#include <random>
#include <regex>

namespace weft {
namespace {

using namespace std::string_literals;

TEST(Channel, KnowsItsNames) {
    for (const auto& name : {"a"s, "chat:lobby"s, "user:42"s, "A-Z_a.z:0/9@x=y"s, ":"s, "::"s, std::string(255, 'n')}) {
        EXPECT_TRUE(is_channel_name(name)) << name;
    }
    for (const auto& name : {""s, std::string(256, 'n'), "chat lobby"s, "chat:*"s, "a,b"s, "a#b"s, "a\nb"s, "a\0b"s,
                             "gr\xc3\xbc\xc3\x9f"s, "a\""s, "a%20b"s}) {
        EXPECT_FALSE(is_channel_name(name)) << testing::PrintToString(name);
    }
}

TEST(Channel, HasNamesOfExactlyTheseBytes) {
    const auto allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/@="s;
    for (int byte = 0; byte < 256; ++byte) {
        const std::string name(1, static_cast<char>(byte));
        EXPECT_EQ(is_channel_name(name), allowed.find(name) != allowed.npos) << byte;
    }
}

struct MatchCase {
    std::string pattern;
    std::vector<std::string> matches;
    std::vector<std::string> others;
};

template <class Pattern>
void expect_matches(const std::vector<MatchCase>& cases) {
    for (const auto& c : cases) {
        const auto pattern = Pattern::parse(c.pattern);
        ASSERT_TRUE(pattern) << c.pattern << ": " << pattern.error();
        EXPECT_EQ(pattern->text(), c.pattern);
        for (const auto& name : c.matches) EXPECT_TRUE(pattern->matches(name)) << c.pattern << " and " << name;
        for (const auto& name : c.others) EXPECT_FALSE(pattern->matches(name)) << c.pattern << " and " << name;
    }
}

TEST(ChannelPattern, MatchesWithinSegmentsAndWithTwoStarsTheRest) {
    expect_matches<ChannelPattern>({
        {"chat:lobby", {"chat:lobby"}, {"chat:lobb", "chat:lobbyx", "chat", "Chat:lobby", "chat.lobby", ""}},
        {"chat:*", {"chat:lobby", "chat:", "chat:a.b/c"}, {"chat", "chat:a:b", "chats:a", "xchat:a", "chat::"}},
        {"chat:**", {"chat:a:b", "chat:", "chat:a", "chat::"}, {"chat", "xchat:a"}},
        {"**", {"a", "a:b:c", ":", std::string(255, 'x')}, {}},
        {"*", {"a", "abc", "a.b"}, {"a:b", ":", "a:"}},
        {"*:*", {"a:b", ":", "a:", ":b"}, {"a", "a:b:c"}},
        {"*:lobby", {"chat:lobby", ":lobby"}, {"lobby", "a:b:lobby", "chat:lobby2"}},
        {"user:*:inbox", {"user:42:inbox", "user::inbox"}, {"user:42:outbox", "user:4:2:inbox", "user:inbox"}},
        {"a*c", {"ac", "abc", "acc", "acbc"}, {"a", "c", "ab", "a:c", "acb"}},
        {"*a*b*", {"ab", "xaxbx", "aab", "abb"}, {"ba", "a:b", "b", "a"}},
        {"*ab", {"ab", "aab", "abab", "aaab"}, {"aba", "b"}},
        {"room-*-*:x*", {"room-1-2:x", "room--:xyz", "room-a-b-c:x"}, {"room-1:x", "room-1-2:y", "room-1-2"}},
        {"chat:l**", {"chat:l", "chat:lobby", "chat:lobby:a:b"}, {"chat:", "chat:x", "chat"}},
        {"*:l**", {"chat:lobby:a", ":l"}, {"chat:xl", "a:b:l"}},
        {"x:a*b**", {"x:ab", "x:axb", "x:axbx:y", "x:abb"}, {"x:ax:b", "x:a"}},
        {"a.b*", {"a.b", "a.bc", "a.b.c"}, {"axb"}},  // a dot is a dot
    });
}

TEST(MethodPattern, HasSegmentsBetweenDots) {
    expect_matches<MethodPattern>({
        {"echo", {"echo"}, {"echo.x", "ech", "Echo"}},
        {"orders.*", {"orders.create", "orders.", "orders.a:b"}, {"orders", "orders.a.b", "order.a"}},
        {"orders.**", {"orders.a.b", "orders.create"}, {"orders"}},
        {"*", {"echo", "a:b"}, {"weft.echo"}},
        {"**", {"echo", "weft.echo"}, {}},
        {"*.get", {"orders.get", "a:b.get"}, {"get", "a.b.get"}},
    });
}

TEST(ChannelPattern, LetsSubStandForTheUserAndNobodyElse) {
    const struct {
        const char *pattern, *user, *name;
        bool matches;
    } cases[] = {
        {"user:{sub}", "42", "user:42", true},
        {"user:{sub}", "42", "user:43", false},
        {"user:{sub}", "42", "user:4", false},
        {"user:{sub}", "42", "user:421", false},
        {"user:{sub}", "42", "user:42:x", false},
        {"user:{sub}", "42", "user:", false},
        {"user:{sub}", "42", "user:{sub}", false},
        {"user:{sub}", "ann@example.com", "user:ann@example.com", true},
        {"user:{sub}:*", "42", "user:42:inbox", true},
        {"user:{sub}:*", "42", "user:43:inbox", false},
        {"user:{sub}:**", "42", "user:42:a:b", true},
        {"user:{sub}:**", "42", "user:42", false},
        {"*:{sub}", "42", "inbox:42", true},
        {"*:{sub}", "42", "inbox:x:42", false},
        {"*:{sub}:x", "42", "a:42:x", true},
        {"{sub}", "42", "42", true},
        {"{sub}:{sub}", "a", "a:a", true},
        {"{sub}:{sub}", "a", "a:b", false},
        // What can't be a segment owns nothing, whatever it looks like.
        {"user:{sub}", "", "user:", false},
        {"user:{sub}", "*", "user:42", false},
        {"user:{sub}", "**", "user:42", false},
        {"user:{sub}", "{sub}", "user:42", false},
        {"user:{sub}", "4*", "user:42", false},
        {"user:{sub}", "42:inbox", "user:42:inbox", false},
        {"user:{sub}:inbox", "a:b", "user:a:b:inbox", false},
        {"{sub}:x", "a:b", "a:b:x", false},
        {"user:{sub}", "4 2", "user:42", false},
    };
    for (const auto& c : cases) {
        const auto pattern = ChannelPattern::parse(c.pattern);
        ASSERT_TRUE(pattern) << pattern.error();
        EXPECT_TRUE(pattern->has_owner());
        EXPECT_EQ(pattern->matches(c.name, c.user), c.matches) << c.pattern << ' ' << c.user << ' ' << c.name;
    }
}

TEST(ChannelPattern, TakesSubForAnySegmentWhenItIsNobodys) {
    const auto pattern = ChannelPattern::parse("user:{sub}:*");
    ASSERT_TRUE(pattern);
    EXPECT_TRUE(pattern->matches("user:42:x"));
    EXPECT_FALSE(pattern->matches("user::x"));
    EXPECT_FALSE(pattern->matches("user:42"));
    EXPECT_FALSE(pattern->matches("user:4:2:x"));
    EXPECT_FALSE(ChannelPattern::parse("user:*")->has_owner());
}

TEST(ChannelPattern, TakesSubOnlyAsASegmentOfItsOwn) {
    for (const char* text : {"user:{sub}*", "user:x{sub}", "user:{sub}x", "{sub}**", "user:{sub", "user:sub}", "{}",
                             "user:{jti}", "user:{SUB}", "user:{sub}{sub}", "{", "}", "user:{{sub}}"}) {
        const auto pattern = ChannelPattern::parse(text);
        EXPECT_FALSE(pattern) << text;
    }
    EXPECT_NE(ChannelPattern::parse("user:{sub}*").error().find("\"{sub}\" as a segment of its own"),
              std::string::npos);
    EXPECT_FALSE(MethodPattern::parse("orders.{sub}")) << "methods have no owners";
}

TEST(ChannelPattern, SaysWhatIsWrong) {
    const struct {
        std::string pattern;
        std::vector<std::string> named;
    } cases[] = {
        {"", {"empty", "1 to 255"}},
        {std::string(256, 'a'), {"256", "255"}},
        {"chat lobby", {"byte 0x20", "position 5", "A-Z a-z 0-9 _ - . : / @ ="}},
        {"chat:#", {"\"#\"", "position 6"}},
        {"gr\xc3\xbc\xc3\x9f", {"byte 0xC3", "position 3"}},
        {"a\n", {"byte 0x0A", "position 2"}},
        {"chat:**:x", {"\"chat:**:x\"", "\"**\"", "last"}},
        {"**:x", {"\"**\""}},
        {"***", {"\"**\""}},
        {"a****", {"\"**\""}},
        {"**a**", {"\"**\""}},
        {"chat**", {"\"chat**\"", "first segment"}},
        {"a*b**", {"\"**\" alone"}},
    };
    for (const auto& c : cases) {
        const auto channel = ChannelPattern::parse(c.pattern);
        const auto method = MethodPattern::parse(c.pattern);
        ASSERT_FALSE(channel) << c.pattern;
        ASSERT_FALSE(method) << c.pattern;
        EXPECT_NE(channel.error().find("channel pattern"), std::string::npos) << channel.error();
        EXPECT_NE(method.error().find("method pattern"), std::string::npos) << method.error();
        for (const auto& part : c.named) EXPECT_NE(channel.error().find(part), std::string::npos) << channel.error();
        EXPECT_EQ(channel.error().find('\n'), std::string::npos);
    }
}

TEST(ChannelPattern, AgreesWithARegularExpression) {
    for (std::uint32_t seed = 1; seed <= 400; ++seed) {
        std::minstd_rand random(seed);
        std::string text;
        std::string expression;
        for (auto left = random() % 7; left > 0 || text.empty(); left -= left > 0) {
            const char c = "ab:*"[random() % 4];
            if (c == '*' && text.ends_with('*')) continue;
            text += c;
            expression += c == '*' ? "[^:]*" : std::string(1, c);
        }
        if (random() % 3 == 0 && !text.ends_with('*') && text.find(':') != std::string::npos) {
            text += "**";
            expression += ".*";
        }
        const auto pattern = ChannelPattern::parse(text);
        ASSERT_TRUE(pattern) << text;
        const std::regex regex(expression);
        for (int i = 0; i < 60; ++i) {
            std::string name;
            for (auto left = random() % 9; left > 0; --left) name += "ab:"[random() % 3];
            ASSERT_EQ(pattern->matches(name), std::regex_match(name, regex)) << text << " and " << name;
        }
    }
}

TEST(ChannelPattern, EndsSoonOnPatternsThatInviteBacktracking) {
    // A matcher that tries all stars anew takes longer than the test suite's time limit for this.
    std::string text;
    while (text.size() + 4 <= kMaxChannelName) text += "*a";
    const auto pattern = ChannelPattern::parse(text + "*b");
    ASSERT_TRUE(pattern);
    const std::string name(kMaxChannelName, 'a');
    for (int i = 0; i < 1000; ++i) ASSERT_FALSE(pattern->matches(name));
    EXPECT_TRUE(pattern->matches(name.substr(1) + "b"));
}

}  // namespace
}  // namespace weft
