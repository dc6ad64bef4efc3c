#include "move/fd_frame.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace weft {
namespace {

std::string framed(std::string_view payload, bool with_fd = false) {
    const auto head = FdFrame::head(payload.size(), with_fd);
    return std::string(head.data(), head.size()).append(payload);
}

void feed(FdFrameParser& parser, std::string_view bytes) {
    const auto room = parser.room();
    ASSERT_GE(room.size(), FdFrameParser::kMinRoom);
    ASSERT_LE(bytes.size(), room.size());
    std::memcpy(room.data(), bytes.data(), bytes.size());
    parser.filled(bytes.size());
}

TEST(FdFrame, HasItsLengthInBigEndianAndThenTheFlag) {
    EXPECT_EQ(framed("abc", true), std::string("\0\0\0\x03\x01"
                                               "abc",
                                               8));
    const auto head = FdFrame::head(0x123456, false);
    EXPECT_EQ(std::string(head.data(), head.size()), std::string("\0\x12\x34\x56\0", 5));
}

TEST(FdFrameParser, GivesWhatWasFramedHoweverItIsCut) {
    const std::string stream = framed("one") + framed("", true) + framed(std::string(300, 'x'), true) + framed("four");
    for (std::size_t cut = 1; cut <= stream.size(); ++cut) {
        FdFrameParser parser;
        std::string got;
        for (std::size_t at = 0; at < stream.size(); at += cut) {
            feed(parser, std::string_view(stream).substr(at, cut));
            for (;;) {
                const auto frame = parser.next();
                ASSERT_TRUE(frame) << frame.error();
                if (!*frame) break;
                got += framed((*frame)->payload, (*frame)->with_fd);
            }
        }
        EXPECT_EQ(got, stream) << "pieces of " << cut;
        EXPECT_TRUE(parser.empty());
    }
}

TEST(FdFrameParser, RefusesWhatIsNoFrameAsSoonAsItsHeadIsThere) {
    const struct {
        std::string bytes;
        const char* error;
    } cases[] = {
        {std::string("\x00\x80\x00\x01\x00", 5), "a message of 8388609 bytes, expected at most 8388608"},
        {std::string("\xff\xff\xff\xff\x00", 5), "a message of 4294967295 bytes, expected at most 8388608"},
        {std::string("\x00\x00\x00\x01\x02", 5), "a message whose descriptor flag is 2, expected 0 or 1"},
        {std::string("\x00\x00\x00\x01\xff", 5), "a message whose descriptor flag is 255, expected 0 or 1"},
    };
    for (const auto& [bytes, error] : cases) {
        FdFrameParser parser;
        feed(parser, framed("fine") + bytes.substr(0, 4));
        ASSERT_TRUE(parser.next().value().has_value());
        ASSERT_FALSE(parser.next().value().has_value());
        feed(parser, bytes.substr(4));
        for (int i = 0; i < 2; ++i) {
            const auto frame = parser.next();
            ASSERT_FALSE(frame) << error;
            EXPECT_EQ(frame.error(), error);
        }
    }
}

TEST(FdFrameParser, TakesTheLargestMessageAndNoMemoryThatIsOnlyAnnounced) {
    FdFrameParser parser;
    const auto head = FdFrame::head(kMaxMessage, false);
    feed(parser, {head.data(), head.size()});
    ASSERT_FALSE(parser.next().value().has_value());
    EXPECT_LE(parser.room().size(), 4 * FdFrameParser::kMinRoom);

    const std::string piece(FdFrameParser::kMinRoom, 'p');
    for (std::size_t sent = 0; sent < kMaxMessage; sent += piece.size()) {
        ASSERT_FALSE(parser.next().value().has_value());
        feed(parser, piece);
    }
    const auto frame = parser.next();
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->payload.size(), kMaxMessage);
    EXPECT_EQ((*frame)->payload.find_first_not_of('p'), std::string_view::npos);
    EXPECT_LE(parser.room().size(), 4 * FdFrameParser::kMinRoom) << "what a large message took is kept";
}

}  // namespace
}  // namespace weft
