// Clients that only listen, over server-sent events and lines.
#include "gateway/stream_connection.hpp"

#include "unit/listener_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words
using Kind = StreamWire::Kind;

class Stream : public ListenerGateway {};

/// The ids of server-sent events, in their order.
Lines ids(const std::string& bytes) {
    Lines found;
    for (std::size_t at = bytes.find("id: "); at != std::string::npos; at = bytes.find("\nid: ", at + 1)) {
        if (bytes[at] == '\n') ++at;
        found.push_back(bytes.substr(at + 4, bytes.find('\n', at) - at - 4));
    }
    return found;
}

TEST_F(Stream, IsGreetedAndPutIntoItsChannels) {
    Far& far = stream(Kind::sse, {{"chat:a", {}}});
    const std::string begin = far.take();
    EXPECT_TRUE(begin.starts_with("retry: ")) << begin;
    EXPECT_NE(begin.find("\nevent: connection_established\n"), std::string::npos);
    EXPECT_NE(begin.find("id: chat:a=k.0\nevent: subscribed\n"), std::string::npos) << begin;
    EXPECT_EQ(begin.find("entry"), std::string::npos) << "the id of what it never asked is not told";
    EXPECT_EQ(weftd.take(), Lines{"subscribe chat:a"});
    deliver({publication("chat:a", "1", "k.1")});
    const std::string event = far.take();
    EXPECT_TRUE(event.starts_with("id: chat:a=k.1\ndata: {\"type\":\"event\"")) << event;
    EXPECT_TRUE(event.ends_with("}\n\n"));
}

TEST_F(Stream, WritesLinesWithoutIds) {
    Far& far = stream(Kind::lines, {{"chat:a", {}}});
    far.take();
    deliver({publication("chat:a", "1", "k.1"), publication("chat:a", "2", "k.2")});
    const std::string lines = far.take();
    EXPECT_EQ(std::ranges::count(lines, '\n'), 2);
    EXPECT_EQ(describe(lines.substr(0, lines.find('\n'))), "event chat:a 1 @k.1");
}

TEST_F(Stream, SaysInEachIdWhereItStandsInAllOfItsChannels) {
    Far& far = stream(Kind::sse, {{"chat:a", "k.0"}, {"chat:b", {}}});
    EXPECT_EQ(ids(far.take()), (Lines{"chat:a=k.0", "chat:a=k.0,chat:b=k.0"}));
    deliver({publication("chat:b", "1", "k.1"), publication("chat:b", "2", "k.2"), publication("chat:a", "3", "z.7")});
    EXPECT_EQ(ids(far.take()), (Lines{"chat:a=k.0,chat:b=k.1", "chat:a=k.0,chat:b=k.2", "chat:a=z.7,chat:b=k.2"}));
}

TEST_F(Stream, RewritesNothingButIds) {
    Far& one = stream(Kind::sse, {{"chat:a", {}}});
    Far& two = stream(Kind::sse, {{"chat:a", {}}, {"chat:b", {}}});
    one.take();
    two.take();
    deliver({publication("chat:a", R"("id: chat:a=z.9\nid: x")", "k.1"), signal("chat:a", "typing", "[\"id: \"]", 7)});
    std::string expected = one.take();
    const std::string id = "id: chat:a=k.1";
    ASSERT_TRUE(expected.starts_with(id + "\n")) << expected;
    EXPECT_EQ(two.take(), expected.replace(0, id.size(), id + ",chat:b=k.0"));
}

TEST_F(Stream, IsProbedByAHeartbeatAndNeedNotAnswer) {
    Far& sse = stream(Kind::sse, {{"chat:a", {}}});
    Far& lines = stream(Kind::lines, {{"chat:a", {}}});
    sse.take();
    lines.take();
    pass(endpoint.heartbeat * 3 + 5s);
    EXPECT_EQ(sse.take(), ":\n\n:\n\n:\n\n");
    EXPECT_EQ(lines.take(), "\n\n\n");
    EXPECT_FALSE(sse.gone());
}

