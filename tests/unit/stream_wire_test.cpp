#include "gateway/stream_wire.hpp"

#include <gtest/gtest.h>

#include "codec/json_codec.hpp"
#include "codec/protobuf_codec.hpp"
#include "codec/raw_codec.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using Kind = StreamWire::Kind;

ServerFrame of(decltype(ServerFrame::body) body) {
    return {{}, std::move(body)};
}

ServerFrame publication(std::string_view data, std::string_view position = "k.1") {
    return of(event::Event{"chat:a", data, position, "m1", WallTime{1'700'000'000'123ms}, {}});
}

std::string written(Kind kind, const ServerFrame& frame, Codec& codec) {
    std::string out;
    StreamWire::make(kind, 0, codec)->append(frame, out);
    return out;
}
std::string written(Kind kind, const ServerFrame& frame) {
    JsonCodec codec;
    return written(kind, frame, codec);
}
std::string json(const ServerFrame& frame) {
    std::string out;
    JsonCodec().encode(frame, out);
    return out;
}

TEST(SseWire, WritesAPublicationAsAnEventWithoutAName) {
    const ServerFrame frame = publication(R"({"n":1})");
    EXPECT_EQ(written(Kind::sse, frame), "id: chat:a=k.1\ndata: " + json(frame) + "\n\n");
}

TEST(SseWire, NamesOtherFramesByTheirType) {
    const struct {
        ServerFrame frame;
        const char* before;  // the data
    } cases[] = {
        {of(event::Subscribed{"chat:a", "k.1", true, true, 2}), "id: chat:a=k.1\nevent: subscribed\n"},
        {of(event::Gap{"chat:a"}), "event: gap\n"},
        {of(event::Signal{"chat:a", "typing", "1", {}}), "event: signal\n"},
        {of(event::Unsubscribed{"chat:a", Code::revoked}), "event: unsubscribed\n"},
        {of(event::Error{Code::revoked, "gone", {}}), "event: weft-error\n"},
        {of(event::Reconnect{1500ms, "reload"}), "retry: 1500\nevent: reconnect\n"},
    };
    for (const auto& [frame, before] : cases) {
        EXPECT_EQ(written(Kind::sse, frame), before + ("data: " + json(frame)) + "\n\n");
    }
}

TEST(SseWire, SpreadsTheClientsThatComeBack) {
    int other = 0;
    for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1999}, std::uint64_t{123'456'789}}) {
        const std::string greeting = written(Kind::sse, of(event::Established{id, "ann", {}, 25s, "a", {}}));
        ASSERT_TRUE(greeting.starts_with("retry: ")) << greeting;
        const int retry = std::stoi(greeting.substr(7));
        EXPECT_GE(retry, 1000);
        EXPECT_LT(retry, 3000);
        EXPECT_NE(retry, other);
        other = retry;
    }
}

TEST(SseWire, BeginsEachLineOfAMessageAnew) {
    RawCodec raw;
    const struct {
        const char* data;  // of a publication, JSON
        const char* lines;
    } cases[] = {
        {R"("one\ntwo")", "data: one\ndata: two\n\n"},
        {R"("one\r\ntwo\rthree")", "data: one\ndata: two\ndata: three\n\n"},
        {R"("\n\n")", "data: \ndata: \ndata: \n\n"},
        {R"("id: x\n\nevent: close")", "data: id: x\ndata: \ndata: event: close\n\n"},
        {R"("")", "data: \n\n"},
    };
    for (const auto& [data, lines] : cases) {
        EXPECT_EQ(written(Kind::sse, publication(data), raw), std::string("id: chat:a=k.1\n") + lines) << data;
    }
    EXPECT_EQ(written(Kind::sse, publication("[1,\r\n 2]"), raw), "id: chat:a=k.1\ndata: [1,\ndata:  2]\n\n");
}

