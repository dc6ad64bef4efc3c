// BatchQueue, LinkDialer and LinkListener: the rules of v1/link.proto.
#include "weft/link_session.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr LinkTimings kTimings{1000ms, 3000ms, 10000ms};
constexpr std::size_t kMaxQueued = 64 * 1024;

Instant at(int ms) {
    return Instant{std::chrono::milliseconds{ms}};
}

std::string encoded(const v1::Frame& frame) {
    return frame.SerializeAsString();
}

v1::Frame subscribe(const std::string& channel) {
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(channel);
    return frame;
}

v1::Frame gap(const std::string& channel) {
    v1::Frame frame;
    frame.mutable_gap()->set_channel(channel);
    return frame;
}

v1::Batch decode(const std::string& bytes) {
    v1::Batch batch;
    EXPECT_TRUE(batch.ParseFromString(bytes));
    return batch;
}

struct DialerLog : LinkDialer::Events {
    std::vector<std::string> events;  // "up NODE", "down WHY", "frame CHANNEL", "refused MESSAGE"
    void on_link_up(const v1::Welcome& welcome, Instant) override { events.push_back("up " + welcome.node()); }
    void on_link_down(std::string_view why, Instant) override { events.push_back("down " + std::string(why)); }
    void on_link_frame(v1::Frame& frame, Instant) override { events.push_back("frame " + frame.gap().channel()); }
    void on_link_refused(const v1::Refused& refused, Instant) override {
        events.push_back("refused " + refused.message());
    }
};

struct ListenerLog : LinkListener::Events {
    std::vector<std::string> events;  // "up NAME", "down WHY", "frame CHANNEL", "rejected WHY"
    std::string refusal;
    std::string on_dialer_up(const v1::Hello& hello, Instant) override {
        if (refusal.empty()) events.push_back("up " + hello.name());
        return refusal;
    }
    void on_dialer_down(std::string_view why, Instant) override { events.push_back("down " + std::string(why)); }
    void on_dialer_frame(v1::Frame& frame, Instant) override {
        events.push_back("frame " + frame.subscribe().channel());
    }
    void on_dialer_rejected(std::string_view why, Instant) override {
        events.push_back("rejected " + std::string(why));
    }
};

std::size_t count(const std::vector<std::string>& events, std::string_view prefix) {
    std::size_t n = 0;
    for (const std::string& event : events) n += event.starts_with(prefix);
    return n;
}

// Both ends with nothing but function calls between them.
class LinkSession : public testing::Test {
protected:
    static v1::Hello hello() {
        v1::Hello hello;
        hello.set_kind(v1::Hello::WORKER);
        hello.set_name("host/1");
        return hello;
    }
    static v1::Welcome welcome() {
        v1::Welcome welcome;
        welcome.set_node("a");
        welcome.set_incarnation(77);
        return welcome;
    }

    void to_listener() {
        std::string bytes;
        while (dialer.next_batch(bytes, now)) listener.on_message(bytes, now);
    }
    void to_dialer() {
        std::string bytes;
        while (listener.next_batch(bytes, now)) dialer.on_message(bytes, now);
    }
    void exchange() {
        while (dialer.wants_send(now) || listener.wants_send(now)) {
            to_listener();
            to_dialer();
        }
    }
    void connect() {
        dialer.on_connected(now);
        exchange();
        ASSERT_TRUE(dialer.up());
        ASSERT_TRUE(listener.up());
    }
    // Time goes by in steps that an event loop would make; both ends tick and all that they send arrives.
    void live(std::chrono::milliseconds time) {
        for (const Instant end = now + time; now < end;) {
            now += 250ms;
            exchange();
            dialer.on_tick(now);
            listener.on_tick(now);
            exchange();
        }
    }
    std::string next_from_dialer() {
        std::string bytes;
        EXPECT_TRUE(dialer.next_batch(bytes, now));
        return bytes;
    }
    std::string next_from_listener() {
        std::string bytes;
        EXPECT_TRUE(listener.next_batch(bytes, now));
        return bytes;
    }

    Instant now = at(1000);
    std::uint64_t randoms = 100;
    DialerLog dialer_log;
    ListenerLog listener_log;
    LinkDialer dialer{hello(), kTimings, [this] { return ++randoms; }, dialer_log};
    LinkListener listener{welcome(), kTimings, kMaxQueued, listener_log};
};

// --- BatchQueue
// --------------------------------------------------------------------------------------------------------

