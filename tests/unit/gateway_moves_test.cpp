// Connections that move, between gateways in memory: what may come, and what becomes of those who are banned meanwhile.
#include <gtest/gtest.h>

#include "support/moving_host.hpp"

namespace weft::test {
namespace {

v1::Leaver leaver_in(std::initializer_list<std::string> channels) {
    v1::Leaver leaver;
    for (const std::string& channel : channels) leaver.add_subscriptions()->set_channel(channel);
    return leaver;
}

v1::Leaver leaver_with_windows(std::uint32_t server, std::uint32_t client) {
    v1::Leaver leaver;
    leaver.mutable_deflate()->set_server_window(server);
    leaver.mutable_deflate()->set_client_window(client);
    return leaver;
}

TEST(Leaver, IsSoundWhenAWorkerCanHaveMeantIt) {
    EXPECT_TRUE(is_sound({}));
    EXPECT_TRUE(is_sound(leaver_in({"chat:a", "chat:b"})));
    EXPECT_FALSE(is_sound(leaver_in({"chat:a", "chat:b", "chat:a"}))) << "twice in one channel";
    EXPECT_FALSE(is_sound(leaver_in({""})));
    EXPECT_FALSE(is_sound(leaver_in({"chat:\n"})));
    EXPECT_FALSE(is_sound(leaver_in({std::string(kMaxChannelName + 1, 'x')})));
    EXPECT_TRUE(is_sound(leaver_with_windows(9, 8)));
    EXPECT_TRUE(is_sound(leaver_with_windows(15, 15)));
    for (const auto& [server, client] :
         {std::pair{8U, 15U}, {16U, 15U}, {15U, 7U}, {15U, 16U}, {0U, 0U}, {271U, 15U}}) {
        EXPECT_FALSE(is_sound(leaver_with_windows(server, client))) << server << " " << client;
    }
    v1::Leaver home;
    home.set_home("no channel");
    EXPECT_FALSE(is_sound(home));
}

TEST(LeaverIdentity, SaysTheSameWhenItIsReadAndWritten) {
    v1::LeaverIdentity said;
    said.set_user("ann");
    auto& granted = *said.add_channels();
    granted.set_pattern("no pattern");
    EXPECT_EQ(read_identity(said), nullptr);
    granted.set_pattern("chat:no");
    granted.set_denied(true);
    granted.set_actions(3);
    auto& all = *said.add_channels();
    all.set_pattern("user:{sub}:*");
    all.set_actions(31);
    said.add_methods()->set_pattern("weft.*");
    said.set_expires_ms(1'700'000'000'000);
    said.set_ticket(7);
    said.set_since_ms(1'600'000'000'000);
    said.set_info("{}");
    const auto identity = read_identity(said);
    ASSERT_NE(identity, nullptr);
    v1::LeaverIdentity again;
    write_identity(*identity, again);
    EXPECT_EQ(again.SerializeAsString(), said.SerializeAsString());
    for (const std::int64_t time : {INT64_MIN, INT64_MAX, (std::int64_t{1} << 53) + 1}) {
        auto beyond = said;
        beyond.set_expires_ms(time);
        EXPECT_EQ(read_identity(beyond), nullptr) << "expires " << time;
        beyond = said;
        beyond.set_since_ms(time);
        EXPECT_EQ(read_identity(beyond), nullptr) << "since " << time;
    }
}

TEST(LeaverSpeech, OutlivesAWorkerWithoutRoomForAnotherWire) {
    const auto codecs = make_codecs({});
    Counters counters;
    WireTable wires(codecs, counters);
    websocket::DeflateSettings own;
    for (own.min_size = 1; wires.compressed(wires.plain({}), own) != nullptr;) ++own.min_size;
    const v1::Leaver agreed = leaver_with_windows(12, 15);
    const auto speech = read_speech(agreed, wires, own);
    EXPECT_EQ(speech.wire, &wires.plain({}));
    ASSERT_TRUE(speech.deflate);
    MovingHost host;
    EndpointSettings endpoint;
    WebSocketConnection connection(host.worker(0).gateway(), endpoint, *speech.wire, speech.deflate);
    v1::Leaver next;
    ASSERT_TRUE(connection.describe(next)) << "it moves again";
    EXPECT_TRUE(is_sound(next));
    EXPECT_EQ(next.deflate().SerializeAsString(), agreed.deflate().SerializeAsString())
        << "where there is room again, it is sent what it agreed to";
    host.worker(0).gateway().remove(connection);
}

TEST(MovedPositions, AreBound) {
    MovingHost host;
    MovingWorker& worker = host.worker(0);
    v1::Leaver leaver;
    leaver.set_door(v1::Leaver::SSE);
    leaver.set_several(true);
    MovingClient* const client = worker.expect(leaver);
    ASSERT_NE(client, nullptr);
    v1::Moved rest;
    for (std::size_t i = 0; i < kMostSubscriptions + 5; ++i)
        rest.mutable_positions()->append("chat:" + std::to_string(i) + "=1.1,");
    worker.resume(rest);
    v1::Moved again;
    client->connection->pack(again);
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(again.positions(), '=')), kMostSubscriptions);
    EXPECT_TRUE(again.positions().starts_with("chat:0=1.1,chat:1=1.1,"));
}

