// How a publication gets to all subscribers of a worker, in what order, and what becomes of slow readers.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

std::string text_of(std::size_t size) {
    return '"' + std::string(size, 'x') + '"';
}

class GatewayFanout : public ScriptedGateway {
protected:
    /// Publications "first"… at k.first… to chat:a, each of `size` bytes of data.
    void deliver_many(std::size_t first, std::size_t count, std::size_t size) {
        for (std::size_t i = first; i < first + count; ++i) {
            weftd.send(publication("chat:a", text_of(size), "k." + std::to_string(i)));
        }
        run();
    }
    Client& slow_subscriber(std::size_t bound) {
        auto& at = *endpoints_.emplace_back(std::make_unique<EndpointSettings>());
        at.send_queue = bound;
        Client& client = connect(everything("slow"), at, wire);
        EXPECT_EQ(ask(client, subscribe("chat:a", "")), Lines{"subscribed chat:a @k.0"});
        return client;
    }

private:
    std::vector<std::unique_ptr<EndpointSettings>> endpoints_;
};

TEST_F(GatewayFanout, DeliversAllThatAPublicationSays) {
    Client& ann = subscriber("chat:a");
    deliver({publication("chat:a", "1", "k.1", 0xabc), publication("chat:a", "2", "k.2")});
    ASSERT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 2 @k.2"}));
    EXPECT_EQ(json_at(ann.texts[0], "/payload/message_id"), "m-k.1");
    EXPECT_EQ(json_at(ann.texts[0], "/payload/timestamp"), "2023-11-14T22:13:20.123Z");
    EXPECT_EQ(json_at(ann.texts[0], "/payload/publisher"), R"({"user":"somebody","client_id":"0000000000000abc"})");
    EXPECT_EQ(json_at(ann.texts[1], "/payload/publisher"), "") << "a back end's";
}

TEST_F(GatewayFanout, DeliversToThoseInTheChannelOnly) {
    Client& ann = subscriber("chat:a", "ann");
    Client& bob = subscriber("chat:b", "bob");
    connect("cid");
    deliver({publication("chat:a", "1", "k.1"), publication("chat:b", "2", "k.1"), publication("chat:c", "3", "k.1"),
             signal("chat:c", "x")});
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"});
    EXPECT_EQ(bob.take(), Lines{"event chat:b 2 @k.1"});
    EXPECT_EQ(clients()[2]->take(), Lines{});
    EXPECT_EQ(counters.publications_out.value(), 3U);
}

TEST_F(GatewayFanout, KeepsPublicationsAndSignalsInOrder) {
    Client& ann = subscriber("chat:a");
    deliver({publication("chat:a", "1", "k.1"), signal("chat:a", "typing", "[1]", 7), publication("chat:a", "2", "k.2"),
             signal("chat:a", "read"), gap("chat:a", "k.9"), publication("chat:a", "10", "k.10")});
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "signal chat:a typing [1]", "event chat:a 2 @k.2",
                                 "signal chat:a read", "gap chat:a", "event chat:a 10 @k.10"}));
    EXPECT_EQ(json_at(ann.texts[1], "/payload/publisher/client_id"), "0000000000000007");
    EXPECT_EQ(ask(ann, subscribe("chat:a", "1")), Lines{"subscribed#1 chat:a @k.10"});
}

TEST_F(GatewayFanout, EncodesOnceAndSharesOneChunkATurnBetweenAll) {
    constexpr std::size_t kClients = 20;
    std::vector<Client*> all;
    for (std::size_t i = 0; i < kClients; ++i) all.push_back(&subscriber("chat:a"));
    for (Client* one : all) {
        one->flushes = 0;
        one->written.clear();
    }
    codec.events = 0;
    turns = 0;
    const std::uint64_t out = counters.messages_out.value();
    deliver({publication("chat:a", "1", "k.1"), publication("chat:a", "2", "k.2"), publication("chat:a", "3", "k.3")});
    EXPECT_EQ(codec.events, 3U);
    EXPECT_EQ(turns, 1U);
    EXPECT_EQ(counters.messages_out.value() - out, 3 * kClients);
    for (Client* one : all) {
        EXPECT_EQ(one->flushes, 1U);
        ASSERT_EQ(one->written.size(), 1U) << "one write";
        EXPECT_EQ(one->written[0], all[0]->written[0]) << "of the same bytes at the same place";
        EXPECT_EQ(one->take(), (Lines{"event chat:a 1 @k.1", "event chat:a 2 @k.2", "event chat:a 3 @k.3"}));
    }
}

