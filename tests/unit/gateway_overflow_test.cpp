// What becomes of publications for readers that don't keep up, by the rule of their channel; of senders when weftd
// doesn't; and of the worker's memory.
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class GatewayOverflow : public ScriptedGateway {
protected:
    GatewayOverflow() {
        add_rule("drop:*", Overflow::drop_oldest);
        add_rule("latest:*", Overflow::conflate);
        endpoint.send_queue = 4096;
    }
    void add_rule(const char* pattern, Overflow overflow) {
        ChannelRule rule{*ChannelPattern::parse(pattern)};
        rule.publish = true;
        rule.overflow = overflow;
        rules.add(std::move(rule));
    }
    static std::string big(int n, std::size_t size = 1000) {
        return "[" + std::to_string(n) + ",\"" + std::string(size, 'x') + "\"]";
    }
    /// Publications n of `channel`, each in a turn of its own.
    void deliver_each(const std::string& channel, int from, int to, std::size_t size = 1000) {
        for (int n = from; n <= to; ++n) deliver({publication(channel, big(n, size), "k." + std::to_string(n))});
    }
    /// What the client reads once it reads again: "3" for a big event, else the line.
    Lines read(Client& client) {
        client.room = SIZE_MAX;
        flush_now(client);
        run();
        Lines lines;
        for (const std::string& line : client.take()) {
            const auto bracket = line.find(" [");
            lines.push_back(bracket == std::string::npos ? line
                                                         : line.substr(bracket + 2, line.find(',') - bracket - 2));
        }
        return lines;
    }
};

TEST_F(GatewayOverflow, DropsTheOldestAndTellsTheGapWhereTheRuleSaysSo) {
    Client& ann = subscriber("drop:a");
    Client& bob = subscriber("drop:a", "bob");
    ann.room = 10;
    deliver_each("drop:a", 1, 9);
    EXPECT_GT(counters.dropped.value(), 0U);
    EXPECT_EQ(counters.slow_closed.value(), 0U);
    EXPECT_EQ(read(bob), (Lines{"1", "2", "3", "4", "5", "6", "7", "8", "9"}));
    EXPECT_EQ(read(ann), (Lines{"1", "gap drop:a", "8", "9"})) << "the first was half written";
    deliver_each("drop:a", 10, 10);
    EXPECT_EQ(read(ann), Lines{"10"});
}

TEST_F(GatewayOverflow, ClosesWhenWhatMayBeDroppedIsNotEnough) {
    Client& ann = subscriber("drop:a");
    ask(ann, subscribe("chat:a", ""));
    ann.room = 0;
    deliver_each("chat:a", 1, 3);
    deliver_each("drop:a", 1, 3);
    EXPECT_EQ(ann.socket->phase(), Connection::Phase::open);
    deliver_each("chat:a", 4, 5);
    EXPECT_NE(ann.socket->phase(), Connection::Phase::open);
    EXPECT_EQ(read(ann), Lines{"close 4014 slow_consumer"});
    EXPECT_EQ(counters.slow_closed.value(), 1U);
}

TEST_F(GatewayOverflow, KeepsAnswersWhateverItDrops) {
    Client& ann = subscriber("drop:a");
    ann.room = 0;
    deliver_each("drop:a", 1, 2);
    say(ann, ping("1"));
    end_turn();
    deliver_each("drop:a", 3, 5);
    EXPECT_EQ(read(ann), (Lines{"gap drop:a", "pong#1", "3", "4", "5"}));
}

TEST_F(GatewayOverflow, GivesAReaderThatIsBehindTheNewestOnlyWhereTheRuleSaysSo) {
    Client& ann = subscriber("latest:a");
    Client& bob = subscriber("latest:a", "bob");
    ask(ann, subscribe("latest:b", ""));
    ann.room = 10;
    deliver_each("latest:a", 1, 3, 10);
    deliver_each("latest:b", 7, 8, 10);
    deliver({publication("latest:a", big(4, 1), "k.4"), publication("latest:a", big(5, 1), "k.5"),
             publication("latest:b", big(9, 1), "k.9")});
    EXPECT_EQ(read(bob), (Lines{"1", "2", "3", "4", "5"}));
    EXPECT_EQ(read(ann), (Lines{"1", "5", "9"}));
    EXPECT_EQ(counters.conflated.value(), 3U + 2U);
    deliver({publication("latest:a", big(6), "k.6"), publication("latest:a", big(7), "k.7")});
    EXPECT_EQ(read(ann), (Lines{"6", "7"})) << "who keeps up gets everything";
}

TEST_F(GatewayOverflow, ConflatesEventsNeverForASignalAndKeepsGaps) {
    Client& ann = subscriber("latest:a");
    ann.room = 0;
    deliver_each("latest:a", 1, 1, 10);
    deliver({signal("latest:a", "typing"), publication("latest:a", big(2), "k.2"), signal("latest:a", "typing")});
    deliver({signal("latest:a", "typing")});
    EXPECT_EQ(read(ann), Lines{"2"});
    ann.room = 0;
    deliver_each("latest:a", 3, 3, 10);
    deliver({gap("latest:a", "k.9")});
    deliver_each("latest:a", 10, 10, 10);
    const Lines lines = read(ann);
    EXPECT_EQ(lines.back(), "10");
}