TEST(MovedChannels, ThatWeftdRefusesAreLeft) {
    MovingHost host;
    MovingWorker& worker = host.worker(0);
    v1::Leaver leaver = leaver_in({"chat:refused", "chat:kept"});
    leaver.set_door(v1::Leaver::WEBSOCKET);
    leaver.mutable_identity()->add_channels()->set_pattern("**");
    leaver.mutable_identity()->mutable_channels(0)->set_actions(kAllActions);
    MovingClient* const client = worker.expect(leaver);
    ASSERT_NE(client, nullptr);
    v1::Frame frame;
    frame.mutable_failed()->set_channel("chat:refused");
    frame.mutable_failed()->set_code(static_cast<std::uint32_t>(Code::too_many_subscriptions));
    worker.hear(frame);
    host.run();
    Gateway& gateway = worker.gateway();
    EXPECT_TRUE(gateway.expected_everywhere(*client->connection)) << "nobody waits for what doesn't come";
    EXPECT_TRUE(gateway.slip_in(*client->connection, 0));
    std::string told(client->connection->queue().bytes(), '\0');
    told = client->connection->queue().next(told.data(), told.size());
    EXPECT_NE(told.find(R"("unsubscribed")"), std::string::npos) << told;
    EXPECT_NE(told.find(R"("chat:refused")"), std::string::npos) << told;
    EXPECT_EQ(told.find(R"("chat:kept")"), std::string::npos) << told;
    worker.resume({});
    EXPECT_EQ(gateway.movable(*client->connection), Gateway::Movable::soon) << "it isn't greeted yet";
}

// --- who is banned meanwhile ----------------------------------------------------------------------------------------

class BannedMeanwhile : public testing::Test {
protected:
    BannedMeanwhile() {
        old_.connect(0, 0);  // bob, by WebSocket
        client_ = old_.client(0);
        old_.say(*client_, R"({"type":"subscribe","payload":{"channel":"room:a"}})");
        host_.run();
        EXPECT_EQ(old_.gateway().movable(*client_->connection), Gateway::Movable::now);
    }

    /// A worker hears of the ban, and the turn ends.
    static void tell(MovingWorker& worker) {
        worker.hear(ban());
        while (worker.turn()) continue;
    }
    static v1::Frame ban() {
        v1::Frame frame;
        v1::Revocation& revocation = *frame.mutable_revocation();
        revocation.set_kind(v1::Revocation::BAN);
        revocation.set_user("bob");
        revocation.set_issued_ms(1'700'000'000'000);
        revocation.set_until_ms(1'800'000'000'000);
        return frame;
    }
    v1::Leaver leaver() {
        v1::Leaver leaver;
        EXPECT_TRUE(client_->connection->describe(leaver));
        leaver.set_location("usual");
        Gateway::describe(*client_->connection, leaver);
        return leaver;
    }

    MovingHost host_;
    MovingWorker& old_ = host_.worker(0);
    MovingWorker& new_ = host_.worker(1);
    MovingClient* client_ = nullptr;
};

TEST_F(BannedMeanwhile, IsNotExpectedByAWorkerThatKnowsIt) {
    tell(new_);
    const auto identity = read_identity(leaver().identity());
    const auto objection = new_.gateway().objection(*identity, 0);
    ASSERT_TRUE(objection);
    EXPECT_EQ(objection->code, Code::banned);
    EXPECT_EQ(new_.expect(leaver()), nullptr);
}

TEST_F(BannedMeanwhile, DoesNotMoveOnceTheWorkerThatItLeavesKnowsIt) {
    MovingClient* const guest = new_.expect(leaver());
    ASSERT_NE(guest, nullptr);
    host_.run();
    host_.take(0);
    tell(old_);
    EXPECT_EQ(client_->connection->close_code(), 4009);
    EXPECT_EQ(old_.gateway().movable(*client_->connection), Gateway::Movable::never);
}

TEST_F(BannedMeanwhile, EndsWhileItIsExpected) {
    MovingClient* const guest = new_.expect(leaver());
    ASSERT_NE(guest, nullptr);
    host_.run();
    tell(new_);
    EXPECT_EQ(guest->connection->close_code(), 4009);
    EXPECT_NE(guest->connection->phase(), Connection::Phase::open);
    EXPECT_TRUE(new_.gateway().slip_in(*guest->connection, 0)) << "it is in no channel";
    const std::size_t queued = guest->connection->queue().bytes();
    EXPECT_GT(queued, 0U) << "it is told when it has its socket";
    v1::Moved rest;
    rest.set_greeted(true);
    rest.set_half_read(websocket::test::client_frame(1, R"({"type":"ping"})"));
    new_.resume(rest);
    EXPECT_EQ(guest->connection->queue().bytes(), queued) << "nothing of what it says is answered";
}

TEST_F(BannedMeanwhile, EndsAfterItHasCome) {
    const auto move = host_.move(old_, *client_, new_);
    tell(new_);
    EXPECT_EQ(move.client->connection->close_code(), 4009);
}

}  // namespace
}  // namespace weft::test
