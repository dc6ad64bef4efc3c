#include "codec/json_codec.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <memory>
#include <string>
#include <vector>

#include "codec/json_object.hpp"
#include "codec/json_scanner.hpp"

namespace weft {
namespace {

/// A message exactly as a connection hands it over: kPadding bytes behind it, full of what a parser must not believe.
class Padded {
public:
    explicit Padded(std::string_view text) : size_(text.size()), bytes_(std::string(text) + std::string(64, '"')) {}
    [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }

private:
    std::size_t size_;
    std::string bytes_;
};

/// Decodes one message and keeps everything that the command's views point to.
class Decoded {
public:
    explicit Decoded(std::string_view text) : message_(text), result_(codec_.decode(message_.view())) {}

    [[nodiscard]] bool ok() const { return result_.has_value(); }
    [[nodiscard]] const Command& command() const { return *result_; }
    [[nodiscard]] const CommandError& error() const { return result_.error(); }
    [[nodiscard]] std::string message() const { return ok() ? "accepted" : error().message; }
    template <typename Body>
    [[nodiscard]] const Body& body() const {
        return std::get<Body>(result_.value().body);
    }

private:
    JsonCodec codec_;
    Padded message_;
    tl::expected<Command, CommandError> result_;
};

std::string publish_of(std::string_view data) {
    return R"({"type":"publish","payload":{"channel":"chat:lobby","data":)" + std::string(data) + "}}";
}

std::string encode(const ServerFrame& frame) {
    std::string out;
    JsonCodec().encode(frame, out);
    return out;
}

bool is_json(std::string_view text) {
    simdjson::dom::parser parser;
    return parser.parse(text.data(), text.size()).error() == simdjson::SUCCESS;
}

// --- decoding --------------------------------------------------------------------------------------------------------

TEST(JsonCodec, DecodesSubscribe) {
    const Decoded d(R"({"type":"subscribe","id":"c1","payload":{"channel":"chat:lobby"}})");
    ASSERT_TRUE(d.ok()) << d.message();
    EXPECT_EQ(d.command().id, "c1");
    EXPECT_EQ(d.body<command::Subscribe>().channel, "chat:lobby");
    EXPECT_FALSE(d.body<command::Subscribe>().position.has_value());
    EXPECT_TRUE(d.body<command::Subscribe>().echo);
}

TEST(JsonCodec, DecodesSubscribeThatAsksToResumeWithoutEcho) {
    const Decoded d(R"({"payload":{"echo":false,"position":"","channel":"a"},"type":"subscribe"})");
    ASSERT_TRUE(d.ok()) << d.message();
    EXPECT_EQ(d.body<command::Subscribe>().position, "");
    EXPECT_FALSE(d.body<command::Subscribe>().echo);
    EXPECT_TRUE(d.command().id.empty());
}

TEST(JsonCodec, DecodesTheOtherCommands) {
    const Decoded unsubscribe(R"({"type":"unsubscribe","payload":{"channel":"a"}})");
    ASSERT_TRUE(unsubscribe.ok()) << unsubscribe.message();
    EXPECT_EQ(unsubscribe.body<command::Unsubscribe>().channel, "a");

    const Decoded publish(R"({"type":"publish","payload":{"channel":"a","data":1,"message_id":"m"}})");
    ASSERT_TRUE(publish.ok()) << publish.message();
    EXPECT_EQ(publish.body<command::Publish>().channel, "a");
    EXPECT_EQ(publish.body<command::Publish>().data, "1");
    EXPECT_EQ(publish.body<command::Publish>().message_id, "m");

    const Decoded signal(R"({"type":"signal","payload":{"channel":"a","name":"typing"}})");
    ASSERT_TRUE(signal.ok()) << signal.message();
    EXPECT_EQ(signal.body<command::Signal>().name, "typing");
    EXPECT_TRUE(signal.body<command::Signal>().data.empty());

    const Decoded rpc(R"({"type":"rpc","payload":{"method":"weft.echo","params":["x"]}})");
    ASSERT_TRUE(rpc.ok()) << rpc.message();
    EXPECT_EQ(rpc.body<command::Rpc>().method, "weft.echo");
    EXPECT_EQ(rpc.body<command::Rpc>().params, R"(["x"])");

    for (const char* text : {R"({"type":"ping"})", R"( { "type" : "ping" , "payload" : { } } )"}) {
        const Decoded ping(text);
        ASSERT_TRUE(ping.ok()) << ping.message();
        EXPECT_TRUE(std::holds_alternative<command::Ping>(ping.command().body));
    }
}

TEST(JsonCodec, PassesDataThroughByteForByte) {
    for (const char* data : {
             "1",
             "-0",
             "1.0",
             "1.50",
             "1e5",
             "1E+5",
             "-1.0e-10",
             "12345678901234567890123456789012345678901234567890",
             "0.1000000000000000055511151231257827021181583404541015625",
             "1e400",
             "null",
             "true",
             "false",
             R"("")",
             R"("a")",
             R"("\u0061\/\n\"\\")",
             R"("\ud83d\ude00")",
             "\"\xf0\x9f\x98\x80\"",
             R"("\u0000")",
             "[]",
             "{}",
             "[ 1 ,\t2\n]",
             R"({"a":1,"a":2})",
             R"({"":{"data":[{"channel":"x"}]}})",
             R"([[[]],[{}]])",
             R"("a string that is longer than one wide word, and then \"one\" more")",
         }) {
        const Decoded d(publish_of(data));
        ASSERT_TRUE(d.ok()) << data << ": " << d.message();
        EXPECT_EQ(d.body<command::Publish>().data, data);
    }
}