TEST(BatchQueue, PacksFramesInOrderUnderTheNumberOfTheFirst) {
    BatchQueue queue;
    EXPECT_EQ(queue.push(encoded(subscribe("a"))), 1u);
    EXPECT_EQ(queue.push(encoded(subscribe("b"))), 2u);
    std::string bytes = "what was there before";
    queue.pop(bytes, 7, 42);
    v1::Batch batch = decode(bytes);
    EXPECT_EQ(batch.session(), 7u);
    EXPECT_EQ(batch.first(), 1u);
    EXPECT_EQ(batch.ack(), 42u);
    ASSERT_EQ(batch.frames_size(), 2);
    EXPECT_EQ(batch.frames(0).subscribe().channel(), "a");
    EXPECT_EQ(batch.frames(1).subscribe().channel(), "b");

    queue.push(encoded(subscribe("c")));
    queue.pop(bytes, 7, 43);
    batch = decode(bytes);
    EXPECT_EQ(batch.first(), 3u);
    ASSERT_EQ(batch.frames_size(), 1);
    EXPECT_EQ(batch.frames(0).subscribe().channel(), "c");
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.bytes(), 0u);
}

TEST(BatchQueue, GivesAnEmptyBatchWithTheNextNumberWhenNothingIsQueued) {
    BatchQueue queue;
    queue.push(encoded(subscribe("a")));
    std::string bytes;
    queue.pop(bytes, 7, 0);
    queue.pop(bytes, 7, 0);
    EXPECT_EQ(decode(bytes).first(), 2u);
    EXPECT_EQ(decode(bytes).frames_size(), 0);
}

TEST(BatchQueue, ClosesABatchAtTheMostFrames) {
    BatchQueue queue;
    for (std::size_t i = 0; i <= kMaxBatchFrames; ++i) queue.push(encoded(subscribe("a")));
    std::string bytes;
    queue.pop(bytes, 7, 0);
    EXPECT_EQ(decode(bytes).frames_size(), static_cast<int>(kMaxBatchFrames));
    queue.pop(bytes, 7, 0);
    EXPECT_EQ(decode(bytes).frames_size(), 1);
    EXPECT_EQ(decode(bytes).first(), kMaxBatchFrames + 1);
}

TEST(BatchQueue, ClosesABatchOnceItReachesTheMostBytes) {
    BatchQueue queue;
    v1::Frame large;
    large.mutable_publish()->set_data(std::string(kMaxBatchBytes, 'x'));
    queue.push(encoded(subscribe("a")));
    queue.push(encoded(large));
    queue.push(encoded(subscribe("b")));
    std::string bytes;
    queue.pop(bytes, 7, 0);
    EXPECT_EQ(decode(bytes).frames_size(), 2);
    queue.pop(bytes, 7, 0);
    EXPECT_EQ(decode(bytes).first(), 3u);
}

TEST(BatchQueue, ReusesBuffersWithoutMixingWhatTheyHeld) {
    BatchQueue queue;
    std::string bytes;
    for (int round = 0; round < 5; ++round) {
        const std::string channel(static_cast<std::size_t>(100 - 20 * round), static_cast<char>('a' + round));
        queue.push(encoded(subscribe(channel)));
        queue.pop(bytes, 7, 0);
        ASSERT_EQ(decode(bytes).frames_size(), 1);
        EXPECT_EQ(decode(bytes).frames(0).subscribe().channel(), channel);
    }
}

TEST(BatchQueue, StartsAtOneAgainWhenCleared) {
    BatchQueue queue;
    queue.push(encoded(subscribe("a")));
    queue.clear();
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.bytes(), 0u);
    EXPECT_EQ(queue.push(encoded(subscribe("b"))), 1u);
}

// --- opening
// -----------------------------------------------------------------------------------------------------------

TEST_F(LinkSession, OpensWithHelloAsFrameOneAndWelcomeAsFrameOne) {
    dialer.on_connected(now);
    EXPECT_EQ(dialer.state(), LinkDialer::State::greeting);
    const std::string first = next_from_dialer();
    v1::Batch batch = decode(first);
    EXPECT_NE(batch.session(), 0u);
    EXPECT_EQ(batch.first(), 1u);
    ASSERT_EQ(batch.frames_size(), 1);
    EXPECT_EQ(batch.frames(0).hello().version(), kLinkVersion);
    EXPECT_EQ(batch.frames(0).hello().name(), "host/1");

    listener.on_message(first, now);
    const std::string answer = next_from_listener();
    EXPECT_EQ(decode(answer).session(), batch.session());
    EXPECT_EQ(decode(answer).first(), 1u);
    EXPECT_EQ(decode(answer).ack(), 1u);
    ASSERT_EQ(decode(answer).frames_size(), 1);
    const v1::Welcome welcome = decode(answer).frames(0).welcome();
    EXPECT_EQ(welcome.version(), kLinkVersion);
    EXPECT_EQ(welcome.heartbeat_ms(), 1000u);
    EXPECT_EQ(welcome.dead_ms(), 3000u);

    dialer.on_message(answer, now);
    EXPECT_TRUE(dialer.up());
    EXPECT_EQ(dialer_log.events, std::vector<std::string>{"up a"});
    EXPECT_EQ(listener_log.events, std::vector<std::string>{"up host/1"});
    EXPECT_EQ(dialer.acked(), 1u);
}

