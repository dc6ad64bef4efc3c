#include "websocket/frame_parser.hpp"

#include <gtest/gtest.h>

#include "support/client_frames.hpp"

namespace weft::websocket {
namespace {

using namespace std::string_literals;
using test::client_frame;
using test::close_payload;
using test::feed_piece;
using test::FrameShape;
using Lines = std::vector<std::string>;

constexpr FrameShape kFragment{.final = false};
constexpr std::size_t kMaxMessage = 1 << 20;

// Reads `bytes` whole, byte by byte and in random pieces; all must say the same, which is returned.
Lines read(std::string_view bytes, std::size_t max_message = kMaxMessage) {
    const auto whole = test::read_whole(bytes, max_message);
    const auto bytewise = test::read_bytewise(bytes, max_message);
    EXPECT_EQ(whole.lines, bytewise.lines) << "whole and byte by byte differ";
    EXPECT_EQ(whole.mid_message, bytewise.mid_message);
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        const auto pieces = test::read_in_random_pieces(bytes, seed, max_message);
        EXPECT_EQ(whole.lines, pieces.lines) << "whole and the pieces of seed " << seed << " differ";
        EXPECT_EQ(whole.mid_message, pieces.mid_message) << "seed " << seed;
    }
    return whole.lines;
}

std::string violation(Close code, std::string_view why) {
    return "violation:" + std::to_string(static_cast<int>(code)) + ":" + std::string(why);
}

// --- what is right ----------------------------------------------------------------------------------------------

TEST(FrameParser, ReadsTheExamplesOfTheRfc) {  // §5.7, in a client's masked form
    EXPECT_EQ(read("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"s), Lines{"text:Hello"});
    EXPECT_EQ(read("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"s), Lines{"pong:Hello"});
    EXPECT_EQ(read(client_frame(1, "Hel", kFragment) + client_frame(0, "lo")), Lines{"text:Hello"});
    EXPECT_EQ(read(client_frame(2, std::string(256, 'b'))), Lines{"binary:" + std::string(256, 'b')});
    EXPECT_EQ(read(client_frame(2, std::string(65536, 'B'))), Lines{"binary:" + std::string(65536, 'B')});
}

TEST(FrameParser, ReadsPayloadsAtEveryBorderOfTheLengthForms) {
    for (const std::size_t size : {0, 1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 124, 125, 126, 127, 65534, 65535, 65536}) {
        std::string payload(size, '\0');
        for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(i * 7 + size);
        SCOPED_TRACE(size);
        EXPECT_EQ(read(client_frame(2, payload)), Lines{"binary:" + payload});
    }
}

TEST(FrameParser, UnmasksWithEveryKey) {
    const std::string payload = "The quick brown fox jumps over the lazy dog, 0123456789 times.";
    for (const auto& key : {"\0\0\0\0"s, "\xff\xff\xff\xff"s, "\x01\x02\x03\x04"s, "\x80\0\0\0"s, "\0\0\0\x80"s}) {
        EXPECT_EQ(read(client_frame(1, payload, {.key = key})), Lines{"text:" + payload});
    }
}

TEST(FrameParser, ReadsSeveralFramesOfOneRead) {
    EXPECT_EQ(read(client_frame(1, "one") + client_frame(2, "\x80\xff") + client_frame(9, "p") + client_frame(1, "")),
              (Lines{"text:one", "binary:\x80\xff", "ping:p", "text:"}));
}

TEST(FrameParser, JoinsFragments) {  // §5.4
    const struct {
        std::string bytes;
        Lines lines;
    } cases[] = {
        {client_frame(1, "a", kFragment) + client_frame(0, "b", kFragment) + client_frame(0, "c"), {"text:abc"}},
        {client_frame(2, "a", kFragment) + client_frame(0, "b"), {"binary:ab"}},
        {client_frame(1, "", kFragment) + client_frame(0, "", kFragment) + client_frame(0, ""), {"text:"}},
        {client_frame(1, "", kFragment) + client_frame(0, "all at the end"), {"text:all at the end"}},
        {client_frame(1, "all at the beginning", kFragment) + client_frame(0, ""), {"text:all at the beginning"}},
        {client_frame(1, std::string(300, 'x'), kFragment) + client_frame(0, std::string(70000, 'y')),
         {"text:" + std::string(300, 'x') + std::string(70000, 'y')}},
        // A character may lie across fragments.
        {client_frame(1, "\xe2", kFragment) + client_frame(0, "\x82", kFragment) + client_frame(0, "\xac"),
         {"text:\xe2\x82\xac"}},
        // The state of one message doesn't reach the next.
        {client_frame(1, "a", kFragment) + client_frame(0, "b") + client_frame(2, "\xff", kFragment) +
             client_frame(0, "\xfe") + client_frame(1, "c"),
         {"text:ab", "binary:\xff\xfe", "text:c"}},
    };
    for (const auto& c : cases) EXPECT_EQ(read(c.bytes), c.lines);
}

TEST(FrameParser, TakesControlFramesInTheMiddleOfAFragmentedMessage) {  // §5.4, §5.5
    const std::string long_ping(125, 'p');
    EXPECT_EQ(read(client_frame(1, "Hel", kFragment) + client_frame(9, long_ping) + client_frame(10, "") +
                   client_frame(0, "", kFragment) + client_frame(9, "") + client_frame(0, "lo") + client_frame(9, "x")),
              (Lines{"ping:" + long_ping, "pong:", "ping:", "text:Hello", "ping:x"}));
    EXPECT_EQ(read(client_frame(1, "\xe2\x82", kFragment) + client_frame(9, "\xff") + client_frame(0, "\xac")),
              (Lines{"ping:\xff", "text:\xe2\x82\xac"}));
    EXPECT_EQ(read(client_frame(2, "half", kFragment) + client_frame(8, close_payload(1001, "going"))),
              Lines{"close:1001:going"});
}

TEST(FrameParser, TakesControlFramesOfUpTo125Bytes) {  // §5.5
    for (const std::size_t size : {0, 1, 124, 125}) {
        EXPECT_EQ(read(client_frame(9, std::string(size, 'i'))), Lines{"ping:" + std::string(size, 'i')});
        EXPECT_EQ(read(client_frame(10, std::string(size, 'o'))), Lines{"pong:" + std::string(size, 'o')});
    }
}

TEST(FrameParser, TakesCloseFrames) {  // §5.5.1, §7.4
    EXPECT_EQ(read(client_frame(8, "")), Lines{"close"});
    EXPECT_EQ(read(client_frame(8, close_payload(1000, std::string(123, 'r')))),
              Lines{"close:1000:" + std::string(123, 'r')});
    EXPECT_EQ(read(client_frame(8, close_payload(1000, "gr\xc3\xbc\xc3\x9f"))), Lines{"close:1000:gr\xc3\xbc\xc3\x9f"});
    for (const int code :
         {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4001, 4014, 4999}) {
        EXPECT_EQ(read(client_frame(8, close_payload(static_cast<std::uint16_t>(code)))),
                  Lines{"close:" + std::to_string(code) + ":"});
    }
}

// --- what is a violation ----------------------------------------------------------------------------------------

TEST(FrameParser, RefusesReservedBits) {  // §5.2
    for (const std::uint8_t bits : {0x40, 0x20, 0x10, 0x70}) {
        for (const std::uint8_t opcode : {1, 2, 9}) {
            EXPECT_EQ(read(client_frame(opcode, "x", {.reserved = bits})),
                      Lines{violation(Close::protocol_error, "a reserved bit is set")});
        }
    }
}

TEST(FrameParser, RefusesReservedOpcodes) {  // §5.2
    for (const std::uint8_t opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
        EXPECT_EQ(read(client_frame(1, "before") + client_frame(opcode, "")),
                  (Lines{"text:before", violation(Close::protocol_error, "the opcode is reserved")}));
    }
}

TEST(FrameParser, RefusesUnmaskedFrames) {  // §5.1
    for (const std::uint8_t opcode : {1, 2, 8, 9, 10}) {
        EXPECT_EQ(read(client_frame(opcode, "", {.masked = false})),
                  Lines{violation(Close::protocol_error, "a client's frame must be masked")});
    }
    EXPECT_EQ(read("\x81\x05\x48\x65\x6c\x6c\x6f"s),  // §5.7
              Lines{violation(Close::protocol_error, "a client's frame must be masked")});
}

TEST(FrameParser, RefusesLengthsThatAreNotInTheirShortestForm) {  // §5.2
    const auto expected = Lines{violation(Close::protocol_error, "a length isn't written in its shortest form")};
    for (const auto& length : {"\xfe\x00\x00"s, "\xfe\x00\x7d"s, "\xff\0\0\0\0\0\0\0\0"s, "\xff\0\0\0\0\0\0\0\x7d"s,
                               "\xff\0\0\0\0\0\0\xff\xff"s}) {
        EXPECT_EQ(read("\x82" + length + std::string(200, 'k')), expected);
    }
    EXPECT_EQ(read("\x82\xfe\0\x7e"s + "\0\0\0\0"s + std::string(126, 'v')), Lines{"binary:" + std::string(126, 'v')});
}

TEST(FrameParser, RefusesLengthsWithTheirHighestBitSet) {  // §5.2
    for (const std::size_t max_message : {kMaxMessage, SIZE_MAX}) {
        EXPECT_EQ(read("\x82\xff\x80\0\0\0\0\x01\0\0abcd"s, max_message),
                  Lines{violation(Close::protocol_error, "a length has its highest bit set")});
    }
}

TEST(FrameParser, RefusesFragmentsOutOfPlace) {  // §5.4
    const auto nothing = violation(Close::protocol_error, "a continuation continues no message");
    const auto inside = violation(Close::protocol_error, "a message begins inside a fragmented one");
    EXPECT_EQ(read(client_frame(0, "x")), Lines{nothing});
    EXPECT_EQ(read(client_frame(0, "x", kFragment)), Lines{nothing});
    EXPECT_EQ(read(client_frame(1, "x") + client_frame(0, "y")), (Lines{"text:x", nothing}));
    EXPECT_EQ(read(client_frame(1, "x", kFragment) + client_frame(0, "y") + client_frame(0, "z")),
              (Lines{"text:xy", nothing}));
    EXPECT_EQ(read(client_frame(1, "x", kFragment) + client_frame(1, "y")), Lines{inside});
    EXPECT_EQ(read(client_frame(1, "", kFragment) + client_frame(2, "y", kFragment)), Lines{inside});
}

TEST(FrameParser, RefusesFragmentedControlFrames) {  // §5.5
    for (const std::uint8_t opcode : {8, 9, 10}) {
        EXPECT_EQ(read(client_frame(opcode, "", kFragment)),
                  Lines{violation(Close::protocol_error, "a control frame is fragmented")});
    }
}

TEST(FrameParser, RejectsAControlFrameLongerThan125Bytes) {  // §5.5
    for (const std::uint8_t opcode : {8, 9, 10}) {
        for (const std::size_t size : {126, 65536}) {
            EXPECT_EQ(read(client_frame(opcode, std::string(size, 'x'))),
                      Lines{violation(Close::protocol_error, "a control frame is longer than 125 bytes")});
        }
    }
}

TEST(FrameParser, RefusesCloseFramesThatAreNotWellFormed) {  // §5.5.1, §7.4
    EXPECT_EQ(read(client_frame(8, "\x03")),
              Lines{violation(Close::protocol_error, "a close frame holds half a code")});
    for (const int code : {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
        SCOPED_TRACE(code);
        EXPECT_EQ(read(client_frame(8, close_payload(static_cast<std::uint16_t>(code), "why"))),
                  Lines{violation(Close::protocol_error, "a close frame holds a code that can't be sent")});
    }
    for (const auto& reason : {"\xff"s, "bye\xc3"s, "\xed\xa0\x80"s}) {
        EXPECT_EQ(read(client_frame(8, close_payload(1000, reason))),
                  Lines{violation(Close::invalid_payload, "a close frame's reason isn't UTF-8")});
    }
}

TEST(FrameParser, RefusesTextThatIsNotUtf8) {  // §8.1
    const auto invalid = violation(Close::invalid_payload, "a text message isn't UTF-8");
    const auto unfinished = violation(Close::invalid_payload, "a text message ends inside a character");
    const auto bad = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64"s;
    EXPECT_EQ(read(client_frame(1, bad)), Lines{invalid});
    EXPECT_EQ(read(client_frame(2, bad)), Lines{"binary:" + bad});
    EXPECT_EQ(read(client_frame(1, std::string(1000, 'a') + "\x80")), Lines{invalid});
    EXPECT_EQ(read(client_frame(1, "\xf4\x90", kFragment) + client_frame(0, "\x80\x80")), Lines{invalid});
    EXPECT_EQ(read(client_frame(1, "\xe2\x82", kFragment) + client_frame(0, "a")), Lines{invalid});
    EXPECT_EQ(read(client_frame(1, "\xe2\x82")), Lines{unfinished});
    EXPECT_EQ(read(client_frame(1, "\xe2\x82", kFragment) + client_frame(0, "")), Lines{unfinished});
    EXPECT_EQ(read(client_frame(1, "good") + client_frame(1, "\xc0\xaf")), (Lines{"text:good", invalid}));
}

TEST(FrameParser, RefusesAMessageThatIsTooBig) {
    const auto too_big = violation(Close::message_too_big, "the message is too big");
    const std::string fits(1000, 'f');
    EXPECT_EQ(read(client_frame(1, fits), 1000), Lines{"text:" + fits});
    EXPECT_EQ(read(client_frame(1, fits), 999), Lines{too_big});
    EXPECT_EQ(read(client_frame(1, fits.substr(1), kFragment) + client_frame(0, "f"), 1000), Lines{"text:" + fits});
    EXPECT_EQ(read(client_frame(1, fits, kFragment) + client_frame(9, fits.substr(900)) + client_frame(0, "f"), 1000),
              (Lines{"ping:" + fits.substr(900), too_big}));
    EXPECT_EQ(read(client_frame(1, "x"), 0), Lines{too_big});
    EXPECT_EQ(read(client_frame(9, "control frames have their own bound") + client_frame(1, ""), 0),
              (Lines{"ping:control frames have their own bound", "text:"}));
    EXPECT_EQ(read("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"s, SIZE_MAX / 2 - 1), Lines{too_big});
}

TEST(FrameParser, KeepsToALimitThatShrinksHalfWayThroughAMessage) {
    FrameParser parser;
    test::Recorder recorder;
    ASSERT_FALSE(feed_piece(parser, client_frame(1, "hundred", kFragment), 100, recorder));
    const auto violation = feed_piece(parser, client_frame(0, ""), 3, recorder);
    ASSERT_TRUE(violation);
    EXPECT_EQ(violation->code, Close::message_too_big);
}

TEST(FrameParser, FindsEachViolationAtTheFirstByteThatShowsIt) {
    const struct {
        const char* what;
        std::string bytes;
        std::size_t at;  // bytes read when it is found
    } cases[] = {
        {"reserved bit", client_frame(1, "x", {.reserved = 0x40}), 1},
        {"reserved opcode", client_frame(3, "x"), 1},
        {"fragmented control frame", client_frame(9, "x", kFragment), 1},
        {"continuation of nothing", client_frame(0, "x"), 1},
        {"message inside a message", client_frame(1, "x", kFragment) + client_frame(1, "x"), 7 + 1},
        {"unmasked", client_frame(1, "x", {.masked = false}), 2},
        {"long control frame", client_frame(9, std::string(126, 'x')), 2},
        {"half a close code", client_frame(8, "x"), 2},
        {"short message too big", client_frame(1, std::string(101, 'x')), 2},
        {"message too big", client_frame(1, std::string(200, 'x')), 4},
        {"long message too big", client_frame(1, std::string(70000, 'x')), 10},
        {"long form of a length", "\x82\xfe\x00\x01\0\0\0\0x"s, 4},
        {"close code", client_frame(8, close_payload(1006, "reason")), 8},
        {"close reason", client_frame(8, close_payload(1000, "a\xff reason")), 10},
        {"byte that is never UTF-8", client_frame(1, "ab\xff text"), 9},
        {"overlong form", client_frame(1, "ab\xe0\x80\x80 text"), 10},
        {"surrogate", client_frame(1, "ab\xed\xa0\x80 text"), 10},
        {"beyond U+10FFFF", client_frame(1, "ab\xf4\x90\x80\x80 text"), 10},
        {"UTF-8 across fragments", client_frame(1, "\xe2", kFragment) + client_frame(0, "ab"), 7 + 7},
        {"character cut off", client_frame(1, "a\xe2\x82") + "more", 9},
    };
    for (const auto& c : cases) {
        const auto reading = test::read_bytewise(c.bytes, 100);
        ASSERT_FALSE(reading.lines.empty()) << c.what;
        EXPECT_TRUE(reading.lines.back().starts_with("violation:")) << c.what << ": " << reading.lines.back();
        EXPECT_EQ(reading.fed, c.at) << c.what;
    }
}

TEST(FrameParser, SaysReasonsThatFitACloseFrame) {
    for (const auto& bytes : {client_frame(3, ""), client_frame(0, ""), client_frame(1, "\xff"),
                              client_frame(8, close_payload(1006)), client_frame(1, "x", {.masked = false})}) {
        FrameParser parser;
        test::Recorder recorder;
        const auto violation = feed_piece(parser, bytes, kMaxMessage, recorder);
        ASSERT_TRUE(violation);
        EXPECT_FALSE(violation->why.empty());
        EXPECT_LE(violation->why.size(), 123U);
    }
}

// --- compressed messages, RFC 7692 ------------------------------------------------------------------------------

constexpr FrameShape kCompressed{.reserved = 0x40};
constexpr FrameShape kCompressedFragment{.final = false, .reserved = 0x40};

// The same as read(), where permessage-deflate was agreed.
Lines read_deflate(std::string_view bytes, std::size_t max_message = kMaxMessage) {
    const auto whole = test::read_whole(bytes, max_message, true);
    EXPECT_EQ(whole.lines, test::read_bytewise(bytes, max_message, true).lines) << "whole and byte by byte differ";
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        EXPECT_EQ(whole.lines, test::read_in_random_pieces(bytes, seed, max_message, true).lines) << "seed " << seed;
    }
    return whole.lines;
}

TEST(FrameParser, HandsOutCompressedMessagesAsTheyCame) {
    const struct {
        std::string bytes;
        Lines lines;
    } cases[] = {
        {client_frame(1, "\xf2\x48\xcd\xc9\xc9\x07\x00"s, kCompressed),
         {"compressed text:\xf2\x48\xcd\xc9\xc9\x07\x00"s}},  // §7.2.3.1
        {client_frame(1, "\xf2\x48\xcd", kCompressedFragment) + client_frame(0, "\xc9\xc9\x07\x00"s),
         {"compressed text:\xf2\x48\xcd\xc9\xc9\x07\x00"s}},
        {client_frame(2, "", kCompressed), {"compressed binary:"}},
        {client_frame(2, "", kCompressedFragment) + client_frame(0, "", kFragment) + client_frame(0, ""),
         {"compressed binary:"}},
        {client_frame(2, "a", kCompressedFragment) + client_frame(9, "p") + client_frame(0, "b"),
         {"ping:p", "compressed binary:ab"}},
        {client_frame(1, "plain") + client_frame(1, "\xff", kCompressed) + client_frame(1, "plain again"),
         {"text:plain", "compressed text:\xff", "text:plain again"}},
        {client_frame(1, "\xff", kCompressedFragment) + client_frame(0, "\xfe") + client_frame(1, "\xff"),
         {"compressed text:\xff\xfe", violation(Close::invalid_payload, "a text message isn't UTF-8")}},
    };
    for (const auto& [bytes, lines] : cases) EXPECT_EQ(read_deflate(bytes), lines);
}

TEST(FrameParser, TakesRsv1OnlyWhereAMessageBeginsAndOnlyIfAgreed) {  // RFC 7692 §6
    const Lines reserved{violation(Close::protocol_error, "a reserved bit is set")};
    for (const std::uint8_t opcode : {0, 8, 9, 10}) {
        EXPECT_EQ(read_deflate(client_frame(opcode, "", kCompressed)), reserved) << int{opcode};
    }
    EXPECT_EQ(read_deflate(client_frame(1, "a", kCompressedFragment) + client_frame(0, "b", kCompressed)), reserved);
    EXPECT_EQ(read_deflate(client_frame(1, "a", kFragment) + client_frame(0, "b", kCompressed)), reserved);
    for (const std::uint8_t bits : {0x10, 0x20, 0x30, 0x50, 0x60, 0x70}) {
        EXPECT_EQ(read_deflate(client_frame(1, "a", {.reserved = bits})), reserved) << int{bits};
    }
    EXPECT_EQ(read(client_frame(1, "a", kCompressed)), reserved);
    EXPECT_EQ(read(client_frame(2, "a", kCompressedFragment)), reserved);
}

TEST(FrameParser, BoundsACompressedMessageByWhatItMayInflateTo) {
    constexpr std::size_t kMost = 1000;
    constexpr std::size_t kMostCompressed = 1000 + 125 + 64;
    const Lines too_big{violation(Close::message_too_big, "the message is too big")};
    EXPECT_EQ(read_deflate(client_frame(2, std::string(kMostCompressed, 'c'), kCompressed), kMost),
              Lines{"compressed binary:" + std::string(kMostCompressed, 'c')});
    EXPECT_EQ(read_deflate(client_frame(2, std::string(kMostCompressed + 1, 'c'), kCompressed), kMost), too_big);
    const std::string most = client_frame(2, std::string(600, 'c'), kCompressedFragment) +
                             client_frame(0, std::string(kMostCompressed - 601, 'c'), kFragment);
    EXPECT_EQ(read_deflate(most + client_frame(0, "c"), kMost),
              Lines{"compressed binary:" + std::string(kMostCompressed, 'c')});
    EXPECT_EQ(read_deflate(most + client_frame(0, "cc"), kMost), too_big);
    EXPECT_EQ(read_deflate(client_frame(2, std::string(kMost + 1, 'p')), kMost), too_big) << "not compressed";
}

// --- memory and lifetime ----------------------------------------------------------------------------------------

// Says where messages lie.
class Locator : public FrameParser::Sink {
public:
    std::vector<const char*> places;
    bool on_message(Opcode, std::string_view message) override { return note(message); }
    bool on_compressed(Opcode, std::string_view compressed) override { return note(compressed); }
    bool on_ping(std::string_view payload) override { return note(payload); }
    bool on_pong(std::string_view payload) override { return note(payload); }
    bool on_close(std::optional<std::uint16_t>, std::string_view reason) override { return note(reason); }

private:
    bool note(std::string_view bytes) {
        places.push_back(bytes.data());
        return true;
    }
};

TEST(FrameParser, HandsOutAMessageOfOnePieceWhereItLies) {
    const auto first = client_frame(1, "first");
    std::string bytes = first + client_frame(9, "ping") + client_frame(2, std::string(500, 'b'));
    const auto size = bytes.size();
    bytes.resize(size + kPadding);
    FrameParser parser;
    Locator locator;
    ASSERT_FALSE(parser.feed({bytes.data(), size}, kMaxMessage, locator));
    const auto* const start = bytes.data();
    EXPECT_EQ(locator.places,
              (std::vector<const char*>{start + 6, start + first.size() + 6, start + first.size() + 10 + 8}));
    EXPECT_EQ(parser.buffered(), 0U);
}

TEST(FrameParser, HandsOutAMessageWhereItLiesThoughItsHeaderCameBefore) {
    for (const std::size_t header : {1U, 4U, 6U}) {
        const auto frame = client_frame(1, "payload");
        FrameParser parser;
        Locator locator;
        auto head = frame.substr(0, header) + std::string(kPadding, '\0');
        ASSERT_FALSE(parser.feed({head.data(), header}, kMaxMessage, locator));
        EXPECT_TRUE(parser.mid_message());
        auto tail = frame.substr(header) + std::string(kPadding, '\0');
        ASSERT_FALSE(parser.feed({tail.data(), frame.size() - header}, kMaxMessage, locator));
        EXPECT_EQ(locator.places, std::vector<const char*>{tail.data() + (6 - header)});
        EXPECT_FALSE(parser.mid_message());
        EXPECT_EQ(parser.buffered(), 0U);
    }
}

TEST(FrameParser, HoldsNoMemoryBetweenMessages) {
    const std::string conversation = client_frame(1, std::string(5000, 'a'), kFragment) + client_frame(9, "ping") +
                                     client_frame(0, std::string(5000, 'b')) + client_frame(10, "pong") +
                                     client_frame(2, "whole");
    FrameParser parser;
    test::Recorder recorder;
    EXPECT_FALSE(parser.mid_message());
    for (const char& byte : conversation) {
        ASSERT_FALSE(feed_piece(parser, {&byte, 1}, kMaxMessage, recorder));
        EXPECT_EQ(parser.mid_message(), parser.buffered() > 0);
    }
    EXPECT_EQ(recorder.lines.size(), 4U);
    EXPECT_FALSE(parser.mid_message());
    EXPECT_EQ(parser.buffered(), 0U);
}

TEST(FrameParser, BuffersInProportionToWhatCameNotToWhatWasAnnounced) {
    const auto frame = client_frame(2, std::string(1 << 20, 'x'));
    FrameParser parser;
    test::Recorder recorder;
    ASSERT_FALSE(feed_piece(parser, frame.substr(0, 14 + 10), kMaxMessage, recorder));
    EXPECT_LT(parser.buffered(), 512U);
    std::size_t fed = 14 + 10;
    while (fed + 1000 < frame.size()) {
        ASSERT_FALSE(feed_piece(parser, std::string_view(frame).substr(fed, 1000), kMaxMessage, recorder));
        fed += 1000;
        ASSERT_LT(parser.buffered(), 2 * fed + 512);
        ASSERT_LT(parser.buffered(), frame.size() + 512);
    }
}

TEST(FrameParser, CutsNothingFromAMessageWhenASplitControlFrameIsBufferedBehindIt) {
    const std::string ping(125, 'p');
    const auto frames = client_frame(1, "beginning ", kFragment) + client_frame(9, ping) + client_frame(0, "end");
    for (std::size_t cut = 17; cut < frames.size(); ++cut) {
        bool second = false;
        const auto reading =
            test::read_frames(frames, kMaxMessage, [&] { return std::exchange(second, true) ? frames.size() : cut; });
        EXPECT_EQ(reading.lines, (Lines{"ping:" + ping, "text:beginning end"})) << "cut at " << cut;
    }
}

TEST(FrameParser, StopsWhenTheSinkSaysSo) {
    const auto frames = client_frame(1, "one") + client_frame(9, "two") + client_frame(10, "three") +
                        client_frame(1, "fo", kFragment) + client_frame(0, "ur") + client_frame(8, "") +
                        client_frame(3, "a violation that nobody gets to see");
    const Lines all{"text:one", "ping:two", "pong:three", "text:four", "close"};
    for (std::size_t calls = 1; calls <= all.size(); ++calls) {
        const Lines expected(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(calls));
        EXPECT_EQ(test::read_frames(
                      frames, kMaxMessage, [&] { return frames.size(); }, calls)
                      .lines,
                  expected);
        EXPECT_EQ(test::read_frames(
                      frames, kMaxMessage, [] { return 1; }, calls)
                      .lines,
                  expected);
    }
}

TEST(FrameParser, MayBeDestroyedByItsSink) {
    struct Destroyer : FrameParser::Sink {
        std::unique_ptr<FrameParser> parser = std::make_unique<FrameParser>();
        std::string got;
        bool end(std::string_view bytes) {
            parser.reset();
            got = bytes;  // what was handed out is still there
            return false;
        }
        bool on_message(Opcode, std::string_view message) override { return end(message); }
        bool on_compressed(Opcode, std::string_view compressed) override { return end(compressed); }
        bool on_ping(std::string_view) override { return true; }
        bool on_pong(std::string_view payload) override { return end(payload); }
        bool on_close(std::optional<std::uint16_t>, std::string_view reason) override { return end(reason); }
    };
    const auto rest = client_frame(1, "never read");
    for (const auto& frames : {client_frame(1, "bytes"), client_frame(1, "by", kFragment) + client_frame(0, "tes"),
                               client_frame(10, "bytes"), client_frame(8, close_payload(1000, "bytes"))}) {
        for (const std::size_t first : {frames.size() + rest.size(), frames.size() - 2}) {
            Destroyer sink;
            const auto all = frames + rest;
            EXPECT_FALSE(feed_piece(*sink.parser, all.substr(0, first), kMaxMessage, sink));
            if (sink.parser) {
                EXPECT_FALSE(feed_piece(*sink.parser, all.substr(first), kMaxMessage, sink));
            }
            EXPECT_EQ(sink.got, "bytes");
        }
    }
}

TEST(FrameParser, GoesOnAfterItWasMoved) {
    const auto frames = client_frame(1, "half of ", kFragment) + client_frame(0, "a message");
    FrameParser first;
    test::Recorder recorder;
    ASSERT_FALSE(feed_piece(first, frames.substr(0, 18), kMaxMessage, recorder));
    FrameParser second = std::move(first);
    ASSERT_FALSE(feed_piece(second, frames.substr(18), kMaxMessage, recorder));
    EXPECT_EQ(recorder.lines, Lines{"text:half of a message"});
}

// --- at random --------------------------------------------------------------------------------------------------

TEST(FrameParser, ReadsWhatWasSentHoweverItIsFragmentedAndSplit) {
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(seed);
        std::minstd_rand random(seed);
        const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
        std::string bytes;
        Lines expected;
        for (int message = 0; message < 20; ++message) {
            const bool text = below(2) == 0;
            std::string payload;
            for (auto left = below(std::size_t{1} << below(12)); left > 0; --left) {
                payload += text ? std::array{"a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}[below(4)]
                                : std::string(1, static_cast<char>(below(256)));
            }
            std::string_view rest = payload;
            std::uint8_t opcode = text ? 1 : 2;
            for (bool final = false; !final; opcode = 0) {
                const auto piece = below(3) == 0 ? below(rest.size() + 1) : rest.size();
                final = piece == rest.size() && below(4) > 0;
                const std::string key{static_cast<char>(below(256)), static_cast<char>(below(256)),
                                      static_cast<char>(below(256)), static_cast<char>(below(256))};
                bytes += client_frame(opcode, rest.substr(0, piece), {.final = final, .key = key});
                rest.remove_prefix(piece);
                if (!final && below(3) == 0) {
                    const std::string ping(below(126), 'p');
                    bytes += client_frame(9, ping);
                    expected.push_back("ping:" + ping);
                }
            }
            expected.push_back((text ? "text:" : "binary:") + payload);
        }
        EXPECT_EQ(read(bytes), expected);
    }
}

}  // namespace
}  // namespace weft::websocket