TEST(JsonCodec, LeavesTheSpaceAroundDataOut) {
    const Decoded d("{\"type\":\"publish\",\"payload\":{\"channel\":\"a\",\"data\" : \t[ 1 ]\r\n }}");
    ASSERT_TRUE(d.ok()) << d.message();
    EXPECT_EQ(d.body<command::Publish>().data, "[ 1 ]");
}

TEST(JsonCodec, RefusesMalformedJsonAnywhereInTheMessage) {
    for (const char* value : {
             "",
             "tru",
             "{\"a\":tru}",
             "truee",
             "nul",
             "True",
             "[1,]",
             "[,1]",
             "[1 2]",
             "[1",
             "]",
             "{\"a\"}",
             "{\"a\":}",
             "{\"a\":1,}",
             "{,}",
             "{a:1}",
             "{'a':1}",
             "{\"a\" 1}",
             "{1:1}",
             "[1}",
             "{\"a\":1]",
             "01",
             "-",
             "+1",
             ".5",
             "1.",
             "1.e5",
             "1e",
             "1e+",
             "0x10",
             "--1",
             "1.2.3",
             "-01",
             "NaN",
             "Infinity",
             "\"",
             "\"a",
             "\"\\\"",
             "\"\\x41\"",
             "\"\\u12\"",
             "\"\\u12g4\"",
             "\"\\ud800\"",
             "\"\\udc00\"",
             "\"\\ud800\\u0041\"",
             "\"\\ud800\\ud800\"",
             "\"\\ud800x\\udc00\"",
             "\"a\nb\"",
             "\"a\x01\"",
             "// c\n1",
             "/**/1",
             "\"a\" \"b\"",
             "1;",
             "\xef\xbb\xbf"
             "1",
             "\xa0",
             "\v1",
             "1,2",
         }) {
        for (const std::string& text :
             {publish_of(value), publish_of("[[" + std::string(value) + "]]"),
              publish_of("{\"k\":" + std::string(value) + "}"), R"({"type":"ping","other":)" + std::string(value) + "}",
              R"({"type":"ping","payload":{"other":)" + std::string(value) + "}}",
              R"({"type":"ping","payload":{},"payload":)" + std::string(value) + "}"}) {
            if (value == std::string_view("1,2") && text.find("[[") != std::string::npos) continue;  // fine in an array
            if (value == std::string_view("") && text.find("[[") != std::string::npos) continue;
            const Decoded d(text);
            ASSERT_FALSE(d.ok()) << text;
            EXPECT_EQ(d.error().code, Code::invalid_message);
            EXPECT_EQ(d.message().rfind("not valid JSON at byte ", 0), 0U) << text << ": " << d.message();
        }
    }
}

TEST(JsonCodec, RefusesWhatIsNotUtf8InAnyString) {
    for (const char* bytes : {"\x80", "\xc0\x80", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                              "\xf8\x88\x80\x80\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80"}) {
        for (const char* before : {"", "0123456789abcdef", "0123456789abcdef0123456789"}) {
            const std::string string = '"' + std::string(before) + bytes + '"';
            for (const std::string& text : {publish_of(string), R"({"type":"ping",)" + string + ":1}"}) {
                const Decoded d(text);
                ASSERT_FALSE(d.ok()) << text;
                EXPECT_NE(d.message().find("not UTF-8"), std::string::npos) << d.message();
                EXPECT_TRUE(simdjson::validate_utf8(d.error().message));
            }
            EXPECT_NE(check_json(string), "") << string;
        }
    }
}

