#include "websocket/frame_writer.hpp"

#include <gtest/gtest.h>

#include "websocket/utf8.hpp"

namespace weft::websocket {
namespace {

using namespace std::string_literals;

TEST(FrameWriter, WritesTheExamplesOfTheRfc) {  // §5.7
    std::string out;
    append_frame(out, Opcode::text, "Hello");
    EXPECT_EQ(out, "\x81\x05Hello");
    out.clear();
    append_frame(out, Opcode::ping, "Hello");
    EXPECT_EQ(out, "\x89\x05Hello");
    out.clear();
    append_frame(out, Opcode::binary, std::string(256, 'b'));
    EXPECT_EQ(out, "\x82\x7e\x01\x00"s + std::string(256, 'b'));
    out.clear();
    append_frame(out, Opcode::binary, std::string(65536, 'B'));
    EXPECT_EQ(out, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s + std::string(65536, 'B'));
}

TEST(FrameWriter, SetsRsv1OnCompressedMessages) {  // RFC 7692 §6
    std::string out;
    append_frame(out, Opcode::text, "\xf2\x48\xcd\xc9\xc9\x07\x00"s, true);
    EXPECT_EQ(out, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"s);
    out.clear();
    append_frame(out, Opcode::binary, std::string(300, 'b'), true);
    EXPECT_EQ(out.substr(0, 4), "\xc2\x7e\x01\x2c"s);
}

TEST(FrameWriter, WritesAMessageCompressedOnlyIfItGetsSmaller) {
    Deflater deflater({.min_size = 50}, false);
    std::string storage;
    const struct {
        std::string message;
        bool compressed;
    } cases[] = {
        {std::string(49, 'a'), false}, {std::string(50, 'a'), true}, {"", false}, {std::string(70'000, 'a'), true}};
    for (const auto& [message, compressed] : cases) {
        std::string out = "before";
        EXPECT_EQ(append_message(out, Opcode::text, message, deflater, storage), compressed);
        EXPECT_EQ(out.substr(0, 6), "before");
        EXPECT_EQ(out[6], compressed ? '\xc1' : '\x81');
        if (!compressed) {
            std::string plain;
            append_frame(plain, Opcode::text, message);
            EXPECT_EQ(out.substr(6), plain);
        } else {
            EXPECT_LT(out.size(), message.size());
        }
    }
}

TEST(FrameWriter, TakesOffWhatItWrote) {
    std::string out;
    const std::size_t sizes[] = {0, 1, 125, 126, 65'535, 65'536};
    for (const std::size_t size : sizes) append_frame(out, Opcode::text, std::string(size, 't'));
    append_frame(out, Opcode::binary, "last");
    std::string_view rest = out;
    for (const std::size_t size : sizes) {
        const auto frame = take_frame(rest);
        EXPECT_EQ(frame.opcode, Opcode::text);
        EXPECT_EQ(frame.payload, std::string(size, 't'));
    }
    const auto last = take_frame(rest);
    EXPECT_EQ(last.opcode, Opcode::binary);
    EXPECT_EQ(last.payload, "last");
    EXPECT_TRUE(rest.empty());
}

TEST(FrameWriter, WritesEachLengthInItsShortestForm) {  // §5.2
    const struct {
        std::size_t payload;
        std::string header;
    } cases[] = {
        {0, "\x81\x00"s},
        {125, "\x81\x7d"s},
        {126, "\x81\x7e\x00\x7e"s},
        {65535, "\x81\x7e\xff\xff"s},
        {65536, "\x81\x7f\0\0\0\0\0\x01\0\0"s},
        {0x0123456789ABCDEF, "\x81\x7f\x01\x23\x45\x67\x89\xab\xcd\xef"s},
    };
    for (const auto& c : cases) {
        std::string out(kMaxHeader, '?');
        out.resize(write_header(out.data(), Opcode::text, c.payload));
        EXPECT_EQ(out, c.header) << c.payload;
    }
}

TEST(FrameWriter, TouchesNothingBehindTheHeader) {
    std::string out(kMaxHeader, '?');
    ASSERT_EQ(write_header(out.data(), Opcode::pong, 5), 2U);
    EXPECT_EQ(out, "\x8a\x05????????");
}

TEST(FrameWriter, AppendsBehindWhatIsThere) {
    std::string out = "before";
    append_frame(out, Opcode::pong, "");
    append_close(out, 1000, "");
    EXPECT_EQ(out, "before\x8a\x00\x88\x02\x03\xe8"s);
}

TEST(FrameWriter, WritesTheCodeOfACloseFrameInNetworkOrder) {  // §5.5.1
    std::string out;
    append_close(out, 4014, "slow_consumer");
    EXPECT_EQ(out, "\x88\x0f\x0f\xaeslow_consumer");
}

TEST(FrameWriter, CutsACloseReasonAtTheBorderOfACharacter) {  // §5.5: a control frame has at most 125 bytes
    const struct {
        std::string reason;
        std::size_t kept;
    } cases[] = {
        {std::string(123, 'a'), 123},
        {std::string(124, 'a'), 123},
        {std::string(121, 'a') + "\xc3\xbc", 123},
        {std::string(122, 'a') + "\xc3\xbc", 122},
        {std::string(121, 'a') + "\xe2\x82\xac", 121},
        {std::string(120, 'a') + "\xe2\x82\xac", 123},
        {std::string(120, 'a') + "\xf0\x9f\x98\x80", 120},
        {std::string(123, 'a') + "\xf0\x9f\x98\x80", 123},
        {std::string(1000, '\x80'), 0},  // no character begins at all
    };
    for (const auto& c : cases) {
        std::string out;
        append_close(out, 1000, c.reason);
        EXPECT_EQ(out,
                  "\x88" + std::string(1, static_cast<char>(2 + c.kept)) + "\x03\xe8" + c.reason.substr(0, c.kept));
    }
}

}  // namespace
}  // namespace weft::websocket
