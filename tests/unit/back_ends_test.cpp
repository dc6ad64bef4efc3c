// BackEnds: what goes to which back end, in which order, and what becomes of it when that fails.
#include "call/back_ends.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace weft {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

constexpr LinkId kWorker = 1, kOther = 2, kPeer = 9;

class BackEndsTest : public testing::Test, public BackEnds::Outbox {
protected:
    void SetUp() override {
        for (bool& hook : settings.hooks) hook = true;
        settings.node = "a";
        restart();
    }
    void restart() {
        back_ends = std::make_unique<BackEnds>(settings, *this);
        back_ends->on_worker_up(kWorker);
        back_ends->on_worker_up(kOther);
    }

    void reply(LinkId link, const v1::Frame& frame) override {
        std::string line = "reply " + std::to_string(link);
        if (frame.has_failed()) {
            line += " failed " + std::to_string(frame.failed().request()) + " " + std::to_string(frame.failed().code());
        } else if (frame.has_rpc_result()) {
            line += " result " + std::to_string(frame.rpc_result().request()) + " " + frame.rpc_result().result();
        } else {
            line += " allowed " + std::to_string(frame.allowed().request());
        }
        lines.push_back(line);
    }
    void pass(LinkId link, const v1::Frame& frame) override {
        lines.push_back("pass " + std::to_string(link) + " " + std::to_string(frame.publish().request()) + " " +
                        frame.publish().data());
        if (!frame.publish().message_id().empty()) known.insert(frame.publish().message_id());
    }
    bool knows(const v1::Publish& publish) override { return known.contains(publish.message_id()); }
    std::optional<CallError> call(HookCall call) override {
        if (full) return CallError{4017, "full", 1s};
        lines.push_back("call " + std::string(name_of(call.hook)) + " " + std::to_string(call.id));
        return std::nullopt;
    }
    void to_service(ServiceId service, const v1::ServiceFrame& frame) override {
        std::string line = "service " + std::to_string(service);
        if (frame.has_call()) line += " call " + std::to_string(frame.call().id()) + " " + frame.call().method();
        if (frame.has_registered()) line += " registered";
        if (frame.has_rejected()) line += " rejected";
        if (frame.has_goodbye()) line += " goodbye";
        if (frame.has_heartbeat()) line += " heartbeat";
        lines.push_back(line);
    }

    Lines take() { return std::exchange(lines, {}); }
    bool publish(LinkId link, std::uint64_t request, const std::string& channel, const std::string& data,
                 std::uint64_t client = 1, const std::string& id = {}) {
        v1::Frame frame;
        frame.mutable_publish()->set_request(request);
        frame.mutable_publish()->set_channel(channel);
        frame.mutable_publish()->set_data(data);
        frame.mutable_publish()->set_message_id(id);
        if (client != 0) frame.mutable_publish()->mutable_publisher()->set_client_id(client);
        return back_ends->on_frame(link, frame, now);
    }
    bool rpc(std::uint64_t request, const std::string& method, LinkId link = kWorker) {
        v1::Frame frame;
        frame.mutable_rpc()->set_request(request);
        frame.mutable_rpc()->set_method(method);
        return back_ends->on_frame(link, frame, now);
    }
    void answer(Hook hook, std::uint64_t id, const std::string& value = {}) {
        HookAnswer answer;
        answer.hook = hook;
        answer.id = id;
        answer.value = value;
        back_ends->on_hook_answer(answer, now);
    }
    void refuse(Hook hook, std::uint64_t id, std::uint16_t code) {
        HookAnswer answer;
        answer.hook = hook;
        answer.id = id;
        answer.outcome = CallOutcome::refused;
        answer.error.code = code;
        back_ends->on_hook_answer(answer, now);
    }
    void enlist(ServiceId service, const std::string& methods, std::uint32_t capacity = 0) {
        v1::ServiceFrame frame;
        frame.mutable_register_()->set_name("s");
        frame.mutable_register_()->add_methods(methods);
        frame.mutable_register_()->set_capacity(capacity);
        back_ends->on_service_frame(service, frame, now);
    }
    void service_answers(ServiceId service, std::uint64_t id, const std::string& result) {
        v1::ServiceFrame frame;
        frame.mutable_answer()->set_id(id);
        frame.mutable_answer()->set_result(result);
        back_ends->on_service_frame(service, frame, now);
    }

    BackEndSettings settings;
    std::unique_ptr<BackEnds> back_ends;
    Instant now{1000ms};
    Lines lines;
    std::set<std::string> known;
    bool full = false;
};

// --- publications