TEST(JsonCodec, RefusesEveryTruncationOfAMessage) {
    const std::string whole =
        R"({"type":"publish","id":"c1","payload":{"channel":"chat:lobby","data":{"a":[1,-2.5e3,"\u00e9\ud83d\ude00"],"b":null}}})";
    ASSERT_TRUE(Decoded(whole).ok());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(Decoded(whole.substr(0, size)).ok()) << size;
        // Exactly as long as it says, for the sanitizers: check_json() promises to read nothing behind the text.
        const std::unique_ptr<char[]> exact(new char[size]);
        whole.copy(exact.get(), size);
        EXPECT_NE(check_json({exact.get(), size}), "") << size;
    }
}

TEST(JsonCodec, BoundsTheNestingOfAMessage) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_TRUE(Decoded(publish_of(nested(kMaxDepth - 2))).ok()) << "the envelope and the payload are two";
    const Decoded deep(publish_of(nested(kMaxDepth - 1)));
    ASSERT_FALSE(deep.ok());
    EXPECT_NE(deep.message().find("nested too deep"), std::string::npos);
    EXPECT_FALSE(Decoded(publish_of(nested(1000000))).ok());
    EXPECT_EQ(check_json(nested(kMaxDepth)), "");
    EXPECT_NE(check_json(nested(kMaxDepth + 1)), "");
    std::string mixed;  // an object inside an array inside an object …
    for (std::size_t i = 0; i < kMaxDepth / 2; ++i) mixed += R"([{"a":)";
    mixed += '1';
    for (std::size_t i = 0; i < kMaxDepth / 2; ++i) mixed += "}]";
    EXPECT_EQ(check_json(mixed), "");
    mixed[mixed.size() - 2] = ']';
    EXPECT_NE(check_json(mixed), "") << "closed by the wrong bracket";
}

TEST(JsonCodec, BoundsTheNestingFurtherWhenAsked) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    const auto message = [&](std::size_t depth) {
        return R"({"type":"publish","payload":{"channel":"c","data":)" + nested(depth) + "}}" + std::string(64, ' ');
    };
    JsonCodec codec(5);
    EXPECT_TRUE(codec.decode(message(3))) << "the message and its payload count";
    EXPECT_FALSE(codec.decode(message(4)));
    EXPECT_EQ(check_json(nested(5), 5), "");
    EXPECT_NE(check_json(nested(6), 5), "");
    EXPECT_NE(check_json(nested(kMaxDepth + 1), 1000), "") << "never more than what a message may be nested";
}

TEST(JsonCodec, TakesTheFirstOfDuplicateMembers) {
    const Decoded d(
        R"({"type":"publish","type":"ping","id":"a","id":7,"payload":{"channel":"x","channel":"y","data":1,"data":2,)"
        R"("channel":false},"payload":{"channel":"z","data":3,"message_id":"m"},"payload":1})");
    ASSERT_TRUE(d.ok()) << d.message();
    EXPECT_EQ(d.command().id, "a");
    EXPECT_EQ(d.body<command::Publish>().channel, "x");
    EXPECT_EQ(d.body<command::Publish>().data, "1");
    EXPECT_EQ(d.body<command::Publish>().message_id, "") << "nothing comes from a later payload";
    EXPECT_FALSE(Decoded(R"({"type":"ping","payload":1,"payload":{}})").ok());
    EXPECT_FALSE(Decoded(R"({"type":"unsubscribe","payload":{"channel":1,"channel":"a"}})").ok());
}

TEST(JsonCodec, IgnoresUnknownMembersAndKnownOnesInTheWrongPlace) {
    const Decoded d(
        R"({"channel":"top","data":9,"version":{"payload":{"channel":"n"}},"type":"publish",)"
        R"("payload":{"type":"ping","id":"p","extra":[{"channel":"e"}],"data":1,"channel":"right","Channel":"C"}})");
    ASSERT_TRUE(d.ok()) << d.message();
    EXPECT_TRUE(d.command().id.empty());
    EXPECT_EQ(d.body<command::Publish>().channel, "right");
    EXPECT_EQ(d.body<command::Publish>().data, "1");
}

TEST(JsonCodec, UnescapesNamesAndStrings) {
    const Decoded d(R"({"t\u0079pe":"\u0070ublish","\u0069d":"\"\\\/\b\f\n\r\té€\uD83D\uDE00","payload":)"
                    R"({"ch\u0061nnel":"chat\u003alobby","data":"\u0061","message_id":"m\u002d1"}})");
    ASSERT_TRUE(d.ok()) << d.message();
    EXPECT_EQ(d.command().id, "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    EXPECT_EQ(d.body<command::Publish>().channel, "chat:lobby");
    EXPECT_EQ(d.body<command::Publish>().message_id, "m-1");
    EXPECT_EQ(d.body<command::Publish>().data, R"("\u0061")") << "data keeps its escapes";
}

