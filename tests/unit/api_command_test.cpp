// What weft_api is sent, read.
#include "gateway/api_command.hpp"

#include <gtest/gtest.h>

#include "gateway/parameters.hpp"

namespace weft {
namespace {

std::string fault(std::string_view command, std::string_view parameters) {
    const auto request = parse_api_request(command, parameters);
    return request ? "" : std::to_string(static_cast<unsigned>(request.error().code)) + " " + request.error().message;
}

TEST(ApiCommand, KeepsTheBytesOfData) {
    const std::string text = R"( {"channel":"chat:\u0061", "data" : {"n": 1.50e400,"s":"\u00e4"} ,"message_id":"m"} )";
    const auto request = parse_api_request("publish", text);
    ASSERT_TRUE(request);
    const auto& publish = std::get<api::Publish>(request->commands.at(0).body);
    EXPECT_EQ(publish.channels, std::vector<std::string>{"chat:a"});
    EXPECT_EQ(publish.data, R"({"n": 1.50e400,"s":"\u00e4"})");
    EXPECT_EQ(publish.message_id, "m");
    EXPECT_FALSE(publish.broadcast);
}

TEST(ApiCommand, TakesAnyJsonAsData) {
    for (const char* data : {"null", "0", "\"\"", "[]", "false"}) {
        const std::string text = R"({"channel":"chat:a","data":)" + std::string(data) + "}";
        const auto request = parse_api_request("publish", text);
        ASSERT_TRUE(request) << data;
        EXPECT_EQ(std::get<api::Publish>(request->commands.at(0).body).data, data);
    }
}

TEST(ApiCommand, CountsTheOperationsOfABatch) {
    const auto request = parse_api_request(
        "batch",
        R"({"commands":[{"command":"broadcast","channels":["chat:a","chat:b"],"data":1},{"command":"node"},
            {"command":"ban","user":"eve","seconds":9},{"command":"channels","limit":5,"pattern":"chat:*"}]})");
    ASSERT_TRUE(request);
    EXPECT_TRUE(request->batch);
    EXPECT_EQ(request->operations(), 5U);
    ASSERT_EQ(request->commands.size(), 4U);
    EXPECT_EQ(request->commands[2].name, "ban");
    EXPECT_EQ(std::get<api::Revoke>(request->commands[2].body).lasts, std::chrono::seconds(9));
    EXPECT_EQ(std::get<Survey>(request->commands[3].body).limit, 5U);
}

TEST(ApiCommand, ReadsARefresh) {
    const auto request =
        parse_api_request("refresh", R"({"client":"00000000000000ff","grants":{"rpc":["a.*"]},"seconds":60})");
    ASSERT_TRUE(request);
    const auto& refresh = std::get<api::Revoke>(request->commands.at(0).body);
    EXPECT_EQ(refresh.revocation.kind(), v1::Revocation::GRANT);
    EXPECT_EQ(refresh.revocation.client_id(), 255U);
    EXPECT_EQ(refresh.revocation.grants(), R"({"rpc":["a.*"]})");
    EXPECT_EQ(refresh.lasts, std::chrono::seconds(60));
}

TEST(ApiCommand, NamesWhatIsWrong) {
    const struct {
        const char* command;
        const char* parameters;
        const char* says;  // its beginning
    } cases[] = {
        {"explode", "{}", "4018 there is no such command: expected batch, publish"},
        {"", "{}", "4018 there is no such command"},
        {"publish", "", "4006 publish: expected a JSON object, this is not valid JSON at byte 0"},
        {"publish", "7", "4006 publish: expected a JSON object"},
        {"publish", "{} {}", "4006 publish: expected a JSON object, this is not valid JSON at byte 3"},
        {"publish", "{\"a\":1,}", "4006 publish: expected a JSON object, this is not valid JSON at byte 7"},
        {"publish", "{\"a\" 1}", "4006 publish: expected a JSON object, this is not valid JSON at byte 5"},
        {"publish", "{", "4006 publish: expected a JSON object, this is not valid JSON at byte 1"},
        {"publish", "{\"data\":1}", "4006 publish: \"channel\" is missing"},
        {"broadcast", R"({"channels":["chat:a",["chat:b"]],"data":1})", "4006 broadcast: \"channels\" holds"},
        {"history", R"({"channel":"chat:a","limit":1.5})", "4006 history: \"limit\" is not usable"},
        {"history", R"({"channel":"chat:a","limit":99999999999999999999})", "4006 history: \"limit\" is not usable"},
        {"refresh", R"({"user":"a","grants":{"x":1}})", "4006 refresh: \"grants\" is not usable, the grants have"},
        {"batch", R"({"commands":[{"command":"node"},{"command":"ban","user":"a"}]})",
         "4006 batch: command 2: \"seconds\" is missing"},
    };
    for (const auto& [command, parameters, says] : cases) {
        EXPECT_EQ(fault(command, parameters).substr(0, std::string_view(says).size()), says) << parameters;
    }
}

TEST(ApiCommand, HasBoundsForEverything) {
    std::string many = R"({"channels":["chat:a")";
    for (std::size_t i = 1; i < ApiCommand::kMaxOperations; ++i) many += ",\"chat:a\"";
    EXPECT_EQ(fault("broadcast", many + "],\"data\":1}"), "");
    EXPECT_NE(fault("broadcast", many + ",\"chat:a\"],\"data\":1}"), "");

    std::string members = "{\"a0\":0";
    for (std::size_t i = 1; i <= Parameters::kMaxMembers; ++i) members += ",\"a" + std::to_string(i) + "\":0";
    EXPECT_EQ(fault("node", members + "}").find("4006 node: expected a JSON object, this is not valid"), 0U);

    const std::string deep = std::string(kMaxDepth, '[') + std::string(kMaxDepth, ']');
    EXPECT_NE(fault("publish", R"({"channel":"chat:a","data":)" + deep + "}"), "");
    EXPECT_EQ(fault("publish", R"({"channel":"chat:a","data":)" + deep.substr(1, deep.size() - 2) + "}"), "");
}

}  // namespace
}  // namespace weft