TEST_F(LinkSession, CarriesFramesBothWaysInOrder) {
    connect();
    EXPECT_EQ(dialer.send(subscribe("x")), 2u);
    EXPECT_EQ(dialer.send_encoded(encoded(subscribe("y"))), 3u);
    EXPECT_TRUE(listener.send(encoded(gap("p")), now));
    EXPECT_TRUE(listener.send(encoded(gap("q")), now));
    exchange();
    EXPECT_EQ(listener_log.events, (std::vector<std::string>{"up host/1", "frame x", "frame y"}));
    EXPECT_EQ(dialer_log.events, (std::vector<std::string>{"up a", "frame p", "frame q"}));
}

TEST_F(LinkSession, TakesNothingToSendBeforeItIsUp) {
    EXPECT_EQ(dialer.send(subscribe("x")), 0u);
    EXPECT_FALSE(listener.send(encoded(gap("p")), now));
    dialer.on_connected(now);
    EXPECT_EQ(dialer.send(subscribe("x")), 0u);
    exchange();
    EXPECT_EQ(listener_log.events, std::vector<std::string>{"up host/1"});
}

TEST_F(LinkSession, OpensAnotherSessionWhenNoWelcomeComes) {
    dialer.on_connected(now);
    const std::uint64_t first = decode(next_from_dialer()).session();  // lost
    now += 2999ms;
    dialer.on_tick(now);
    EXPECT_EQ(decode(next_from_dialer()).session(), first);  // a heartbeat
    now += 1ms;
    dialer.on_tick(now);
    const v1::Batch again = decode(next_from_dialer());
    EXPECT_NE(again.session(), first);
    EXPECT_TRUE(again.frames(0).has_hello());
    EXPECT_TRUE(dialer_log.events.empty());  // it never was up
}

TEST_F(LinkSession, LearnsFromAHeartbeatThatHelloWasLost) {
    dialer.on_connected(now);
    next_from_dialer();  // lost
    live(1500ms);
    EXPECT_TRUE(dialer.up());
}

TEST_F(LinkSession, ReplacesTheSessionWhenTheDialerOpensAnother) {
    connect();
    dialer.on_disconnected("cable cut", now);
    dialer.on_connected(now);
    exchange();
    EXPECT_EQ(dialer_log.events, (std::vector<std::string>{"up a", "down cable cut", "up a"}));
    EXPECT_EQ(listener_log.events,
              (std::vector<std::string>{"up host/1", "down the dialer opened a new session", "up host/1"}));
}

// --- acknowledgements and heartbeats
// -----------------------------------------------------------------------------------

TEST_F(LinkSession, AcknowledgesWithinAQuarterOfAHeartbeat) {
    connect();
    now += 250ms;
    listener.send(encoded(gap("p")), now);
    exchange();  // now both have just sent and acknowledged
    const std::uint64_t number = dialer.send(subscribe("x"));
    to_listener();
    EXPECT_FALSE(listener.wants_send(now));
    now += 249ms;
    EXPECT_FALSE(listener.wants_send(now));
    now += 1ms;
    ASSERT_TRUE(listener.wants_send(now));
    to_dialer();
    EXPECT_EQ(dialer.acked(), number);
    EXPECT_FALSE(listener.wants_send(now));
    EXPECT_FALSE(dialer.wants_send(now));  // an acknowledgement isn't acknowledged
}

TEST_F(LinkSession, AcknowledgesWithWhateverIsSent) {
    connect();
    const std::uint64_t number = dialer.send(subscribe("x"));
    to_listener();
    listener.send(encoded(gap("p")), now);
    to_dialer();
    EXPECT_EQ(dialer.acked(), number);
}

TEST_F(LinkSession, SendsAHeartbeatWhenNothingElseIsSent) {
    connect();
    live(250ms);  // the dialer acknowledges the Welcome; the listener has sent nothing since
    std::string bytes;
    now += 749ms;
    EXPECT_FALSE(listener.next_batch(bytes, now));
    now += 1ms;
    ASSERT_TRUE(listener.next_batch(bytes, now));
    EXPECT_EQ(decode(bytes).frames_size(), 0);
    EXPECT_EQ(decode(bytes).first(), 2u);
    now += 249ms;
    EXPECT_FALSE(dialer.next_batch(bytes, now));
    now += 1ms;
    ASSERT_TRUE(dialer.next_batch(bytes, now));
    EXPECT_EQ(decode(bytes).frames_size(), 0);
    EXPECT_EQ(decode(bytes).first(), 2u);
}