TEST(JsonCodec, ForgetsTheMessageBefore) {
    JsonCodec codec;
    const Padded first(R"({"type":"publish","id":"\u0061","payload":{"channel":"a","data":1,"message_id":"m"}})");
    const Padded second(R"({"type":"publish","payload":{"channel":"b","data":2}})");
    const Padded third(R"({"type":"ping","payload":3})");
    ASSERT_TRUE(codec.decode(first.view()));
    const auto command = codec.decode(second.view());
    ASSERT_TRUE(command);
    EXPECT_TRUE(command->id.empty());
    EXPECT_TRUE(std::get<command::Publish>(command->body).message_id.empty());
    ASSERT_FALSE(codec.decode(third.view()));
    for (int i = 0; i < 10000; ++i) {
        ASSERT_EQ(codec.decode(first.view())->id, "a") << "neither an error before nor what was unescaped before";
    }
}

TEST(JsonCodec, SaysWhatIsMissingOrWrong) {
    const std::string long_id(kMaxId + 1, 'i');
    const struct {
        std::string message;
        const char* error;
    } kCases[] = {
        {R"([])", R"(the message is not a JSON object: expected {"type": ..., "payload": {...}})"},
        {R"({})", R"("type" is missing: expected a string)"},
        {R"({"type":7})", R"("type" is not a string: expected a string)"},
        {R"({"type":null})", R"("type" is not a string: expected a string)"},
        {R"({"type":"ping","id":7})", R"("id" is not a string: expected a string of at most 64 bytes)"},
        {R"({"type":"ping","id":")" + long_id + "\"}", R"("id" is too long: expected a string of at most 64 bytes)"},
        {R"({"type":"ping","payload":"{}"})", R"("payload" is not an object: expected an object)"},
        {R"({"type":"ping","payload":[]})", R"("payload" is not an object: expected an object)"},
        {R"({"type":"publish"})", R"("payload" is missing: expected an object)"},
        {R"({"type":"rpc"})", R"("payload" is missing: expected an object)"},
        {R"({"type":"subscribe","payload":{}})", R"("channel" is missing: expected a string of 1 to 255 bytes)"},
        {R"({"type":"unsubscribe","payload":{"channel":null}})",
         R"("channel" is not a string: expected a string of 1 to 255 bytes)"},
        {R"({"type":"publish","payload":{"channel":"","data":1}})",
         R"("channel" is empty: expected a string of 1 to 255 bytes)"},
        {R"({"type":"publish","payload":{"channel":")" + std::string(256, 'c') + R"(","data":1}})",
         R"("channel" is too long: expected a string of 1 to 255 bytes)"},
        {R"({"type":"signal","payload":{"channel":"a b","name":"n"}})",
         R"("channel" is not a channel name: expected 1 to 255 bytes of A-Z a-z 0-9 _ - . : / @ =)"},
        {R"({"type":"publish","payload":{"channel":"a"}})", R"("data" is missing: expected any JSON value)"},
        {R"({"type":"publish","payload":{"channel":"a","data":1,"message_id":""}})",
         R"("message_id" is empty: expected a string of 1 to 64 bytes without control characters)"},
        {R"({"type":"publish","payload":{"channel":"a","data":1,"message_id":"a\n"}})",
         R"("message_id" is not usable: expected a string of 1 to 64 bytes without control characters)"},
        {R"({"type":"publish","payload":{"channel":"a","data":1,"message_id":"\u007f"}})",
         R"("message_id" is not usable: expected a string of 1 to 64 bytes without control characters)"},
        {R"({"type":"publish","payload":{"channel":"a","data":1,"message_id":")" + long_id + R"("}})",
         R"("message_id" is too long: expected a string of 1 to 64 bytes without control characters)"},
        {R"({"type":"signal","payload":{"channel":"a"}})", R"("name" is missing: expected a string of 1 to 64 bytes)"},
        {R"({"type":"signal","payload":{"channel":"a","name":""}})",
         R"("name" is empty: expected a string of 1 to 64 bytes)"},
        {R"({"type":"signal","payload":{"channel":"a","name":")" + std::string(65, 'n') + R"("}})",
         R"("name" is too long: expected a string of 1 to 64 bytes)"},
        {R"({"type":"rpc","payload":{"params":1}})", R"("method" is missing: expected a string of 1 to 128 bytes)"},
        {R"({"type":"rpc","payload":{"method":")" + std::string(129, 'm') + R"("}})",
         R"("method" is too long: expected a string of 1 to 128 bytes)"},
        {R"({"type":"subscribe","payload":{"channel":"a","position":5}})",
         R"("position" is not a string: expected a string)"},
        {R"({"type":"subscribe","payload":{"channel":"a","echo":"false"}})",
         R"("echo" is not a boolean: expected true or false)"},
        {R"({"type":"subscribe","payload":{"channel":"a","echo":0}})",
         R"("echo" is not a boolean: expected true or false)"},
        {R"({"type":"Publish"})", R"(unknown type "Publish")"},
        {R"({"type":"auth"})", R"("payload" is missing: expected an object)"},
        {R"({"type":"auth","payload":{}})", R"("token" is missing: expected a string of 1 to 8192 bytes)"},
        {R"({"type":"refresh","payload":{"token":""}})", R"("token" is empty: expected a string of 1 to 8192 bytes)"},
        {R"({"type":"refresh","payload":{"token":7}})",
         R"("token" is not a string: expected a string of 1 to 8192 bytes)"},
        {R"({"type":"auth","payload":{"token":")" + std::string(8193, 't') + R"("}})",
         R"("token" is too long: expected a string of 1 to 8192 bytes)"},
        {R"({"type":"history"})", R"("payload" is missing: expected an object)"},
        {R"({"type":"history","payload":{"channel":"c","limit":0}})",
         R"("limit" is not a count: expected a whole number from 1 to 4294967295)"},
        {R"({"type":"history","payload":{"channel":"c","limit":"5"}})",
         R"("limit" is not a count: expected a whole number from 1 to 4294967295)"},
        {R"({"type":"history","payload":{"channel":"c","limit":1.5}})",
         R"("limit" is not a count: expected a whole number from 1 to 4294967295)"},
        {R"({"type":"history","payload":{"channel":"c","after":5}})", R"("after" is not a string: expected a string)"},
        {R"({"type":"presence"})", R"("payload" is missing: expected an object)"},
        {R"({"type":"presence","payload":{"channel":"c","after":5}})",
         R"("after" is not a string: expected a string of at most 64 bytes)"},
        {R"({"type":"presence","payload":{"channel":"c","limit":0}})",
         R"("limit" is not a count: expected a whole number from 1 to 4294967295)"},
    };
    for (const auto& [message, error] : kCases) {
        const Decoded d(message);
        EXPECT_EQ(d.message(), error) << message;
        if (!d.ok()) {
            EXPECT_EQ(d.error().code, Code::invalid_message);
        }
    }
}