TEST_F(Stream, IsProbedAsOftenWhereTheTimeoutIsLonger) {
    endpoint.heartbeat_timeout = endpoint.heartbeat * 10;
    Far& sse = stream(Kind::sse, {{"chat:a", {}}});
    sse.take();
    pass(endpoint.heartbeat * 3 + 5s);
    EXPECT_EQ(sse.take(), ":\n\n:\n\n:\n\n");
    EXPECT_FALSE(sse.gone());
}

TEST_F(Stream, IsToldHowItEnds) {
    Far& sse = stream(Kind::sse, {{"chat:a", {}}});
    Far& lines = stream(Kind::lines, {{"chat:a", {}}});
    for (Far* far : {&sse, &lines}) {
        far->take();
        far->connection->end(Code::revoked);
    }
    run();
    EXPECT_EQ(sse.take(),
              "event: close\ndata: {\"type\":\"close\",\"payload\":{\"code\":4013,\"reason\":\"revoked\"}}\n\n");
    EXPECT_EQ(lines.take(), "{\"type\":\"close\",\"payload\":{\"code\":4013,\"reason\":\"revoked\"}}\n");
    for (const Far* far : {&sse, &lines}) {
        EXPECT_TRUE(far->gone());
        EXPECT_EQ(far->close_code, 4013);
        EXPECT_FALSE(far->closed_by_peer);
    }
    EXPECT_EQ(counters.active.value(), 0U);
    EXPECT_EQ(counters.subscriptions.value(), 0U);
}

TEST_F(Stream, IsGoneWhenItSendsNoMore) {
    Far& far = stream(Kind::sse, {{"chat:a", {}}});
    far.take();
    far.connection->on_end_of_input();
    run();
    ASSERT_TRUE(far.gone());
    EXPECT_EQ(far.close_code, 1000);
    EXPECT_TRUE(far.closed_by_peer);
    EXPECT_EQ(far.take(), "") << "nobody is there to be told";
    EXPECT_EQ(counters.subscriptions.value(), 0U);
}

TEST_F(Stream, ThrowsAwayWhatItIsSent) {
    Far& far = stream(Kind::lines, {{"chat:a", {}}});
    far.take();
    weftd.take();
    std::string bytes =
        R"({"type":"publish","payload":{"channel":"chat:a","data":1}})" + std::string(websocket::kPadding, ' ');
    far.connection->receive({bytes.data(), bytes.size() - websocket::kPadding});
    run();
    EXPECT_EQ(far.take(), "");
    EXPECT_EQ(weftd.take(), Lines{});
    EXPECT_EQ(counters.bytes_in.value(), bytes.size() - websocket::kPadding);
}

TEST_F(Stream, EndsWhenAChannelIsRefused) {
    Far& far = stream(Kind::lines, {{"nowhere", {}}, {"chat:a", {}}});
    const std::string said = far.take();
    EXPECT_NE(said.find("\"code\":4007"), std::string::npos) << said;
    EXPECT_NE(said.find("{\"type\":\"close\",\"payload\":{\"code\":4007,"), std::string::npos) << said;
    EXPECT_TRUE(far.gone());
    EXPECT_EQ(counters.channels.value(), 0U);
}

TEST_F(Stream, GivesUpAReaderThatLeavesTooMuchLying) {
    endpoint.send_queue = 1000;
    Far& slow = stream(Kind::sse, {{"chat:a", {}}, {"chat:b", {}}});
    Far& good = stream(Kind::sse, {{"chat:a", {}}});
    slow.take();
    good.take();
    slow.room = 0;
    const std::string data = '"' + std::string(300, 'x') + '"';
    for (int n = 1; n <= 4; ++n) deliver({publication("chat:a", data, "k." + std::to_string(n))});
    EXPECT_EQ(counters.slow_closed.value(), 1U);
    EXPECT_EQ(ids(good.take()).size(), 4U) << "which is no other's trouble";
    EXPECT_EQ(counters.subscriptions.value(), 1U);
}

}  // namespace
}  // namespace weft