TEST_F(GatewayOverflow, FreesSendMemoryAtTheCostOfTheSlowest) {
    endpoint.send_queue = 1 << 20;
    gateway().set_send_memory(SendMemory::bytes() + 200'000);
    Client& fast = subscriber("chat:a");
    Client& slow = subscriber("chat:a");
    Client& slower = subscriber("chat:b");
    slow.room = slower.room = 0;
    for (int n = 1; n <= 10; ++n) deliver({publication("chat:b", big(n, 10'000), "k." + std::to_string(n))});
    for (int n = 1; n <= 8; ++n) deliver({publication("chat:a", big(n, 10'000), "k." + std::to_string(n))});
    EXPECT_EQ(slower.socket->phase(), Connection::Phase::open);
    for (int n = 9; n <= 12; ++n) deliver({publication("chat:a", big(n, 10'000), "k." + std::to_string(n))});
    EXPECT_EQ(counters.slow_closed.value(), 1U) << "one was enough";
    EXPECT_EQ(slower.socket->phase() == Connection::Phase::open, slow.socket->phase() != Connection::Phase::open);
    EXPECT_EQ(read(fast).size(), 12U);
    EXPECT_EQ(fast.socket->phase(), Connection::Phase::open);
}

TEST_F(GatewayOverflow, CountsWhoIsBlocked) {
    Client& ann = subscriber("chat:a");
    Client& bob = subscriber("chat:a", "bob");
    ann.room = bob.room = 0;
    deliver_each("chat:a", 1, 1, 10);
    EXPECT_EQ(counters.blocked.value(), 2U);
    read(ann);
    EXPECT_EQ(counters.blocked.value(), 1U);
    hang_up(bob);
    run();
    EXPECT_EQ(counters.blocked.value(), 0U);
}

TEST_F(GatewayOverflow, SignalsGiveWayWhileMuchWaitsForWeftd) {
    EndpointSettings at;
    at.max_message = 2 << 20;
    at.rate = {};
    Client& ann = connect(everything("ann"), at, wire);
    link_stuck = true;
    const std::string signal = R"({"type":"signal","payload":{"channel":"chat:a","name":"typing"}})";
    say(ann, signal);
    end_turn();
    EXPECT_EQ(counters.signals_dropped.value(), 0U);
    for (int i = 0; i < 4; ++i) say(ann, publish("chat:a", "", '"' + std::string(1 << 20, 'x') + '"'));
    end_turn();
    const std::size_t waiting = gateway().link().queued_bytes();
    ASSERT_GT(waiting, Gateway::kRelievedBytes);
    say(ann, signal);
    end_turn();
    EXPECT_EQ(counters.signals_dropped.value(), 1U);
    EXPECT_EQ(gateway().link().queued_bytes(), waiting);
    EXPECT_EQ(ann.take(), Lines{}) << "nobody is told of what is of the moment";
}

TEST_F(GatewayOverflow, StopsReadingClientsWhileTooMuchWaitsForWeftd) {
    EndpointSettings at;
    at.max_message = 2 << 20;
    at.rate = {};
    at.heartbeat = 1s;
    at.heartbeat_timeout = 500ms;
    Client& flood = connect(everything("eve"), at, wire);
    Client& other = connect(everything("bob"), at, wire);
    link_stuck = true;
    const std::string message = '"' + std::string(1 << 20, 'x') + '"';
    std::size_t sent = 0;
    for (; sent < 100 && flood.socket->may_read(); ++sent) {
        say(flood, publish("chat:a", "", message));
        end_turn();
    }
    EXPECT_EQ(sent, Gateway::kCongestedBytes / (1 << 20) + (Gateway::kCongestedBytes % (1 << 20) == 0 ? 0 : 1));
    EXPECT_EQ(flood.take(), Lines{}) << "nothing was refused";
    EXPECT_FALSE(other.socket->may_read());
    flood.paused = other.paused = true;
    flood.socket->pause_reading();
    other.socket->pause_reading();
    gateway().resume_paused();
    EXPECT_TRUE(flood.paused);
    EXPECT_EQ(counters.paused.value(), 2U);
    for (int i = 0; i < 40; ++i) {
        clock.now += 50ms;
        gateway().set_time(clock.now, clock.wall);
        gateway().tick();
        if (i % 10 == 9) weftd.tick();
        carry_in();
    }
    EXPECT_EQ(other.socket->phase(), Connection::Phase::open) << "its silence is our doing";
    link_stuck = false;
    run();
    gateway().resume_paused();
    EXPECT_FALSE(flood.paused);
    EXPECT_FALSE(other.paused);
    EXPECT_TRUE(flood.socket->may_read());
    EXPECT_EQ(counters.paused.value(), 0U);
}

TEST_F(GatewayOverflow, ReadsOnWhenTheLinkIsLost) {
    EndpointSettings at;
    at.max_message = 2 << 20;
    at.rate = {};
    Client& flood = connect(everything("eve"), at, wire);
    link_stuck = true;
    while (flood.socket->may_read()) {
        say(flood, publish("chat:a", "1", '"' + std::string(1 << 20, 'x') + '"'));
        end_turn();
    }
    flood.paused = true;
    flood.socket->pause_reading();
    link_down();
    gateway().resume_paused();
    EXPECT_FALSE(flood.paused);
    EXPECT_TRUE(flood.socket->may_read());
    end_turn();
    for (const std::string& line : flood.take()) EXPECT_EQ(line, "error#1 4017 retry 1000");
}

TEST_F(GatewayOverflow, ForgetsAPausedConnectionThatGoes) {
    EndpointSettings at;
    at.echo = true;
    at.send_queue = 1000;
    Client& ann = accept(at, wire);
    gateway().open(*ann.socket, everything("ann"));
    ann.room = 0;
    say(ann, std::string(2000, 'x'));
    end_turn();
    EXPECT_FALSE(ann.socket->may_read());
    ann.socket->pause_reading();
    hang_up(ann);
    run();
    EXPECT_EQ(counters.paused.value(), 0U);
    gateway().resume_paused();
}

}  // namespace
}  // namespace weft