TEST_F(LinkSession, StaysUpOnHeartbeatsAlone) {
    connect();
    live(60s);
    EXPECT_EQ(dialer_log.events, std::vector<std::string>{"up a"});
    EXPECT_EQ(listener_log.events, std::vector<std::string>{"up host/1"});
}

TEST_F(LinkSession, KeepsTheListenersRhythm) {
    LinkTimings quick{100ms, 300ms, 10000ms};
    LinkListener fast{welcome(), quick, kMaxQueued, listener_log};
    std::string bytes;
    dialer.on_connected(now);
    while (dialer.next_batch(bytes, now)) fast.on_message(bytes, now);
    while (fast.next_batch(bytes, now)) dialer.on_message(bytes, now);
    ASSERT_TRUE(dialer.up());
    while (dialer.next_batch(bytes, now)) fast.on_message(bytes, now);
    now += 100ms;
    EXPECT_TRUE(dialer.wants_send(now));
    now += 200ms;
    dialer.on_tick(now);
    EXPECT_FALSE(dialer.up());
}

TEST_F(LinkSession, TakesASilentListenerForGoneAndOpensAtOnceASessionAgain) {
    connect();
    const std::uint64_t session = randoms;
    now += 2999ms;
    dialer.on_tick(now);
    EXPECT_TRUE(dialer.up());
    now += 1ms;
    dialer.on_tick(now);
    EXPECT_EQ(dialer.state(), LinkDialer::State::greeting);
    EXPECT_EQ(count(dialer_log.events, "down the listener was silent for 3000 ms"), 1u);
    EXPECT_NE(decode(next_from_dialer()).session(), session);
}

TEST_F(LinkSession, DropsASilentDialer) {
    connect();
    now += 2999ms;
    listener.on_tick(now);
    EXPECT_TRUE(listener.up());
    EXPECT_FALSE(listener.idle(now));
    now += 1ms;
    listener.on_tick(now);
    EXPECT_FALSE(listener.up());
    EXPECT_EQ(listener_log.events.back(), "down the dialer was silent for 3000 ms");
    EXPECT_TRUE(listener.idle(now));
}

TEST_F(LinkSession, EndsWhenTheTransportSaysThatTheDialerIsGone) {
    connect();
    listener.on_unreachable(now);
    EXPECT_FALSE(listener.up());
    EXPECT_EQ(listener_log.events.back(), "down the dialer is unreachable");
    listener.on_unreachable(now);
    EXPECT_EQ(listener_log.events.size(), 2u);
}

// --- losses
// ------------------------------------------------------------------------------------------------------------

TEST_F(LinkSession, ResetsWhenABatchOfTheDialerIsMissing) {
    connect();
    dialer.send(subscribe("lost"));
    next_from_dialer();
    dialer.send(subscribe("x"));
    to_listener();
    EXPECT_FALSE(listener.up());
    EXPECT_EQ(count(listener_log.events, "frame"), 0u);
    const std::string bytes = next_from_listener();
    EXPECT_EQ(decode(bytes).first(), 0u);
    EXPECT_EQ(decode(bytes).frames(0).reset().reason(), v1::Reset::MISSING_FRAME);
    dialer.on_message(bytes, now);
    EXPECT_EQ(count(dialer_log.events, "down the listener reset the session: MISSING_FRAME"), 1u);
    exchange();
    EXPECT_TRUE(dialer.up());
    EXPECT_TRUE(listener.up());
}

TEST_F(LinkSession, OpensAnotherSessionWhenABatchOfTheListenerIsMissing) {
    connect();
    listener.send(encoded(gap("lost")), now);
    next_from_listener();
    listener.send(encoded(gap("p")), now);
    to_dialer();
    EXPECT_EQ(count(dialer_log.events, "frame"), 0u);
    EXPECT_EQ(dialer_log.events.back(), "down frames from the listener are missing");
    exchange();
    EXPECT_TRUE(dialer.up());
    EXPECT_EQ(listener_log.events.back(), "up host/1");
}

TEST_F(LinkSession, NoticesALostTailAtTheNextHeartbeat) {
    connect();
    dialer.send(subscribe("lost"));
    next_from_dialer();
    listener.send(encoded(gap("lost")), now);
    next_from_listener();
    live(1250ms);
    EXPECT_GE(count(dialer_log.events, "down"), 1u);
    EXPECT_GE(count(listener_log.events, "down"), 1u);
    EXPECT_TRUE(dialer.up());
    EXPECT_TRUE(listener.up());
}