TEST(SseWire, SaysNothingOfWhatItsCodecLeavesOut) {
    RawCodec raw;
    EXPECT_EQ(written(Kind::sse, of(event::Pong{}), raw), "");
}

TEST(SseWire, EndsWithACodeAndHasAHeartbeatThatIsNoEvent) {
    JsonCodec codec;
    const auto wire = StreamWire::make(Kind::sse, 0, codec);
    EXPECT_EQ(wire->heartbeat(), ":\n\n");
    std::string end;
    wire->append_end(4013, "say \"bye\"", end);
    EXPECT_EQ(
        end, "event: close\ndata: {\"type\":\"close\",\"payload\":{\"code\":4013,\"reason\":\"say \\\"bye\\\"\"}}\n\n");
}

TEST(LinesWire, WritesEachMessageOnALineOfItsOwn) {
    const ServerFrame frame = publication("{\n  \"n\":\r\n 1}");
    std::string expected = json(frame);
    for (char& c : expected) c = c == '\n' || c == '\r' ? ' ' : c;
    EXPECT_EQ(written(Kind::lines, frame), expected + "\n");
    JsonCodec codec;
    const auto wire = StreamWire::make(Kind::lines, 0, codec);
    EXPECT_EQ(wire->heartbeat(), "\n");
    std::string end;
    wire->append_end(1012, "", end);
    EXPECT_EQ(end, "{\"type\":\"close\",\"payload\":{\"code\":1012,\"reason\":\"\"}}\n");
}

TEST(PollWire, SaysOfEachFrameWhatItIsToAPoll) {
    using Record = PollRecord::Kind;
    const struct {
        ServerFrame frame;
        Record kind;
        const char* text;
    } cases[] = {
        {publication("1"), Record::news, "chat:a=k.1"},
        {of(event::Subscribed{"chat:a=b", "k.2", true, true}), Record::entered, "chat:a=b=k.2"},
        {of(event::Subscribed{"chat:a", "k.2", false, true}), Record::behind, "chat:a=k.2"},
        {of(event::Subscribed{"chat:a", "k.2", false, false}), Record::behind, "chat:a=k.2"},
        {of(event::MemberChange{"chat:a", {1, 2, "ann", {}}, false, true, 1}), Record::member, "ann"},
        {of(event::Gap{"chat:a"}), Record::news, ""},
        {of(event::Error{Code::revoked, "gone", {}}), Record::news, ""},
    };
    std::string all;
    JsonCodec codec;
    const auto wire = StreamWire::make(Kind::poll, 0, codec);
    for (const auto& one : cases) wire->append(one.frame, all);
    wire->append_end(4013, "revoked", all);
    std::string_view rest = all;
    for (const auto& [frame, kind, text] : cases) {
        const PollRecord record = PollRecord::take(rest);
        EXPECT_EQ(record.kind, kind) << record.message;
        EXPECT_EQ(record.text, text);
        EXPECT_EQ(record.message, json(frame));
    }
    const PollRecord end = PollRecord::take(rest);
    EXPECT_EQ(end.kind, Record::news);
    EXPECT_EQ(end.message, R"({"type":"close","payload":{"code":4013,"reason":"revoked"}})");
    EXPECT_EQ(rest, "");
}

TEST(PollWire, DoesNotGreet) {
    EXPECT_EQ(written(Kind::poll, of(event::Established{1, "ann", {}, 25s, "a", {}})), "");
}

TEST(StreamWire, FitsCodecsWhoseMessagesItsFramingCanHold) {
    const JsonCodec json;
    const RawCodec raw;
    const ProtobufCodec protobuf;
    for (const Kind kind : {Kind::sse, Kind::lines, Kind::poll}) {
        EXPECT_TRUE(StreamWire::fits(kind, json));
        EXPECT_FALSE(StreamWire::fits(kind, protobuf));
        EXPECT_EQ(StreamWire::fits(kind, raw), kind == Kind::sse) << "a text may have any lines";
    }
}

}  // namespace
}  // namespace weft