TEST_F(GatewayFanout, WritesRepliesAndEventsOfAllChannelsOfATurnAtOnce) {
    Client& ann = subscriber("chat:a");
    EXPECT_EQ(ask(ann, subscribe("chat:b", "")), Lines{"subscribed chat:b @k.0"});
    ann.flushes = 0;
    ann.written.clear();
    say(ann, ping("1"));
    say(ann, ping("2"));
    deliver({publication("chat:a", "1", "k.1"), publication("chat:b", "2", "k.1"), publication("chat:a", "3", "k.2")});
    EXPECT_EQ(ann.flushes, 1U);
    EXPECT_EQ(ann.written.size(), 1U);
    EXPECT_EQ(ann.take(),
              (Lines{"pong#1", "pong#2", "event chat:a 1 @k.1", "event chat:a 3 @k.2", "event chat:b 2 @k.1"}));
}

TEST_F(GatewayFanout, EncodesOnceForEachWireInUse) {
    CountingCodec other_codec(true);
    WebSocketWire other(3, other_codec);
    Client& ann = subscriber("chat:a");
    Client& bob = connect(everything("bob"), endpoint, other);
    receive(bob, client_frame(Opcode::binary, subscribe("chat:a", "")));
    run();
    EXPECT_EQ(bob.take(), Lines{"subscribed chat:a @k.0"});
    deliver({publication("chat:a", "1", "k.1")});
    EXPECT_EQ(codec.events, 1U);
    EXPECT_EQ(other_codec.events, 1U);
    EXPECT_EQ(static_cast<std::uint8_t>(ann.bytes[0]), 0x81);
    EXPECT_EQ(static_cast<std::uint8_t>(bob.bytes[0]), 0x82);
    EXPECT_EQ(ann.take(), Lines{"event chat:a 1 @k.1"});
    EXPECT_EQ(bob.take(), Lines{"event chat:a 1 @k.1"});
    hang_up(ann);
    run();
    deliver({publication("chat:a", "2", "k.2")});
    const auto seen = codec.events;  // a wire that has just been left may be encoded for once more
    deliver({publication("chat:a", "3", "k.3")});
    EXPECT_EQ(codec.events, seen) << "nobody reads it any more";
    EXPECT_EQ(bob.take(), (Lines{"event chat:a 2 @k.2", "event chat:a 3 @k.3"}));
    hang_up(bob);  // before its wire goes
    run();
}

