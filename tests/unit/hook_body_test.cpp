// What webhooks are sent and what their answers mean; and signatures.
#include "call/hook_body.hpp"

#include <gtest/gtest.h>

#include "call/signature.hpp"

namespace weft {
namespace {

TEST(HookBody, CarriesDataByteForByteAndEscapesText) {
    v1::Publish publish;
    publish.set_channel("a:b");
    publish.set_data(R"({"n": 1.10})");
    publish.set_message_id("m\"1\n");
    publish.mutable_publisher()->set_user("ann");
    publish.mutable_publisher()->set_client_id(255);
    EXPECT_EQ(publish_body(publish, "n"),
              R"({"event":"publish","node":"n","user":"ann","client_id":"00000000000000ff","channel":"a:b",)"
              R"("message_id":"m\"1\u000a","data":{"n": 1.10}})");
    v1::Rpc rpc;
    rpc.set_method("x");
    EXPECT_EQ(rpc_body(rpc, "n"), R"({"event":"rpc","node":"n","method":"x"})");
}

struct Case {
    Hook hook;
    const char* body;
    const char* what;  // the value, "CODE message", or "! why"
};

std::string describe(const tl::expected<HookAnswer, std::string>& answer) {
    if (!answer) return "! " + answer.error();
    if (!answer->allowed()) return std::to_string(answer->error.code) + " " + answer->error.message;
    return answer->value + answer->user + answer->info + answer->grants;
}

TEST(HookBody, ReadsAnswers) {
    constexpr const char* kRefused = "refused by the application";
    const Case kCases[] = {
        {Hook::rpc, R"({"result": {"n": 1.10 } })", R"({"n": 1.10 })"},
        {Hook::rpc, R"({"result":null})", "null"},
        {Hook::rpc, "", "null"},
        {Hook::rpc, "{}", "! neither \"result\" nor \"error\" is there"},
        {Hook::rpc, "[]", "! the answer is not a JSON object"},
        {Hook::rpc, R"({"result":1}})", "! the answer is not a JSON object"},
        {Hook::rpc, "{\"result\":\"\xff\"}", "! the answer is not a JSON object"},
        {Hook::rpc, R"({"error":{"code":4018,"message":"what?"}})", "4018 what?"},
        {Hook::rpc, R"({"error":{}})", "4000 refused by the application"},
        {Hook::rpc, R"({"error":{"code":500}})", "! \"error.code\" is not a number from 4000 to 4999"},
        {Hook::rpc, R"({"error":"no"})", "! \"error\" is not an object"},
        {Hook::rpc, R"({"error":null,"result":1})", "1"},
        {Hook::publish, "{}", ""},
        {Hook::publish, " \n", ""},
        {Hook::publish, R"({"data":[1]})", "[1]"},
        {Hook::publish, R"({"data":null})", ""},
        {Hook::publish, R"({"allow":false,"data":[1]})", "4010 refused by the application"},
        {Hook::publish, R"({"allow":"no"})", "! \"allow\" is not true or false"},
        {Hook::subscribe, R"({"allow":true})", ""},
        {Hook::connect, R"({"allow":false})", "4002 refused by the application"},
        {Hook::connect, R"({"user":"bob","info":{"a":1},"rpc":["x"]})", R"(bob{"a":1}{"rpc":["x"]})"},
        {Hook::connect, R"({"channels":{"a":[]},"rpc":[]})", R"({"channels":{"a":[]},"rpc":[]})"},
        {Hook::connect, R"({"user":7})", "! \"user\" is not a string of 1 to 255 bytes"},
        {Hook::disconnect, "<html>", ""},
    };
    for (const Case& one : kCases) EXPECT_EQ(describe(parse_hook_answer(one.hook, one.body)), one.what) << one.body;
    EXPECT_EQ(describe(parse_hook_answer(Hook::subscribe, R"({"allow":false})")), std::string("4010 ") + kRefused);
}

TEST(HookBody, TellsJsonFromWhatIsNearlyJson) {
    for (const char* good : {"1", " [1.50, null] ", R"({"a":"\u00e4"})", R"("")"}) EXPECT_TRUE(is_json(good)) << good;
    for (const char* bad : {"", "1 2", "{}}", "nul", "\xef\xbb\xbf{}", "\"\xff\""}) EXPECT_FALSE(is_json(bad)) << bad;
}

TEST(HookBody, CutsLongMessagesBetweenCharacters) {
    EXPECT_EQ(cut_utf8("aé", 2), "a");
    EXPECT_EQ(cut_utf8("aé", 3), "aé");
}

// The example of Standard Webhooks' own libraries.
TEST(Signature, IsThatOfStandardWebhooks) {
    const auto key = parse_hook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    ASSERT_TRUE(key.has_value()) << key.error();
    EXPECT_EQ(webhook_signature(*key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", R"({"test": 2432232314})"),
              "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(Signature, RefusesKeysThatAreNone) {
    EXPECT_EQ(parse_hook_key("a key of twenty-four byt").value().size(), 24U);
    EXPECT_FALSE(parse_hook_key("too short"));
    EXPECT_FALSE(parse_hook_key("whsec_MfKQ9r8G"));
    EXPECT_FALSE(parse_hook_key("whsec_?fKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    EXPECT_FALSE(parse_hook_key(std::string(65, 'x')));
}

}  // namespace
}  // namespace weft
