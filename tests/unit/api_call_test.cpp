// A request to weft_api on its way through a worker.
#include "gateway/api_call.hpp"

#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class ApiCallTest : public ScriptedGateway, public ApiCall::Owner {
protected:
    void on_api_answer(const ApiAnswer& answer) override {
        ++answers;
        status = answer.status;
        json = answer.json;
        retry_after = answer.retry_after;
    }
    void call(std::string_view command, std::string_view parameters, const Identity* key = nullptr) {
        const auto request = parse_api_request(command, parameters);
        ASSERT_TRUE(request) << request.error().message;
        answers = 0;
        api = std::make_unique<ApiCall>(gateway(), *this);
        api->run(*request, key);
        run();
    }
    static Identity key_of(const char* channels, std::uint8_t actions, const char* methods) {
        Identity key;
        key.user = "shop";
        key.grants.add_channels(*ChannelPattern::parse(channels), actions);
        key.grants.add_methods(*MethodPattern::parse(methods));
        return key;
    }

    int answers = 0;
    unsigned status = 0;
    std::string json;
    std::chrono::milliseconds retry_after{};
    std::unique_ptr<ApiCall> api;
};

TEST_F(ApiCallTest, AnswersAPublishWithWhatWeftdSays) {
    call("publish", R"({"channel":"news:a","data":[1 ]})");
    EXPECT_EQ(weftd.take(), Lines{"publish 1 news:a [1 ]"});
    EXPECT_EQ(answers, 0);
    weftd.send(published(1, "m", "k.1"));
    run();
    EXPECT_EQ(answers, 1);
    EXPECT_EQ(status, 202U);
    EXPECT_EQ(json, R"({"message_id":"m","position":"k.1"})");
}

TEST_F(ApiCallTest, AnswersABatchInOrderWhateverTheOrderOfWeftdsAnswers) {
    call("batch", R"({"commands":[{"command":"publish","channel":"chat:a","data":1},
        {"command":"publish","channel":"other:a","data":2},{"command":"publish","channel":"chat:b","data":3}]})");
    EXPECT_EQ(weftd.take(), (Lines{"publish 1 chat:a 1", "publish 2 chat:b 3"}));
    weftd.send(published(2, "second", "k.2"));
    run();
    EXPECT_EQ(answers, 0);
    weftd.send(published(1, "first", "k.1"));
    run();
    EXPECT_EQ(answers, 1);
    EXPECT_EQ(status, 200U);
    EXPECT_EQ(json_at(json, "/failed"), "1");
    EXPECT_EQ(json_at(json, "/answers/0/answer/message_id"), "first");
    EXPECT_EQ(json_at(json, "/answers/1/status"), "404");
    EXPECT_EQ(json_at(json, "/answers/1/error/code"), "4007");
    EXPECT_EQ(json_at(json, "/answers/2/answer/message_id"), "second");
}

TEST_F(ApiCallTest, AnswersABroadcastForEachChannel) {
    call("broadcast", R"({"channels":["chat:a","other:a"],"data":1})");
    weftd.send(failed(1, Code::unavailable, "", 700));
    run();
    EXPECT_EQ(status, 200U);
    EXPECT_EQ(json_at(json, "/failed"), "2");
    EXPECT_EQ(json_at(json, "/answers/0/channel"), "chat:a");
    EXPECT_EQ(json_at(json, "/answers/0/status"), "503");
    EXPECT_EQ(json_at(json, "/answers/1/status"), "404");
}

TEST_F(ApiCallTest, AsksForARepeatOfTheWholeWhenNothingCouldBeAsked) {
    link_down();
    call("batch", R"({"commands":[{"command":"publish","channel":"chat:a","data":1},{"command":"node"}]})");
    EXPECT_EQ(answers, 1) << "at once";
    EXPECT_EQ(status, 503U);
    EXPECT_EQ(retry_after, 1000ms);
    EXPECT_EQ(json_at(json, "/code"), "4017");
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(ApiCallTest, DoesWhatTheKeyGrantsAndNothingElse) {
    const Identity key = key_of("chat:*", static_cast<std::uint8_t>(Action::publish), "weft.ban");
    call("publish", R"({"channel":"news:a","data":1})", &key);
    EXPECT_EQ(status, 403U);
    call("history", R"({"channel":"chat:a"})", &key);
    EXPECT_EQ(status, 403U);
    call("node", "{}", &key);
    EXPECT_EQ(status, 403U);
    EXPECT_EQ(json_at(json, "/message"), "the API key doesn't grant \"rpc\" of weft.node");
    call("unban", R"({"user":"eve"})", &key);
    EXPECT_EQ(status, 403U);
    EXPECT_EQ(weftd.take(), Lines{});
    call("publish", R"({"channel":"chat:a","data":1})", &key);
    EXPECT_EQ(weftd.take(), Lines{"publish 1 chat:a 1"});
    gateway().cancel(*api);
}

TEST_F(ApiCallTest, IsNotCalledWhenItWasCancelled) {
    call("publish", R"({"channel":"chat:a","data":1})");
    gateway().cancel(*api);
    api.reset();
    weftd.send(published(1, "m", "k.1"));
    run();
    EXPECT_EQ(answers, 0);
    EXPECT_EQ(counters.pending.value(), 0U);
}

TEST_F(ApiCallTest, BoundsWhatABatchReads) {
    rules.add({*ChannelPattern::parse("kept:*"), true});
    ChannelRule kept{*ChannelPattern::parse("log:*"), true};
    kept.history_count = 10;
    rules.add(kept);
    std::string commands = R"({"commands":[{"command":"publish","channel":"chat:a","data":1})";
    for (int i = 0; i < 3; ++i) commands += R"(,{"command":"history","channel":"log:a"})";
    std::vector<std::uint64_t> asked;
    weftd.on_frame = [&](const v1::Frame& frame) {
        if (frame.has_read_history()) asked.push_back(frame.read_history().request());
    };
    call("batch", commands + "]}");
    ASSERT_EQ(asked.size(), 3U);
    for (const std::uint64_t request : asked) {
        v1::Frame page;
        page.mutable_history_page()->set_request(request);
        page.mutable_history_page()->set_channel("log:a");
        page.mutable_history_page()->set_complete(true);
        v1::Publication& one = *page.mutable_history_page()->add_events();
        one.set_data('"' + std::string(ApiCall::kMaxAnswer / 2, 'x') + '"');
        weftd.send(page);
    }
    weftd.send(published(1, "m", "k.1"));
    run();
    EXPECT_EQ(answers, 1);
    EXPECT_EQ(json_at(json, "/answers/0/status"), "202") << "what was done is told";
    EXPECT_EQ(json_at(json, "/answers/1/status"), "200");
    EXPECT_EQ(json_at(json, "/answers/2/status"), "413");
    EXPECT_EQ(json_at(json, "/answers/3/error/code"), "4005");
    EXPECT_LT(json.size(), ApiCall::kMaxAnswer);
}

}  // namespace
}  // namespace weft