TEST(JsonCodec, ReadsTokensOfAuthAndRefresh) {
    const std::string token(kMaxToken, 't');
    const Decoded auth(R"({"type":"auth","id":"a","payload":{"token":")" + token + R"("}})");
    ASSERT_TRUE(auth.ok()) << auth.message();
    EXPECT_EQ(std::get<command::Auth>(auth.command().body).token, token);
    const Decoded refresh(R"({"payload":{"token":"a.b\u002ec"},"type":"refresh"})");
    ASSERT_TRUE(refresh.ok()) << refresh.message();
    EXPECT_EQ(std::get<command::Refresh>(refresh.command().body).token, "a.b.c");
}

TEST(JsonCodec, AcceptsFieldsOfTheGreatestLength) {
    const std::string id(kMaxId, 'i');
    const Decoded d(R"({"type":"publish","id":")" + id + R"(","payload":{"channel":")" + std::string(255, 'c') +
                    R"(","data":1,"message_id":")" + id + R"("}})");
    ASSERT_TRUE(d.ok()) << d.message();
    EXPECT_EQ(d.command().id, id);
    EXPECT_EQ(d.body<command::Publish>().message_id, id);
    std::string escaped;  // six times as long in the text as in the meaning
    for (std::size_t i = 0; i < kMaxId; ++i) escaped += "\\u0069";
    const Decoded ping(R"({"type":"ping","id":")" + escaped + "\"}");
    ASSERT_TRUE(ping.ok()) << ping.message();
    EXPECT_EQ(ping.command().id, id);
}

TEST(JsonCodec, QuotesAtMost64BytesOfAnUnknownTypeCutBetweenCharacters) {
    std::string type = "x";
    for (int i = 0; i < 40; ++i) type += "\xc3\xa9";
    const Decoded d(R"({"type":")" + type + "\"}");
    ASSERT_FALSE(d.ok());
    EXPECT_EQ(d.message(), "unknown type \"" + type.substr(0, 63) + "\xe2\x80\xa6\"");
}