TEST_F(LinkSession, ResetsASessionThatItDoesNotKnow) {
    connect();
    LinkListener restarted{welcome(), kTimings, kMaxQueued, listener_log};
    dialer.send(subscribe("x"));
    restarted.on_message(next_from_dialer(), now);
    EXPECT_EQ(count(listener_log.events, "frame"), 0u);
    std::string bytes;
    ASSERT_TRUE(restarted.next_batch(bytes, now));
    EXPECT_EQ(decode(bytes).frames(0).reset().reason(), v1::Reset::UNKNOWN_SESSION);
    dialer.on_message(bytes, now);  // it echoes the dialer's session, so the dialer heeds it
    EXPECT_EQ(dialer.state(), LinkDialer::State::greeting);
}

TEST_F(LinkSession, AnswersManyBatchesOfAnUnknownSessionWithOneReset) {
    connect();
    LinkListener restarted{welcome(), kTimings, kMaxQueued, listener_log};
    for (int i = 0; i < 100; ++i) {
        dialer.send(subscribe("x"));
        restarted.on_message(next_from_dialer(), now);
    }
    std::string bytes;
    int resets = 0;
    while (restarted.next_batch(bytes, now)) ++resets;
    EXPECT_EQ(resets, 1);
}

TEST_F(LinkSession, BoundsTheResetsThatWait) {
    for (std::uint64_t session = 1; session < 100; ++session) {
        v1::Batch batch;
        batch.set_session(session);
        batch.set_first(2);
        listener.on_message(batch.SerializeAsString(), now);
    }
    std::string bytes;
    std::size_t resets = 0;
    while (listener.next_batch(bytes, now)) ++resets;
    EXPECT_EQ(resets, kMaxUnnumbered);
    EXPECT_EQ(decode(bytes).session(), 99u);  // the newest are kept
}

TEST_F(LinkSession, DialerIgnoresBatchesOfOtherSessions) {
    connect();
    for (const std::uint64_t session : {std::uint64_t{1}, ~std::uint64_t{0}}) {
        v1::Batch batch;
        batch.set_session(session);
        batch.add_frames()->mutable_reset()->set_reason(v1::Reset::UNKNOWN_SESSION);
        dialer.on_message(batch.SerializeAsString(), now);
        batch.set_first(2);
        *batch.mutable_frames(0) = gap("x");
        dialer.on_message(batch.SerializeAsString(), now);
    }
    EXPECT_EQ(dialer_log.events, std::vector<std::string>{"up a"});
}

// --- violations
// --------------------------------------------------------------------------------------------------------

struct Violation {
    const char* name;
    std::function<void(v1::Batch&)> change;  // of an honest batch with one frame, number 2, acknowledging 1
};

class LinkViolation : public LinkSession, public testing::WithParamInterface<Violation> {};

const Violation kViolations[] = {
    {"RepeatedNumber", [](v1::Batch& batch) { batch.set_first(1); }},
    {"EmptyBatchThatGoesBack",
     [](v1::Batch& batch) {
         batch.set_first(1);
         batch.clear_frames();
     }},
    {"FirstZero", [](v1::Batch& batch) { batch.set_first(0); }},
    {"AckOfWhatWasNeverSent", [](v1::Batch& batch) { batch.set_ack(2); }},
    {"AckOfTheHighestNumber", [](v1::Batch& batch) { batch.set_ack(~std::uint64_t{0}); }},
    {"HelloLater", [](v1::Batch& batch) { batch.mutable_frames(0)->mutable_hello()->set_version(1); }},
    {"WelcomeLater", [](v1::Batch& batch) { batch.mutable_frames(0)->mutable_welcome()->set_version(1); }},
    {"NumberedReset", [](v1::Batch& batch) { batch.mutable_frames(0)->mutable_reset(); }},
    {"NumberedRefusal", [](v1::Batch& batch) { batch.mutable_frames(0)->mutable_refused(); }},
    {"TooManyFrames",
     [](v1::Batch& batch) {
         for (std::size_t i = 0; i < kMaxBatchFrames; ++i) batch.add_frames();
     }},
};

TEST_P(LinkViolation, MakesTheListenerReset) {
    connect();
    v1::Batch batch;
    batch.set_session(randoms);
    batch.set_first(2);
    batch.set_ack(1);
    *batch.add_frames() = subscribe("x");
    GetParam().change(batch);
    listener.on_message(batch.SerializeAsString(), now);
    EXPECT_FALSE(listener.up());
    EXPECT_EQ(count(listener_log.events, "frame"), 0u);
    EXPECT_EQ(count(listener_log.events, "rejected"), 1u);
    EXPECT_EQ(count(listener_log.events, "down"), 1u);
    EXPECT_EQ(decode(next_from_listener()).frames(0).reset().reason(), v1::Reset::MALFORMED);
}