TEST_F(GatewayFanout, CutsALongTurnIntoChunksThatAreStillWrittenTogether) {
    Client& ann = subscriber("chat:a");
    Client& bob = subscriber("chat:a");
    ann.flushes = 0;
    ann.written.clear();
    bob.written.clear();
    scratch_size = 16;  // chunks go out as they are
    deliver_many(1, 30, 10'000);
    EXPECT_EQ(ann.flushes, 1U);
    EXPECT_EQ(ann.written.size(), 5U);
    for (const auto& [at, size] : ann.written) EXPECT_LT(size, Gateway::kMaxChunk + 11'000);
    EXPECT_EQ(ann.written, bob.written) << "shared like any";
    const Lines lines = ann.take();
    ASSERT_EQ(lines.size(), 30U);
    EXPECT_EQ(lines[29], "event chat:a " + std::string(10'000, 'x') + " @k.30");
    EXPECT_EQ(bob.take(), lines);
}

// --- who gets what when they come and go within a turn ---------------------------------------------------------------

TEST_F(GatewayFanout, GivesWhoJoinsInATurnNothingOfBeforeAndEverythingAfter) {
    Client& ann = subscriber("chat:a");
    Client& bob = connect("bob");
    weftd.send(publication("chat:a", "1", "k.1"));
    carry_in();
    say(bob, subscribe("chat:a", "s"));
    weftd.send(publication("chat:a", "2", "k.2"));
    carry_in();
    run();
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 2 @k.2"}));
    EXPECT_EQ(bob.take(), (Lines{"subscribed#s chat:a @k.1", "event chat:a 2 @k.2"}));
}

TEST_F(GatewayFanout, GivesWhoLeavesInATurnEverythingOfBeforeAndNothingAfter) {
    Client& ann = subscriber("chat:a");
    Client& bob = subscriber("chat:a");
    weftd.send(publication("chat:a", "1", "k.1"));
    carry_in();
    say(bob, unsubscribe("chat:a", "u"));
    weftd.send(publication("chat:a", "2", "k.2"));
    carry_in();
    run();
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 2 @k.2"}));
    EXPECT_EQ(bob.take(), (Lines{"event chat:a 1 @k.1", "unsubscribed#u chat:a"}));
}

TEST_F(GatewayFanout, DeliversWhatATurnCollectedToTheLastOneWhoLeaves) {
    Client& ann = subscriber("chat:a");
    weftd.send(publication("chat:a", "1", "k.1"));
    carry_in();
    say(ann, unsubscribe("chat:a", "u"));
    weftd.send(publication("chat:a", "2", "k.2"));
    carry_in();
    say(ann, subscribe("chat:a", "s"));
    run();
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "unsubscribed#u chat:a", "subscribed#s chat:a @k.0"}));
}

TEST_F(GatewayFanout, DeliversBeforeTheGoodbyeOfWhoEndsInATurn) {
    Client& ann = subscriber("chat:a");
    Client& bob = subscriber("chat:a");
    weftd.send(publication("chat:a", "1", "k.1"));
    carry_in();
    ann.socket->end(Code::revoked);
    weftd.send(publication("chat:a", "2", "k.2"));
    carry_in();
    run();
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "close 4013 revoked"}));
    EXPECT_EQ(bob.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 2 @k.2"}));
}

TEST_F(GatewayFanout, FillsTheSlotOfWhoLeftWithAnother) {
    std::vector<Client*> all;
    for (int i = 0; i < 6; ++i) all.push_back(&subscriber("chat:a"));
    for (const std::size_t gone : {0U, 5U, 2U}) {
        EXPECT_EQ(ask(*all[gone], unsubscribe("chat:a", "")), Lines{"unsubscribed chat:a"});
    }
    EXPECT_EQ(ask(*all[0], subscribe("chat:a", "")), Lines{"subscribed chat:a @k.0"});
    EXPECT_EQ(ask(*all[4], unsubscribe("chat:a", "")), Lines{"unsubscribed chat:a"});
    deliver({publication("chat:a", "1", "k.1")});
    Lines got;
    for (Client* one : all) got.push_back(std::to_string(one->take().size()));
    EXPECT_EQ(got, (Lines{"1", "1", "0", "1", "0", "0"}));
}

// --- echo ------------------------------------------------------------------------------------------------------------

TEST_F(GatewayFanout, LeavesOutThePublisherWhoWantsNoEcho) {
    Client& ann = connect("ann");
    Client& bob = subscriber("chat:a");
    EXPECT_EQ(ask(ann, subscribe("chat:a", "", R"(,"echo":false)")), Lines{"subscribed chat:a @k.0"});
    deliver({publication("chat:a", "1", "k.1", bob.id), publication("chat:a", "2", "k.2", ann.id),
             publication("chat:a", "3", "k.3", bob.id), signal("chat:a", "typing", "", ann.id),
             publication("chat:a", "4", "k.4")});
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 3 @k.3", "event chat:a 4 @k.4"}));
    EXPECT_EQ(bob.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 2 @k.2", "event chat:a 3 @k.3",
                                 "signal chat:a typing", "event chat:a 4 @k.4"}));
    EXPECT_EQ(codec.events, 4U) << "still encoded once each";
}