TEST(JsonCodec, AnswersAnErrorToTheIdWhereItCouldBeRead) {
    EXPECT_EQ(Decoded(R"({"type":"nothing","id":"c\u0031"})").error().id, "c1");
    EXPECT_EQ(Decoded(R"({"id":"c1","type":"publish","payload":{"channel":"a","data":tru}})").error().id, "c1");
    EXPECT_EQ(Decoded(R"({"type":"publish","payload":{"channel":"a","data":tru},"id":"c1"})").error().id, "");
    EXPECT_EQ(Decoded(R"({"type":"ping","id":5})").error().id, "");
    EXPECT_EQ(Decoded(R"({"id":")" + std::string(65, 'i') + R"(","type":tru})").error().id, "");
    EXPECT_EQ(Decoded("{\"type\":\"ping\",\"id\":\"\xff\"}").error().id, "") << "would make the answer invalid";
}

TEST(JsonCodec, ChecksJsonValuesOfAnyKind) {
    for (const char* good : {"1", " 1 ", "\"\"", "null", "[]", R"({"a":[true,false,null]})", "\t[1]\r\n", "-0.0e-0",
                             "123456789012345678901234567890", "\"\xc3\xa9 and sixteen bytes more\""}) {
        EXPECT_EQ(check_json(good), "") << good;
    }
    EXPECT_EQ(check_json("[1,]"), "not valid JSON at byte 3: expected a value");
    EXPECT_EQ(check_json(""), "not valid JSON at byte 0: expected a value");
    EXPECT_EQ(check_json("1 2"), "not valid JSON at byte 2: something follows the value");
    EXPECT_EQ(check_json(std::string_view("1\0", 2)), "not valid JSON at byte 1: something follows the value");
    EXPECT_EQ(check_json(std::string_view("\"a\0\"", 4)),
              "not valid JSON at byte 2: a control character in a string must be escaped");
}

TEST(JsonCodec, FindsEveryByteThatStopsAStringWhereverItStands) {
    // All places within and across wide words, with and without padding behind.
    for (std::size_t size = 0; size < 40; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string inside(size, 'a');
                inside[at] = static_cast<char>(byte);
                const std::string text = '"' + inside + '"';
                const bool good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                // A backslash makes an unknown escape "\a", or at the end one that eats the closing quote.
                ASSERT_EQ(check_json(text).empty(), good) << size << ' ' << at << ' ' << byte;
            }
        }
    }
}

// --- encoding --------------------------------------------------------------------------------------------------------

const WallTime kTime{std::chrono::milliseconds(1'769'862'896'789)};