TEST_F(BackEndsTest, PublicationsOfOneClientToOneChannelWaitForEachOther) {
    for (std::uint64_t request = 1; request <= 3; ++request)
        EXPECT_TRUE(publish(kWorker, request, "c", std::to_string(request)));
    publish(kWorker, 4, "d", "4");
    publish(kWorker, 5, "c", "5", 2);
    publish(kOther, 6, "c", "6");
    EXPECT_EQ(take(), (Lines{"call publish 1", "call publish 2", "call publish 3", "call publish 4"})) << "one a line";
    answer(Hook::publish, 2);
    EXPECT_EQ(take(), Lines{"pass 1 4 4"});
    answer(Hook::publish, 1, "\"new\"");
    EXPECT_EQ(take(), (Lines{"pass 1 1 \"new\"", "call publish 5"}));
    refuse(Hook::publish, 5, 4103);
    EXPECT_EQ(take(), (Lines{"reply 1 failed 2 4103", "call publish 6"}));
    answer(Hook::publish, 6);
    EXPECT_EQ(take(), Lines{"pass 1 3 3"});
    EXPECT_EQ(back_ends->counts().held, 2U);
    answer(Hook::publish, 6);
    EXPECT_EQ(take(), Lines{}) << "answered already";
}

TEST_F(BackEndsTest, ARepeatIsNotAskedAboutAgain) {
    known.insert("old");
    EXPECT_FALSE(publish(kWorker, 1, "c", "1", 1, "old")) << "the broker's at once";
    publish(kWorker, 2, "c", "2", 1, "new");
    publish(kWorker, 3, "c", "2", 1, "new");
    publish(kWorker, 4, "c", "4");
    EXPECT_EQ(take(), Lines{"call publish 1"});
    answer(Hook::publish, 1);
    EXPECT_EQ(take(), (Lines{"pass 1 2 2", "pass 1 3 2", "call publish 2"}));
}

TEST_F(BackEndsTest, PublicationsThatNoHookIsForAreTheBrokersAtOnce) {
    EXPECT_FALSE(publish(kWorker, 1, "c", "1", 0)) << "of a back end";
    EXPECT_FALSE(publish(kPeer, 1, "c", "1")) << "not from a worker";
    settings.publish_channels = {ChannelPattern::parse("chat:*").value()};
    restart();
    EXPECT_FALSE(publish(kWorker, 1, "c", "1"));
    EXPECT_TRUE(publish(kWorker, 1, "chat:a", "1"));
    settings.hooks[static_cast<std::size_t>(Hook::publish)] = false;
    restart();
    EXPECT_FALSE(publish(kWorker, 1, "chat:a", "1"));
}

TEST_F(BackEndsTest, BoundsWhatWaits) {
    for (std::size_t i = 0; i < BackEnds::kMaxLine; ++i) publish(kWorker, 1, "c", "1");
    take();
    EXPECT_TRUE(publish(kWorker, 7, "c", "1"));
    EXPECT_EQ(take(), Lines{"reply 1 failed 7 4017"});
    publish(kWorker, 8, "d", std::string(BackEnds::kMaxHeldBytes, ' '));
    EXPECT_EQ(take(), Lines{"reply 1 failed 8 4017"});
    back_ends->on_worker_down(kWorker);
    EXPECT_EQ(back_ends->counts().held, 0U);
    EXPECT_EQ(back_ends->counts().held_bytes, 0U);
    answer(Hook::publish, 1);
    EXPECT_EQ(take(), Lines{}) << "nobody's any more";
}

TEST_F(BackEndsTest, AHookThatTakesNoCallsFailsAllThatWait) {
    publish(kWorker, 1, "c", "1");
    publish(kWorker, 2, "c", "2");
    publish(kWorker, 3, "c", "3");
    take();
    full = true;
    answer(Hook::publish, 1);
    EXPECT_EQ(take(), (Lines{"pass 1 1 1", "reply 1 failed 2 4017", "reply 1 failed 3 4017"}));
    EXPECT_EQ(back_ends->counts().held, 0U);
}

// --- rpc

TEST_F(BackEndsTest, CallsGoToAServiceBeforeTheHook) {
    EXPECT_FALSE(rpc(1, "weft.echo"));
    rpc(2, "sum.add");
    EXPECT_EQ(take(), Lines{"call rpc 1"});
    enlist(7, "sum.*");
    rpc(3, "sum.add");
    rpc(4, "product.add");
    EXPECT_EQ(take(), (Lines{"service 7 registered", "service 7 call 2 sum.add", "call rpc 3"}));
    service_answers(7, 2, "42");
    answer(Hook::rpc, 1, "1");
    refuse(Hook::rpc, 3, 4018);
    EXPECT_EQ(take(), (Lines{"reply 1 result 3 42", "reply 1 result 2 1", "reply 1 failed 4 4018"}));
    EXPECT_EQ(back_ends->counts().outstanding, 0U);
}

TEST_F(BackEndsTest, MethodsThatNobodyHasAreTheBrokersToRefuse) {
    settings.methods = {MethodPattern::parse("orders.*").value()};
    restart();
    EXPECT_FALSE(rpc(1, "users.get"));
    EXPECT_TRUE(rpc(1, "orders.get"));
}