TEST_P(LinkViolation, MakesTheDialerOpenAnotherSession) {
    connect();
    const std::uint64_t session = randoms;
    v1::Batch batch;
    batch.set_session(session);
    batch.set_first(2);
    batch.set_ack(1);
    *batch.add_frames() = gap("x");
    GetParam().change(batch);
    dialer.on_message(batch.SerializeAsString(), now);
    EXPECT_FALSE(dialer.up());
    EXPECT_EQ(count(dialer_log.events, "frame"), 0u);
    EXPECT_EQ(count(dialer_log.events, "down"), 1u);
    EXPECT_NE(decode(next_from_dialer()).session(), session);
}

INSTANTIATE_TEST_SUITE_P(Every, LinkViolation, testing::ValuesIn(kViolations),
                         [](const auto& info) { return info.param.name; });

TEST_F(LinkSession, ResetsOnMalformedBytes) {
    connect();
    listener.on_message("\xff\xff\xff", now);
    EXPECT_FALSE(listener.up());
    const std::string bytes = next_from_listener();
    EXPECT_EQ(decode(bytes).frames(0).reset().reason(), v1::Reset::MALFORMED);
    dialer.on_message(bytes, now);
    EXPECT_EQ(count(dialer_log.events, "down"), 1u);
}

TEST_F(LinkSession, DialerOpensAnotherSessionOnMalformedBytes) {
    connect();
    dialer.on_message("\xff\xff\xff", now);
    EXPECT_EQ(dialer_log.events.back(), "down the listener sent malformed bytes");
}

TEST_F(LinkSession, AnswersNothingToMalformedBytesOutsideASession) {
    listener.on_message("\xff\xff\xff", now);
    EXPECT_FALSE(listener.wants_send(now));
    EXPECT_EQ(count(listener_log.events, "rejected"), 1u);
}

TEST_F(LinkSession, RefusesAFirstFrameThatIsNoWelcome) {
    dialer.on_connected(now);
    v1::Batch batch;
    batch.set_session(randoms);
    batch.set_first(1);
    *batch.add_frames() = gap("x");
    dialer.on_message(batch.SerializeAsString(), now);
    EXPECT_FALSE(dialer.up());
    EXPECT_TRUE(dialer_log.events.empty());
}

TEST_F(LinkSession, PassesOverFramesOfAKindThatItDoesNotKnow) {
    connect();
    v1::Batch batch;
    batch.set_session(randoms);
    batch.set_first(2);
    batch.add_frames();
    *batch.add_frames() = subscribe("x");
    listener.on_message(batch.SerializeAsString(), now);
    EXPECT_EQ(listener_log.events, (std::vector<std::string>{"up host/1", "frame x"}));
    *batch.mutable_frames(1) = gap("y");
    dialer.on_message(batch.SerializeAsString(), now);
    EXPECT_EQ(dialer_log.events, (std::vector<std::string>{"up a", "frame y"}));
}

// --- refusals
// ----------------------------------------------------------------------------------------------------------

TEST_F(LinkSession, TellsBothEndsOfAVersionMismatchNamingBothVersions) {
    dialer.on_connected(now);
    v1::Batch batch = decode(next_from_dialer());
    batch.mutable_frames(0)->mutable_hello()->set_version(7);  // as a much newer dialer would
    batch.mutable_frames(0)->mutable_hello()->set_oldest_version(6);
    listener.on_message(batch.SerializeAsString(), now);
    EXPECT_FALSE(listener.up());
    const std::string sentence = "worker host/1 speaks link version 6 to 7, node a speaks 1";
    EXPECT_EQ(listener_log.events, std::vector<std::string>{"rejected " + sentence});

    const std::string bytes = next_from_listener();
    EXPECT_EQ(decode(bytes).first(), 0u);
    EXPECT_EQ(decode(bytes).frames(0).refused().version(), kLinkVersion);
    dialer.on_message(bytes, now);
    EXPECT_EQ(dialer.state(), LinkDialer::State::refused);
    EXPECT_EQ(dialer_log.events, std::vector<std::string>{"refused " + sentence});
}

TEST_F(LinkSession, RefusesAListenerThatWelcomesWithAnotherVersion) {
    dialer.on_connected(now);
    listener.on_message(next_from_dialer(), now);
    v1::Batch batch = decode(next_from_listener());
    batch.mutable_frames(0)->mutable_welcome()->set_version(2);
    dialer.on_message(batch.SerializeAsString(), now);
    EXPECT_EQ(dialer.state(), LinkDialer::State::refused);
    EXPECT_EQ(dialer_log.events, std::vector<std::string>{"refused node a speaks link version 2, this end speaks 1"});
}

TEST_F(LinkSession, TellsADialerWhoRefusedIt) {
    dialer.on_connected(now);
    v1::Batch batch = decode(next_from_dialer());
    batch.mutable_frames(0)->mutable_hello()->set_version(0);
    listener.on_message(batch.SerializeAsString(), now);
    EXPECT_EQ(decode(next_from_listener()).frames(0).refused().incarnation(), welcome().incarnation());
}