TEST_F(GatewayFanout, LeavesOutEachOfSeveralWhoWantNoEcho) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    Client& cid = subscriber("chat:a", "cid");
    for (Client* one : {&ann, &bob}) ask(*one, subscribe("chat:a", "", R"(,"echo":false)"));
    deliver({publication("chat:a", "1", "k.1", ann.id), publication("chat:a", "2", "k.2", bob.id),
             publication("chat:a", "3", "k.3", cid.id)});
    EXPECT_EQ(ann.take(), (Lines{"event chat:a 2 @k.2", "event chat:a 3 @k.3"}));
    EXPECT_EQ(bob.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 3 @k.3"}));
    EXPECT_EQ(cid.take(), (Lines{"event chat:a 1 @k.1", "event chat:a 2 @k.2", "event chat:a 3 @k.3"}));
    hang_up(ann);
    run();
    deliver({publication("chat:a", "4", "k.4", bob.id)});
    EXPECT_EQ(bob.take(), Lines{}) << "another's leaving changes nothing";
    EXPECT_EQ(cid.take(), Lines{"event chat:a 4 @k.4"});
}

TEST_F(GatewayFanout, LetsASubscriberChangeItsMindAboutEcho) {
    Client& ann = subscriber("chat:a");
    const auto own = [&](const char* position) {
        deliver({publication("chat:a", "1", position, ann.id)});
        return ann.take().size();
    };
    EXPECT_EQ(own("k.1"), 1U);
    ask(ann, subscribe("chat:a", "", R"(,"echo":false)"));
    EXPECT_EQ(own("k.2"), 0U);
    ask(ann, subscribe("chat:a", "", R"(,"echo":false)"));
    EXPECT_EQ(own("k.3"), 0U);
    ask(ann, subscribe("chat:a", ""));
    EXPECT_EQ(own("k.4"), 1U);
}

TEST_F(GatewayFanout, LeavesThePublisherOutOnEveryWire) {
    CountingCodec other_codec(true);
    WebSocketWire other(1, other_codec);
    Client& ann = connect(everything("ann"), endpoint, other);
    receive(ann, client_frame(Opcode::binary, subscribe("chat:a", "", R"(,"echo":false)")));
    run();
    Client& bob = subscriber("chat:a");
    Client& cid = connect(everything("cid"), endpoint, other);
    receive(cid, client_frame(Opcode::binary, subscribe("chat:a", "")));
    run();
    ann.take();
    cid.take();
    deliver({publication("chat:a", "1", "k.1", ann.id)});
    EXPECT_EQ(ann.take(), Lines{});
    EXPECT_EQ(bob.take(), Lines{"event chat:a 1 @k.1"});
    EXPECT_EQ(cid.take(), Lines{"event chat:a 1 @k.1"});
    hang_up(ann);
    hang_up(cid);
    run();
}

// --- slow readers ----------------------------------------------------------------------------------------------------

TEST_F(GatewayFanout, EndsASlowReaderAtItsBoundWhileOthersGetEverything) {
    Client& slow = slow_subscriber(64 * 1024);
    Client& fast = subscriber("chat:a", "fast");
    slow.room = 0;
    std::size_t sent = 0;
    while (slow.socket->phase() == Connection::Phase::open && sent < 1000) deliver_many(++sent, 1, 1000);
    EXPECT_GT(sent, 50U) << "the bound is 64k";
    EXPECT_LT(sent, 65U);
    EXPECT_EQ(counters.slow_closed.value(), 1U);
    EXPECT_EQ(counters.subscriptions.value(), 1U);
    EXPECT_EQ(fast.take().size(), sent);
    EXPECT_LT(slow.socket->queue().bytes(), 100U) << "what it didn't read is given up";
    slow.room = SIZE_MAX;
    say(fast, ping(""));
    pass(50ms);
    EXPECT_EQ(slow.bytes, "") << "the socket says when it takes more, not a turn";
    flush_now(slow);
    EXPECT_EQ(slow.take(), Lines{"close 4014 slow_consumer"});
}