TEST(JsonCodec, EncodesEveryFrameAsTheProtocolSays) {
    const struct {
        ServerFrame frame;
        const char* text;
    } kCases[] = {
        {{"", event::Established{0xc0ffee,
                                 "alice",
                                 kTime,
                                 std::chrono::seconds(30),
                                 "a",
                                 {65536, 100, 200, 1e6, 256, 512},
                                 kTime + std::chrono::seconds(60)}},
         R"({"type":"connection_established","payload":{"client_id":"0000000000c0ffee","user":"alice",)"
         R"("server_time":"2026-01-31T12:34:56.789Z","heartbeat_ms":30000,)"
         R"("limits":{"message_size":65536,"messages_per_second":100,"messages_burst":200,"bytes_per_second":1000000,)"
         R"("subscriptions":256,"pending_rpcs":512},"expires_at":"2026-01-31T12:35:56.789Z","node":"a"}})"},
        {{"", event::Established{~0ULL, "", kTime, std::chrono::milliseconds(0), "", {1, 0.5, 9, 0, 2, 3}}},
         R"({"type":"connection_established","payload":{"client_id":"ffffffffffffffff","user":"",)"
         R"("server_time":"2026-01-31T12:34:56.789Z","heartbeat_ms":0,)"
         R"("limits":{"message_size":1,"messages_per_second":0.5,"messages_burst":9,"subscriptions":2,"pending_rpcs":3}}})"},
        {{"", event::Established{1, "", kTime, std::chrono::milliseconds(0), "", {1, 0, 9, 0, 2, 3}}},
         R"({"type":"connection_established","payload":{"client_id":"0000000000000001","user":"",)"
         R"("server_time":"2026-01-31T12:34:56.789Z","heartbeat_ms":0,)"
         R"("limits":{"message_size":1,"messages_per_second":0,"subscriptions":2,"pending_rpcs":3}}})"},
        {{"c1", event::Subscribed{"chat:a", "k3f.129", true, true, 7}},
         R"({"type":"subscribed","id":"c1","payload":{"channel":"chat:a","position":"k3f.129","recovered":true,"replay":7}})"},
        {{"c1", event::Subscribed{"chat:a", "", false, true, 0}},
         R"({"type":"subscribed","id":"c1","payload":{"channel":"chat:a","position":"","recovered":false,"replay":0}})"},
        {{"c1", event::Subscribed{"chat:a", "", true, false, 0}},
         R"({"type":"subscribed","id":"c1","payload":{"channel":"chat:a","position":"","recovered":false,"replay":0}})"},
        {{"c2", event::Unsubscribed{"chat:a", std::nullopt}},
         R"({"type":"unsubscribed","id":"c2","payload":{"channel":"chat:a"}})"},
        {{"", event::Unsubscribed{"chat:a", Code::permission_denied}},
         R"({"type":"unsubscribed","payload":{"channel":"chat:a","code":4010,"reason":"permission_denied"}})"},
        {{"c3", event::Published{"m1", "k3f.130"}},
         R"({"type":"published","id":"c3","payload":{"message_id":"m1","position":"k3f.130"}})"},
        {{"c3", event::Published{}}, R"({"type":"published","id":"c3","payload":{}})"},
        {{"", event::Event{"chat:a", R"({"n":1.50,"s":"\u0061"})", "k3f.130", "m1", kTime, {"alice", 255}}},
         R"({"type":"event","payload":{"channel":"chat:a","data":{"n":1.50,"s":"\u0061"},"position":"k3f.130",)"
         R"("message_id":"m1","timestamp":"2026-01-31T12:34:56.789Z",)"
         R"("publisher":{"user":"alice","client_id":"00000000000000ff"}}})"},
        {{"", event::Event{"chat:a", "null", "k3f.130", "m1", kTime, {}}},
         R"({"type":"event","payload":{"channel":"chat:a","data":null,"position":"k3f.130",)"
         R"("message_id":"m1","timestamp":"2026-01-31T12:34:56.789Z"}})"},
        {{"", event::Signal{"chat:a", "typing", R"({"on":true})", {"alice", 1}}},
         R"({"type":"signal","payload":{"channel":"chat:a","name":"typing","data":{"on":true},)"
         R"("publisher":{"user":"alice","client_id":"0000000000000001"}}})"},
        {{"", event::Signal{"chat:a", "typing", "", {}}},
         R"({"type":"signal","payload":{"channel":"chat:a","name":"typing"}})"},
        {{"r", event::RpcResponse{"[1]"}}, R"({"type":"rpc_response","id":"r","payload":{"result":[1]}})"},
        {{"r", event::RpcResponse{""}}, R"({"type":"rpc_response","id":"r","payload":{"result":null}})"},
        {{"p", event::Pong{}}, R"({"type":"pong","id":"p","payload":{}})"},
        {{"", event::Pong{}}, R"({"type":"pong","payload":{}})"},
        {{"r", event::Refreshed{WallTime(std::chrono::milliseconds(1'700'000'000'123))}},
         R"({"type":"refreshed","id":"r","payload":{"expires_at":"2023-11-14T22:13:20.123Z"}})"},
        {{"", event::Gap{"chat:a"}}, R"({"type":"gap","payload":{"channel":"chat:a"}})"},
        {{"", event::Reconnect{std::chrono::milliseconds(1500), "shutdown"}},
         R"({"type":"reconnect","payload":{"after_ms":1500,"reason":"shutdown"}})"},
        {{"e", event::Error{Code::rate_limited, "slow down", std::chrono::milliseconds(250)}},
         R"({"type":"error","id":"e","payload":{"code":4004,"reason":"rate_limited","message":"slow down","retry_after_ms":250}})"},
        {{"", event::Error{Code::invalid_message, "unknown type \"x\""}},
         R"({"type":"error","payload":{"code":4006,"reason":"invalid_message","message":"unknown type \"x\""}})"},
    };
    for (const auto& [frame, text] : kCases) {
        EXPECT_EQ(encode(frame), text);
        EXPECT_TRUE(is_json(text)) << text;
    }
}

TEST(JsonCodec, AppendsToWhatIsThere) {
    std::string out = "before";
    JsonCodec().encode({"", event::Pong{}}, out);
    EXPECT_EQ(out, R"(before{"type":"pong","payload":{}})");
}