// Each end as an older or a newer release would be: the session is held in the newest version that both speak.
TEST(LinkVersion, IsTheNewestThatBothEndsSpeak) {
    constexpr std::uint32_t kNone = 0;
    const struct {
        LinkVersions dialer, listener;
        std::uint32_t common;
    } table[] = {
        {{1, 1}, {1, 1}, 1}, {{1, 2}, {1, 1}, 1},     {{1, 1}, {1, 2}, 1},     {{1, 2}, {1, 2}, 2},
        {{2, 3}, {1, 2}, 2}, {{1, 3}, {2, 2}, 2},     {{2, 3}, {1, 1}, kNone}, {{1, 1}, {2, 3}, kNone},
        {{1, 9}, {1, 4}, 4}, {{4, 4}, {5, 5}, kNone},
    };
    for (const auto& row : table) {
        SCOPED_TRACE(row.dialer.text() + " dials " + row.listener.text());
        EXPECT_EQ(row.dialer.common(row.listener), row.common);
        EXPECT_EQ(row.listener.common(row.dialer), row.common);

        const Instant now = at(0);
        DialerLog dialer_log;
        ListenerLog listener_log;
        v1::Hello hello;
        hello.set_kind(v1::Hello::PEER);
        hello.set_name("b");
        v1::Welcome welcome;
        welcome.set_node("a");
        LinkDialer dialer(
            hello, kTimings, [] { return 7; }, dialer_log, row.dialer);
        LinkListener listener(welcome, kTimings, kMaxQueued, listener_log, row.listener);
        dialer.on_connected(now);
        std::string bytes;
        ASSERT_TRUE(dialer.next_batch(bytes, now));
        listener.on_message(bytes, now);
        ASSERT_TRUE(listener.next_batch(bytes, now));
        const v1::Batch answer = decode(bytes);
        dialer.on_message(bytes, now);

        EXPECT_EQ(dialer.up(), row.common != kNone);
        EXPECT_EQ(listener.up(), row.common != kNone);
        EXPECT_EQ(answer.frames(0).welcome().version(), row.common);
        if (row.common == kNone) {
            EXPECT_EQ(answer.frames(0).refused().version(), row.listener.newest);
            EXPECT_EQ(dialer_log.events,
                      std::vector<std::string>{"refused peer b speaks link version " + row.dialer.text() +
                                               ", node a speaks " + row.listener.text()});
        }
    }
}

TEST(LinkVersion, IsTheOnlyOneOfADialerThatNamesNoOldest) {
    ListenerLog listener_log;
    LinkListener newer({}, kTimings, kMaxQueued, listener_log, {1, 2});
    v1::Batch batch;
    batch.set_session(7);
    batch.set_first(1);
    v1::Hello& hello = *batch.add_frames()->mutable_hello();
    hello.set_version(1);  // as the first releases say it
    hello.set_kind(v1::Hello::WORKER);
    newer.on_message(batch.SerializeAsString(), at(0));
    EXPECT_TRUE(newer.up());
    std::string bytes;
    ASSERT_TRUE(newer.next_batch(bytes, at(0)));
    EXPECT_EQ(decode(bytes).frames(0).welcome().version(), 1u);
}

TEST_F(LinkSession, RetriesAfterARefusal) {
    listener_log.refusal = "no room for more workers";
    dialer.on_connected(now);
    exchange();
    EXPECT_EQ(dialer.state(), LinkDialer::State::refused);
    EXPECT_EQ(dialer_log.events, std::vector<std::string>{"refused no room for more workers"});
    EXPECT_EQ(listener_log.events, std::vector<std::string>{"rejected no room for more workers"});
    listener_log.refusal.clear();
    now += 9999ms;
    dialer.on_tick(now);
    EXPECT_FALSE(dialer.wants_send(now));
    now += 1ms;
    dialer.on_tick(now);
    exchange();
    EXPECT_TRUE(dialer.up());
}

TEST_F(LinkSession, RetriesARefusalAtOnceWhenTheTransportReconnects) {
    listener_log.refusal = "no";
    dialer.on_connected(now);
    exchange();
    listener_log.refusal.clear();
    dialer.on_disconnected("restart", now);
    dialer.on_connected(now);
    exchange();
    EXPECT_TRUE(dialer.up());
}

TEST_F(LinkSession, RefusesADialerOfNoKind) {
    dialer.on_connected(now);
    v1::Batch batch = decode(next_from_dialer());
    batch.mutable_frames(0)->mutable_hello()->clear_kind();
    listener.on_message(batch.SerializeAsString(), now);
    EXPECT_FALSE(listener.up());
    EXPECT_TRUE(decode(next_from_listener()).frames(0).has_refused());
}