TEST_F(GatewayFanout, KeepsAHalfWrittenFrameIntactWhenItEndsASlowReader) {
    Client& slow = slow_subscriber(20'000);
    slow.room = 700;
    deliver_many(1, 2, 1000);  // one chunk: cut in the middle of its first frame
    deliver_many(3, 100, 1000);
    EXPECT_EQ(slow.socket->phase(), Connection::Phase::closing);
    slow.room = SIZE_MAX;
    flush_now(slow);
    EXPECT_EQ(slow.take(), (Lines{"event chat:a " + std::string(1000, 'x') + " @k.1",
                                  "event chat:a " + std::string(1000, 'x') + " @k.2", "close 4014 slow_consumer"}));
    EXPECT_EQ(slow.bytes, "");
}

TEST_F(GatewayFanout, KeepsWhatTlsHasSealedWhenItEndsASlowReader) {
    Client& slow = slow_subscriber(4'000);
    slow.room = 0;
    sealed = 1'500;  // of chunks of some 1,200 bytes
    for (std::size_t i = 1; i <= 4; ++i) deliver_many(i, 1, 1000);
    EXPECT_EQ(slow.socket->phase(), Connection::Phase::closing);
    slow.room = SIZE_MAX;
    flush_now(slow);
    const Lines got = slow.take();
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[1], "event chat:a " + std::string(1000, 'x') + " @k.2");
    EXPECT_EQ(got[2], "close 4014 slow_consumer");
}

TEST_F(GatewayFanout, EndsSeveralSlowReadersInOneDelivery) {
    std::vector<Client*> slow;
    for (int i = 0; i < 4; ++i) slow.push_back(&slow_subscriber(4'000));
    Client& fast = subscriber("chat:a", "fast");
    ask(*slow[1], subscribe("chat:b", ""));
    for (Client* one : slow) one->room = 0;
    slow[2]->room = SIZE_MAX;
    deliver_many(1, 3, 1000);
    deliver_many(4, 3, 1000);
    EXPECT_EQ(counters.slow_closed.value(), 3U);
    EXPECT_EQ(fast.take().size(), 6U);
    EXPECT_EQ(slow[2]->take().size(), 6U);
    EXPECT_EQ(counters.subscriptions.value(), 2U);
    EXPECT_EQ(weftd.take().back(), "unsubscribe chat:b");
    for (Client* one : {slow[0], slow[1], slow[3]}) {
        one->room = SIZE_MAX;
        flush_now(*one);
        EXPECT_EQ(one->take(), Lines{"close 4014 slow_consumer"});
    }
}

TEST_F(GatewayFanout, DeliversNothingBehindWhatASlowReaderLost) {
    Client& bob = connect("bob");
    Client& slow = slow_subscriber(4'000);
    slow.room = 100;
    deliver_many(1, 3, 1000);
    // In one turn: more than may wait, as somebody's joining has it delivered early; one publication behind that; and
    // the socket says that it takes no more.
    weftd.send(publication("chat:a", text_of(1000), "k.4"));
    carry_in();
    say(bob, subscribe("chat:a", ""));
    weftd.send(publication("chat:a", text_of(1), "k.5"));
    carry_in();
    flush_now(slow);
    EXPECT_EQ(slow.socket->phase(), Connection::Phase::closing);
    run();
    slow.room = SIZE_MAX;
    flush_now(slow);
    const Lines got = slow.take();
    ASSERT_EQ(got.size(), 4U);
    EXPECT_EQ(got[2], "event chat:a " + std::string(1000, 'x') + " @k.3");
    EXPECT_EQ(got[3], "close 4014 slow_consumer") << "who resumed from k.5 would never get k.4";
}

TEST_F(GatewayFanout, EndsWhoAsksForMoreRepliesThanItReads) {
    EndpointSettings at;
    at.rate = {};
    at.send_queue = 2'000;
    Client& ann = connect(everything("ann"), at, wire);
    ann.room = 0;
    int asked = 0;
    while (ann.socket->phase() == Connection::Phase::open && asked < 1000) {
        say(ann, ping("0123456789"));
        run();
        ++asked;
    }
    EXPECT_GT(asked, 30);
    EXPECT_LT(asked, 60);
    EXPECT_EQ(ann.socket->close_code(), 4014);
}

TEST_F(GatewayFanout, DoesntTakeAReaderWhoKeepsUpForSlowWhenATurnBringsMuch) {
    Client& ann = slow_subscriber(64 * 1024);
    deliver_many(1, 300, 1000);
    EXPECT_EQ(ann.take().size(), 300U);
    ann.room = 300'000;  // of some 350,000
    deliver_many(301, 300, 1000);
    EXPECT_GT(ann.socket->queue().bytes(), 20'000U);
    EXPECT_EQ(ann.socket->phase(), Connection::Phase::open) << "what is left is below the bound";
    ann.room = 200'000;
    deliver_many(601, 300, 1000);
    EXPECT_EQ(ann.socket->phase(), Connection::Phase::closing);
    EXPECT_EQ(counters.slow_closed.value(), 1U);
}

TEST_F(GatewayFanout, EndsASlowReaderOnce) {
    Client& slow = slow_subscriber(4'000);
    slow.room = 0;
    deliver_many(1, 5, 1000);
    for (int i = 0; i < 3; ++i) flush_now(slow);
    deliver_many(6, 5, 1000);
    EXPECT_EQ(counters.slow_closed.value(), 1U);
    hang_up(slow);
    run();
    EXPECT_TRUE(slow.closed());
    EXPECT_EQ(slow.close_code, 4014);
}

// --- flushing --------------------------------------------------------------------------------------------------------

TEST_F(GatewayFanout, LetsTheHostDestroyAConnectionWhileItIsFlushed) {
    std::vector<Client*> all;
    for (int i = 0; i < 5; ++i) all.push_back(&subscriber("chat:a"));
    all[0]->breaks = all[2]->breaks = all[4]->breaks = true;
    deliver({publication("chat:a", "1", "k.1")});
    for (const std::size_t gone : {0U, 2U, 4U}) {
        EXPECT_TRUE(all[gone]->closed());
        EXPECT_EQ(all[gone]->close_code, 1006);
    }
    for (const std::size_t there : {1U, 3U}) EXPECT_EQ(all[there]->take(), Lines{"event chat:a 1 @k.1"});
    EXPECT_EQ(counters.active.value(), 2U);
    EXPECT_EQ(counters.subscriptions.value(), 2U);
    all[1]->breaks = all[3]->breaks = true;
    deliver({publication("chat:a", "2", "k.2")});
    EXPECT_EQ(gateway().connections(), 0U);
    EXPECT_EQ(weftd.take(), Lines{"unsubscribe chat:a"});
}

TEST_F(GatewayFanout, LeavesWhatAFlushBringsToTheNextTurn) {
    Client& ann = subscriber("chat:a");
    Client& bob = subscriber("chat:a");
    Connection* first = nullptr;  // whichever it is
    bool once = true;
    on_flush = [&](Connection& connection) {
        if (first == nullptr) {
            first = &connection;
        } else if (std::exchange(once, false)) {
            first->end(Code::revoked);
        }
    };
    ann.flushes = bob.flushes = 0;
    deliver({publication("chat:a", "1", "k.1")});
    Client& ended = first == ann.socket ? ann : bob;
    Client& other = first == ann.socket ? bob : ann;
    EXPECT_EQ(ended.take(), (Lines{"event chat:a 1 @k.1", "close 4013 revoked"}));
    EXPECT_EQ(other.flushes, 1U);
    EXPECT_EQ(ended.flushes, 2U);
}

TEST_F(GatewayFanout, AsksForNoTurnWhenThereIsNothingToDo) {
    subscriber("chat:a");
    turns = 0;
    deliver({publication("chat:b", "1", "k.1"), signal("chat:b", "x"), published(99), gap("chat:b", "k.1")});
    pass(1s);
    EXPECT_EQ(turns, 0U);
}

TEST_F(GatewayFanout, SendsAllCommandsOfATurnInOneBatch) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    for (Client* one : {&ann, &bob}) {
        for (int i = 0; i < 10; ++i) say(*one, publish("chat:a", "", "1"));
    }
    std::string batch;
    ASSERT_TRUE(gateway().link().next_batch(batch, clock.now));
    v1::Batch parsed;
    ASSERT_TRUE(parsed.ParseFromString(batch));
    EXPECT_EQ(parsed.frames_size(), 20);
    EXPECT_FALSE(gateway().link().next_batch(batch, clock.now));
}

}  // namespace
}  // namespace weft