TEST(JsonCodec, EscapesEveryStringThatItWrites) {
    const std::string_view evil = "\"\\\x01\n</script>\xe2\x80\xa8";
    const std::string text =
        encode({evil, event::Event{evil, "1", evil, evil, kTime, {evil, 1}}}) + encode({"", event::Gap{evil}});
    EXPECT_EQ(text.find('\x01'), std::string::npos);
    EXPECT_TRUE(is_json(encode({evil, event::Event{evil, "1", evil, evil, kTime, {evil, 1}}})));
    EXPECT_TRUE(is_json(encode({evil, event::Signal{evil, evil, "1", {evil, 1}}})));
    EXPECT_TRUE(is_json(encode({evil, event::Error{Code::unknown_error, evil}})));
    EXPECT_TRUE(is_json(encode({"", event::Established{1, evil, kTime, {}, evil, {1, 1}}})));
    EXPECT_TRUE(is_json(encode({"", event::Reconnect{{}, evil}})));
    EXPECT_TRUE(is_json(encode({"", event::Published{evil, evil}})));
    EXPECT_TRUE(is_json(encode({"", event::Subscribed{evil, evil, true, true}})));
}

TEST(JsonString, EscapesWhatMustBeAndNothingElse) {
    const struct {
        std::string_view text;
        const char* json;
    } kCases[] = {
        {"", R"("")"},
        {"plain / text", R"("plain / text")"},
        {"\"\\", R"("\"\\")"},
        {"\b\f\n\r\t", R"("\b\f\n\r\t")"},
        {std::string_view("\0\x1f\x7f", 3), "\"\\u0000\\u001f\x7f\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"0123456789abcde\"0123456789abcdef\n", R"("0123456789abcde\"0123456789abcdef\n")"},
    };
    for (const auto& [text, json] : kCases) {
        std::string out;
        append_json_string(out, text);
        EXPECT_EQ(out, json);
    }
}

TEST(JsonString, ComesBackAsItWas) {
    for (std::size_t size = 0; size < 40; ++size) {
        for (int byte = 0; byte < 0x80; ++byte) {
            const std::string text = std::string(size, 'a') + static_cast<char>(byte) + std::string(size % 7, 'b');
            std::string json;
            append_json_string(json, text);
            simdjson::dom::parser parser;
            std::string_view back;
            ASSERT_EQ(parser.parse(json).get(back), simdjson::SUCCESS) << json;
            ASSERT_EQ(back, text);
        }
    }
}

// Output is gathered in blocks; whatever stands where one ends must come out as anywhere else.
TEST(JsonOutput, WritesTheSameWhereverABlockEnds) {
    const std::string_view kTail = R"(,"name":"a\"\u0001b","id":"00000000deadbeef","time":"1970-01-01T00:00:00.000Z",)"
                                   R"("n":18446744073709551615,"raw":[1,2]})";
    for (std::size_t size = 0; size < 2200; ++size) {
        const std::string text(size, 'x');
        std::string out;
        append_object(out, [&](ObjectWriter& object) {
            object.string("s", text);
            object.string("name",
                          "a\"\x01"
                          "b");
            object.hex("id", 0xdeadbeef);
            object.time("time", WallTime());
            object.number("n", UINT64_MAX);
            object.json("raw", "[1,2]");
        });
        ASSERT_EQ(out, "{\"s\":\"" + text + '"' + std::string(kTail)) << size;
    }
}

TEST(JsonString, IsEscapedWhereverABlockEnds) {
    for (std::size_t size = 0; size < 1100; ++size) {
        std::string out;
        append_json_string(out, std::string(size, 'x') + "\n\x1f\"" + std::string(size, 'y'));
        ASSERT_EQ(out, '"' + std::string(size, 'x') + R"(\n\u001f\")" + std::string(size, 'y') + '"') << size;
    }
}

TEST(Timestamp, IsRfc3339InUtcWithMilliseconds) {
    const struct {
        std::int64_t milliseconds;
        const char* text;
    } kCases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951'782'399'999, "2000-02-28T23:59:59.999Z"},
        {951'782'400'000, "2000-02-29T00:00:00.000Z"},
        {1'769'862'896'789, "2026-01-31T12:34:56.789Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {253'402'300'799'999, "9999-12-31T23:59:59.999Z"},
        {253'402'300'800'000, "9999-12-31T23:59:59.999Z"},  // no fifth digit, whatever another host's clock says
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };
    for (const auto& [milliseconds, text] : kCases) {
        std::string out;
        append_timestamp(out, WallTime(std::chrono::milliseconds(milliseconds)));
        EXPECT_EQ(out, text);
    }
}

}  // namespace
}  // namespace weft