TEST_F(BackEndsTest, TheServiceWithTheFewestCallsIsNextAndNoneGetsMoreThanItTakes) {
    enlist(7, "a", 2);
    enlist(8, "a", 2);
    take();
    for (std::uint64_t request = 1; request <= 5; ++request) rpc(request, "a");
    EXPECT_EQ(take(), (Lines{"service 7 call 1 a", "service 8 call 2 a", "service 7 call 3 a", "service 8 call 4 a",
                             "reply 1 failed 5 4017"}));
    service_answers(8, 2, "1");
    take();
    rpc(6, "a");
    EXPECT_EQ(take(), Lines{"service 8 call 5 a"});
}

TEST_F(BackEndsTest, CallsOfAServiceThatIsGoneFailAndAreNotMadeAgain) {
    enlist(7, "a");
    enlist(8, "a");
    rpc(1, "a");
    rpc(2, "a");
    take();
    back_ends->on_service_gone(7, now);
    EXPECT_EQ(take(), Lines{"reply 1 failed 1 4017"});
    service_answers(7, 1, "1");
    EXPECT_EQ(take(), Lines{"service 7 goodbye"}) << "it is to register again";
    now += settings.service_dead + 1ms;
    back_ends->on_tick(now);
    EXPECT_EQ(take(), Lines{"reply 1 failed 2 4017"}) << "one that fell silent";
    EXPECT_EQ(back_ends->counts().services_lost, 2U);
}

TEST_F(BackEndsTest, AnOverdueCallKeepsItsPlaceForAsLongAgain) {
    settings.service_dead = 1h;
    restart();
    enlist(7, "a", 1);
    rpc(1, "a");
    take();
    now += settings.service_timeout;
    back_ends->on_tick(now);
    EXPECT_EQ(take(), (Lines{"reply 1 failed 1 4019", "service 7 heartbeat"}));
    rpc(2, "a");
    EXPECT_EQ(take(), Lines{"reply 1 failed 2 4017"}) << "it still is at the first";
    now += settings.service_timeout;
    back_ends->on_tick(now);
    take();
    rpc(3, "a");
    EXPECT_EQ(take(), Lines{"service 7 call 2 a"});
    service_answers(7, 1, "1");
    EXPECT_EQ(take(), Lines{});
    EXPECT_EQ(back_ends->counts().late, 1U);
}

TEST_F(BackEndsTest, AResultThatIsNoJsonIsAFailure) {
    enlist(7, "a");
    rpc(1, "a");
    take();
    service_answers(7, 1, "{nonsense");
    EXPECT_EQ(take(), Lines{"reply 1 failed 1 4017"});
}

TEST_F(BackEndsTest, NobodyElseMayAnswerACall) {
    enlist(7, "a");
    enlist(8, "b");
    rpc(1, "a");
    take();
    service_answers(8, 1, "\"mine\"");
    EXPECT_EQ(take(), Lines{});
    service_answers(7, 1, "1");
    EXPECT_EQ(take(), Lines{"reply 1 result 1 1"});
}

TEST_F(BackEndsTest, AWorkerHasItsShareOfCalls) {
    for (std::size_t i = 0; i < BackEnds::kMaxCallsPerWorker; ++i) rpc(1, "a");
    take();
    rpc(2, "a");
    rpc(3, "a", kOther);
    EXPECT_EQ(take(), (Lines{"reply 1 failed 2 4017", "call rpc 16385"}));
    back_ends->on_worker_down(kWorker);
    back_ends->on_worker_up(kWorker);
    answer(Hook::rpc, 1, "1");
    EXPECT_EQ(take(), Lines{}) << "who called is gone";
    rpc(4, "a");
    EXPECT_EQ(take(), Lines{"call rpc 16386"});
}

// --- questions

TEST_F(BackEndsTest, QuestionsAboutClientsAreAnsweredToWhoAsked) {
    v1::Frame frame;
    frame.mutable_may_connect()->set_request(5);
    EXPECT_TRUE(back_ends->on_frame(kWorker, frame, now));
    frame.mutable_may_subscribe()->set_request(6);
    back_ends->on_frame(kOther, frame, now);
    frame.mutable_disconnected();
    EXPECT_TRUE(back_ends->on_frame(kOther, frame, now));
    EXPECT_EQ(take(), (Lines{"call connect 1", "call subscribe 2", "call disconnect 3"}));
    refuse(Hook::subscribe, 2, 4010);
    answer(Hook::connect, 1);
    answer(Hook::disconnect, 3);
    EXPECT_EQ(take(), (Lines{"reply 2 failed 6 4010", "reply 1 allowed 5"}));
    full = true;
    frame.mutable_may_connect()->set_request(7);
    back_ends->on_frame(kWorker, frame, now);
    EXPECT_EQ(take(), Lines{"reply 1 failed 7 4017"}) << "who can't be asked about isn't let in";
}

}  // namespace
}  // namespace weft
