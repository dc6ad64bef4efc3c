#include "codec/raw_codec.hpp"

#include <gtest/gtest.h>

#include <string>

namespace weft {
namespace {

/// What a client sends becomes; its data.
std::string published(const std::string& message) {
    RawCodec codec;
    const std::string padded = message + std::string(64, '"');
    const auto command = codec.decode(std::string_view(padded).substr(0, message.size()));
    if (!command) return "no command: " + command.error().message;
    const auto* publish = std::get_if<command::Publish>(&command->body);
    if (publish == nullptr) return "another command";
    EXPECT_EQ(publish->channel, "") << "which one is the location's to say";
    EXPECT_EQ(publish->message_id, "");
    EXPECT_EQ(command->id, "") << "nobody waits for an answer";
    return std::string(publish->data);
}

std::string received(std::string_view data) {
    std::string out = "before ";
    ServerFrame frame;
    frame.body = event::Event{"chat:a", data, "k.1", "m1", {}, {"ann", 7}};
    RawCodec().encode(frame, out);
    return out.substr(7);
}

TEST(RawCodec, PublishesATextAsAString) {
    EXPECT_EQ(published("hello"), R"("hello")");
    EXPECT_EQ(published(""), R"("")");
    EXPECT_EQ(published(R"({"type":"publish"})"), R"("{\"type\":\"publish\"}")") << "it has no words of its own";
    EXPECT_EQ(published("a\"b\\c\n\t\x01"), R"("a\"b\\c\n\t\u0001")");
    EXPECT_EQ(published("\xC3\xA4"), "\"\xC3\xA4\"");
}

TEST(RawCodec, GivesBackTheTextOfAString) {
    for (const std::string text : {"hello", "", "a\"b\\c\n\t\x01", "\xC3\xA4\xF0\x9F\x98\x80", "{}"}) {
        EXPECT_EQ(received(published(text)), text);
    }
    EXPECT_EQ(received(R"("\u00e4\/\ud83d\ude00")"), "\xC3\xA4/\xF0\x9F\x98\x80");
}

TEST(RawCodec, GivesOtherDataAsItIs) {
    for (const char* const data : {"1.50", "null", "[1, \"a\\u0041\"]", R"({"a": "b"})", "true"})
        EXPECT_EQ(received(data), data);
}

TEST(RawCodec, TellsWhatMustNotGoUnsaidAndNothingElse) {
    const struct {
        ServerFrame frame;
        bool told;
    } cases[] = {
        {{{}, event::Event{}}, true},
        {{{}, event::Error{Code::permission_denied, "no", {}}}, true},
        {{{}, event::Gap{"chat:a"}}, true},
        {{{}, event::Unsubscribed{"chat:a", Code::revoked}}, true},
        {{{}, event::Reconnect{}}, true},
        {{{}, event::Subscribed{"chat:a", "k.1", false, true}}, true},
        {{{}, event::Subscribed{"chat:a", "k.1", true, true}}, false},
        {{{}, event::Subscribed{"chat:a", "k.1", false, false}}, false},
        {{{}, event::Established{}}, false},
        {{{}, event::Published{}}, false},
        {{{}, event::Signal{}}, false},
        {{{}, event::MemberChange{}}, false},
        {{{}, event::Pong{}}, false},
    };
    for (const auto& [frame, told] : cases) EXPECT_EQ(RawCodec().tells(frame), told) << frame.body.index();
}

TEST(RawCodec, SaysTheRestAsJsonDoes) {
    ServerFrame frame;
    frame.body = event::Error{Code::rate_limited, "slower", std::chrono::milliseconds{5}};
    std::string raw;
    std::string json;
    RawCodec().encode(frame, raw);
    JsonCodec().encode(frame, json);
    EXPECT_EQ(raw, json);
    EXPECT_FALSE(RawCodec().binary());
    EXPECT_EQ(RawCodec().subprotocol(), "weft.v1.raw");
}

}  // namespace
}  // namespace weft