// --- overflow, storms, bye
// ---------------------------------------------------------------------------------------------

TEST_F(LinkSession, ResetsADialerThatDoesNotTakeWhatIsQueued) {
    connect();
    const std::string frame = encoded(gap(std::string(1000, 'x')));
    std::size_t sent = 0;
    while (listener.send(frame, now)) {
        ASSERT_LT(++sent, 1000u);
        ASSERT_LE(listener.queued_bytes(), kMaxQueued + 16);
    }
    EXPECT_GT(sent, 60u);
    EXPECT_FALSE(listener.up());
    EXPECT_EQ(listener.queued_bytes(), 0u);
    EXPECT_EQ(count(listener_log.events, "down"), 0u);  // send() calls nothing back
    listener.on_tick(now);
    EXPECT_EQ(count(listener_log.events, "down it did not take"), 1u);
    listener.on_tick(now);
    EXPECT_EQ(count(listener_log.events, "down"), 1u);
    const std::string bytes = next_from_listener();
    EXPECT_EQ(decode(bytes).frames(0).reset().reason(), v1::Reset::OVERFLOW);
    dialer.on_message(bytes, now);
    exchange();
    EXPECT_TRUE(dialer.up());
}

TEST_F(LinkSession, ReportsAnOverflowBeforeTheNextSessionOpens) {
    connect();
    while (listener.send(encoded(gap(std::string(1000, 'x'))), now)) continue;
    to_dialer();
    exchange();
    ASSERT_GE(listener_log.events.size(), 2u);
    EXPECT_EQ(listener_log.events.back(), "up host/1");
    EXPECT_TRUE(listener_log.events[listener_log.events.size() - 2].starts_with("down"));
}

TEST_F(LinkSession, PassesOneFrameLargerThanTheQueueWhenNothingElseWaits) {
    connect();
    EXPECT_TRUE(listener.send(encoded(gap(std::string(kMaxQueued + 1, 'x'))), now));
    exchange();
    EXPECT_EQ(count(dialer_log.events, "frame"), 1u);
}

TEST_F(LinkSession, BacksOffWhenSessionsKeepBeingReset) {
    connect();
    int sessions = 0;
    for (const Instant end = now + 60s; now < end; now += 50ms) {
        dialer.on_tick(now);
        exchange();
        if (!dialer.up()) continue;
        ++sessions;
        listener.on_message("\xff\xff\xff", now);  // something on the way breaks each session at once
        exchange();
    }
    EXPECT_GE(sessions, 8);   // it never gives up
    EXPECT_LE(sessions, 20);  // one a second, then one each five seconds
}

TEST_F(LinkSession, ForgetsEarlierResetsOnceASessionHasLasted) {
    connect();
    for (int i = 0; i < 10; ++i) {
        live(10s);
        ASSERT_TRUE(dialer.up());
        listener.on_message("\xff\xff\xff", now);
        exchange();
        EXPECT_TRUE(dialer.up());  // at once
    }
}

TEST_F(LinkSession, ByeOfTheDialerEndsTheSessionAtOnceBehindWhatWasQueued) {
    connect();
    dialer.send(subscribe("x"));
    dialer.close(now);
    EXPECT_EQ(dialer.send(subscribe("y")), 0u);
    to_listener();
    EXPECT_EQ(listener_log.events, (std::vector<std::string>{"up host/1", "frame x", "down the dialer said bye"}));
    now += 60s;
    dialer.on_tick(now);
    EXPECT_FALSE(dialer.wants_send(now));
    EXPECT_EQ(dialer_log.events, std::vector<std::string>{"up a"});  // close() calls nothing back
}

TEST_F(LinkSession, ByeOfTheListenerEndsTheSessionAtOnceBehindWhatWasQueued) {
    connect();
    listener.send(encoded(gap("x")), now);
    listener.close(now);
    EXPECT_FALSE(listener.send(encoded(gap("y")), now));
    to_dialer();
    EXPECT_EQ(dialer_log.events, (std::vector<std::string>{"up a", "frame x", "down the listener said bye"}));
    EXPECT_FALSE(dialer.wants_send(now));  // not at once: it is going away
    now += 1000ms;
    dialer.on_tick(now);
    EXPECT_TRUE(dialer.wants_send(now));
    to_listener();
    EXPECT_FALSE(listener.wants_send(now));  // it serves nobody any more
    EXPECT_FALSE(listener.up());
}

TEST_F(LinkSession, OpensAgainAfterClose) {
    connect();
    dialer.close(now);
    to_listener();
    dialer.on_connected(now);
    exchange();
    EXPECT_TRUE(dialer.up());
}

}  // namespace
}  // namespace weft
