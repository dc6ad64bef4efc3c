// What is half read and half written of a connection, and goes on elsewhere.
#include <gtest/gtest.h>

#include "gateway/send_queue.hpp"
#include "support/client_frames.hpp"
#include "websocket/deflater.hpp"
#include "websocket/inflater.hpp"

namespace weft {
namespace {

using websocket::FrameParser;
using websocket::test::client_frame;
using websocket::test::feed_piece;
using websocket::test::FrameShape;
using websocket::test::Recorder;

constexpr std::size_t kMax = 1 << 20;
constexpr FrameShape kFragment{.final = false};

std::vector<std::string> read(FrameParser& parser, std::string_view bytes, bool deflate) {
    Recorder recorder;
    if (const auto violation = feed_piece(parser, bytes, kMax, recorder, deflate)) {
        recorder.lines.push_back("violation:" + std::string(violation->why));
    }
    return recorder.lines;
}

TEST(MovedFrames, GoOnFromEveryByteAsIfNothingHadHappened) {
    const std::string long_text(70'000, 'x');
    const std::vector<std::string> streams = {
        client_frame(1, "hello") + client_frame(2, std::string("\0\1\2", 3)),
        client_frame(1, "a fragment, ", kFragment) + client_frame(9, "a ping in between") + client_frame(0, "and more"),
        client_frame(1, "", kFragment) + client_frame(0, "", kFragment) + client_frame(0, "at last"),
        client_frame(1, "\xe2\x82", kFragment) + client_frame(0, "\xac euro"),
        client_frame(2, std::string(300, 'b')) + client_frame(10, "pong"),
        client_frame(1, "compressed", {.final = false, .reserved = 0x40}) + client_frame(0, " in two"),
        client_frame(8, websocket::test::close_payload(1000, "bye now")),
    };
    for (const std::string& stream : streams) {
        FrameParser whole;
        const auto expected = read(whole, stream, true);
        for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
            FrameParser before, after;
            auto lines = read(before, std::string_view(stream).substr(0, cut), true);
            const std::string half = before.half_read();
            EXPECT_EQ(half.empty(), !before.mid_message()) << cut;
            EXPECT_EQ(read(after, half, true), std::vector<std::string>{}) << "nothing is whole in what is half read";
            EXPECT_EQ(after.half_read(), half) << "it may move again, cut at " << cut;
            for (const std::string& line : read(after, std::string_view(stream).substr(cut), true)) {
                lines.push_back(line);
            }
            EXPECT_EQ(lines, expected) << "cut at " << cut;
        }
    }
    FrameParser before, after;
    const std::string large = client_frame(1, long_text);
    read(before, std::string_view(large).substr(0, 66'000), false);
    read(after, before.half_read(), false);
    EXPECT_EQ(read(after, std::string_view(large).substr(66'000), false), std::vector{"text:" + long_text});
}

TEST(MovedFrames, AreBoundByTheRulesOfTheirNewPlace) {
    FrameParser before, after;
    Recorder recorder;
    feed_piece(before, client_frame(1, std::string(1000, 'x')).substr(0, 500), kMax, recorder);
    const auto violation = feed_piece(after, before.half_read(), 600, recorder);
    ASSERT_TRUE(violation);
    EXPECT_EQ(violation->code, websocket::Close::message_too_big);
}

TEST(MovedWindow, KnowsWhatOlderMessagesSaid) {
    websocket::Deflater deflater({}, true);
    websocket::Inflater before(true);
    std::string storage, room;
    std::string message;
    for (int i = 0; i < 400; ++i) message += std::to_string(i * 7919);
    const auto first = deflater.compress(message, room);
    ASSERT_TRUE(first);
    const std::size_t first_size = first->size();
    ASSERT_EQ(before.inflate(*first, kMax, storage), message);
    const auto compressed = deflater.compress(message, room);
    ASSERT_TRUE(compressed);
    ASSERT_LT(compressed->size(), first_size / 2) << "it refers to the first";
    websocket::Inflater after(true), fresh(true);
    after.go_on_from(before.window());
    EXPECT_EQ(after.inflate(*compressed, kMax, storage), message);
    EXPECT_FALSE(fresh.inflate(*compressed, kMax, storage)) << "without the window it can't be read";
}

TEST(MovedQueue, WritesFirstWhatWasBegunElsewhere) {
    SendQueue queue;
    queue.push(SharedBytes("second"), ChunkTag::publications(1));
    queue.push(SharedBytes("third"), ChunkTag::publications(1));
    queue.push_started("rst-");
    EXPECT_EQ(queue.bytes(), 15U);
    EXPECT_EQ(queue.drop(ChunkTag::publications(1), 0), 2U);
    queue.drop_unstarted();
    char scratch[64];
    EXPECT_EQ(queue.next(scratch, sizeof(scratch)), "rst-") << "its first part is written, so the rest must be";
    queue.consume(4);
    EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace weft
