// Both spellings of the client protocol against one table, tests/vectors/client_frames.json, which clients use as well.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <map>
#include <set>
#include <string>

#include "codec/json_codec.hpp"
#include "codec/protobuf_codec.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

struct Vector {
    std::string json, protobuf;
};

std::string from_hex(std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    }
    return bytes;
}

/// "client" or "server": the frames of one side by their names.
std::map<std::string, Vector> vectors(std::string_view side) {
    simdjson::dom::parser parser;
    std::map<std::string, Vector> result;
    for (const simdjson::dom::element vector : parser.load(WEFT_VECTORS "/client_frames.json")[side].get_array()) {
        const auto text = [&](const char* name) { return std::string(vector[name].get_string().value()); };
        result[text("name")] = {text("json"), from_hex(text("protobuf"))};
    }
    return result;
}

// --- commands
// ---------------------------------------------------------------------------------------------------------

/// All that a command says.
std::string describe(const Command& command) {
    struct Description {
        std::string operator()(const command::Auth& c) const { return "auth " + std::string(c.token); }
        std::string operator()(const command::Refresh& c) const { return "refresh " + std::string(c.token); }
        std::string operator()(const command::Subscribe& c) const {
            return "subscribe " + std::string(c.channel) + (c.position ? " @" + std::string(*c.position) : "") +
                   (c.echo ? "" : " no echo");
        }
        std::string operator()(const command::Unsubscribe& c) const { return "unsubscribe " + std::string(c.channel); }
        std::string operator()(const command::Publish& c) const {
            return "publish " + std::string(c.channel) + ' ' + std::string(c.data) + " #" + std::string(c.message_id);
        }
        std::string operator()(const command::Signal& c) const {
            return "signal " + std::string(c.channel) + ' ' + std::string(c.name) + ' ' + std::string(c.data);
        }
        std::string operator()(const command::Rpc& c) const {
            return "rpc " + std::string(c.method) + ' ' + std::string(c.params);
        }
        std::string operator()(const command::History& c) const {
            return "history " + std::string(c.channel) + " @" + std::string(c.after) + ' ' + std::to_string(c.limit);
        }
        std::string operator()(const command::Presence& c) const {
            return "presence " + std::string(c.channel) + " @" + std::string(c.after) + ' ' + std::to_string(c.limit);
        }
        std::string operator()(const command::Ping&) const { return "ping"; }
    };
    return '[' + std::string(command.id) + "] " + std::visit(Description(), command.body);
}

std::string decoded(Codec& codec, const std::string& message) {
    const std::string padded = message + std::string(64, '"');
    const auto command = codec.decode(std::string_view(padded).substr(0, message.size()));
    return command ? describe(*command) : "refused: " + command.error().message;
}

TEST(ClientFrames, CommandsMeanTheSameInEachSpelling) {
    JsonCodec json;
    ProtobufCodec protobuf;
    std::set<std::size_t> kinds;
    for (const auto& [name, vector] : vectors("client")) {
        const std::string meaning = decoded(json, vector.json);
        EXPECT_EQ(meaning.substr(0, 1), "[") << name << ": " << meaning;
        EXPECT_EQ(decoded(protobuf, vector.protobuf), meaning) << name;
        const std::string padded = vector.json + std::string(64, ' ');
        const auto command = json.decode(std::string_view(padded).substr(0, vector.json.size()));
        if (command) kinds.insert(command->body.index());
    }
    EXPECT_EQ(kinds.size(), std::variant_size_v<decltype(Command::body)>) << "a command has no frame in the table";
}

TEST(ClientFrames, WhatJsonSaysOfACommandIsAlsoItsMeaning) {
    JsonCodec json;
    const auto all = vectors("client");
    EXPECT_EQ(decoded(json, all.at("subscribe, resuming").json), "[] subscribe a @k3f.129_b77.12");
    EXPECT_EQ(decoded(json, all.at("publish of a number").json), "[] publish a 1.50 #");
    EXPECT_EQ(decoded(json, all.at("rpc").json), R"([r] rpc weft.echo ["x"])");
}

// --- server frames
// ----------------------------------------------------------------------------------------------------

constexpr WallTime kTime{1'769'862'896'789ms};
constexpr Publisher kAda{"ada", 0xa1};
const event::Event kEvent{"chat:lobby", R"({"text":"hi"})", "k.7", "m7", kTime, kAda};
const event::Event kPast{"a", R"({"text":"hi"})", "k.7", "m7", kTime, kAda};
const Member kMember{0xb2, 0xa1, "ada", R"({"name":"Ada"})"};

std::map<std::string, ServerFrame> server_frames() {
    using namespace event;
    return {
        {"connection_established",
         {{}, Established{0xa1, "ada", kTime, 30s, "a", {65536, 100, 200, 0, 100, 16}, WallTime(1'769'864'400'000ms)}}},
        {"connection_established without limits and broker",
         {"a", Established{0xa1, "", kTime, 1s, "", {128, 0, 0, 1000, 1, 1}}}},
        {"subscribed", {"c1", Subscribed{"chat:lobby", "k.7", true, true, 3, 2}}},
        {"subscribed afresh", {{}, Subscribed{"a", "k.0", true, false}}},
        {"unsubscribed", {"u", Unsubscribed{"a", std::nullopt}}},
        {"unsubscribed by the server", {{}, Unsubscribed{"a", Code::permission_denied}}},
        {"published", {"p", Published{"m7", "k.7"}}},
        {"published, of a signal", {"s", Published{}}},
        {"event", {{}, kEvent}},
        {"event of a back end", {{}, Event{"a", "null", "k.8", "m8", kTime, {}}}},
        {"history", {"h", History{"a", {&kPast, 1}, "k.7", true, true}}},
        {"signal", {{}, Signal{"a", "cursor", "[1,2]", kAda}}},
        {"signal of a back end, without data", {{}, Signal{"a", "typing", {}, {}}}},
        {"rpc_response", {"r", RpcResponse{R"(["x"])"}}},
        {"rpc_response without result", {"r", RpcResponse{{}}}},
        {"pong", {"1", Pong{}}},
        {"refreshed", {"f", Refreshed{kTime}}},
        {"gap", {{}, Gap{"a"}}},
        {"reconnect", {{}, Reconnect{1500ms, "reload"}}},
        {"presence", {"m", Members{"a", {&kMember, 1}, 1, 1, true, true}}},
        {"presence, the count alone", {"m", Members{"a", {}, 1000, 0, false, false}}},
        {"join", {{}, MemberChange{"a", kMember, false, true, 1}}},
        {"leave", {{}, MemberChange{"a", {0xb2, 0xa1, {}, {}}, true, false, 0}}},
        {"presence_gap", {{}, PresenceGap{"a"}}},
        {"error", {"p", Error{Code::rate_limited, "too many messages", 250ms}}},
        {"error without id", {{}, Error{Code::invalid_message, "not JSON"}}},
    };
}

std::string encoded(const Codec& codec, const ServerFrame& frame) {
    std::string out = "before ";  // what a turn has collected already
    codec.encode(frame, out);
    EXPECT_EQ(out.substr(0, 7), "before ");
    return out.substr(7);
}

TEST(ClientFrames, ServerFramesAreSpeltAsTheTableHasThem) {
    const auto frames = server_frames();
    const auto table = vectors("server");
    const JsonCodec json;
    const ProtobufCodec protobuf;
    std::set<std::size_t> kinds;
    for (const auto& [name, frame] : frames) {
        ASSERT_TRUE(table.contains(name)) << name;
        EXPECT_EQ(encoded(json, frame), table.at(name).json) << name;
        EXPECT_EQ(encoded(protobuf, frame), table.at(name).protobuf) << name;
        kinds.insert(frame.body.index());
    }
    for (const auto& entry : table) EXPECT_TRUE(frames.contains(entry.first)) << entry.first;
    EXPECT_EQ(kinds.size(), std::variant_size_v<decltype(ServerFrame::body)>) << "a frame is not in the table";
}

TEST(ClientFrames, NothingOfOneEventIsLeftInTheNext) {
    const ProtobufCodec protobuf;
    const auto table = vectors("server");
    const auto frames = server_frames();
    const std::string large(200'000, '1');
    for (const char* name : {"event", "event of a back end", "event"}) {
        EXPECT_EQ(encoded(protobuf, frames.at(name)), table.at(name).protobuf) << name;
        encoded(protobuf, {{}, event::Event{"large", large, "k.9", "m9", kTime, kAda}});
    }
}

// --- what is no command ---------------------------------------------------------------------------------------------

TEST(ProtobufCodec, RefusesWhatIsNoCommandInTheWordsOfTheJsonCodec) {
    const struct {
        const char* hex;  // made with protoc --encode=weft.client.v1.ClientFrame
        const char* expected;
    } cases[] = {
        {"", "the frame holds no command that this server knows: expected one of those in weft/v1/client.proto"},
        {"0a0131", "the frame holds no command that this server knows: expected one of those in weft/v1/client.proto"},
        {"ff", "the message is no ClientFrame: expected weft/v1/client.proto, strings in UTF-8"},
        {"0a05616263", "the message is no ClientFrame: expected weft/v1/client.proto, strings in UTF-8"},
        {"2200", R"("channel" is empty: expected a string of 1 to 255 bytes)"},
        {"22030a0120", R"("channel" is not a channel name: expected 1 to 255 bytes of A-Z a-z 0-9 _ - . : / @ =)"},
        {"22030a01ff", "the message is no ClientFrame: expected weft/v1/client.proto, strings in UTF-8"},
        {"32030a0161", R"("data" is missing: expected any JSON value)"},
        {"32060a016112017b", R"("data" is not JSON: not valid JSON at byte 1: expected a member)"},
        {"32090a01611201311a010a",
         R"("message_id" is not usable: expected a string of 1 to 64 bytes without control characters)"},
        {"3a030a0161", R"("name" is empty: expected a string of 1 to 64 bytes)"},
        {"4200", R"("method" is empty: expected a string of 1 to 128 bytes)"},
        {"42060a01611201ff", R"("params" is not JSON)"},
        {"1200", R"("token" is empty: expected a string of 1 to 8192 bytes)"},
    };
    for (const auto& [hex, expected] : cases) {
        ProtobufCodec codec;
        EXPECT_EQ(decoded(codec, from_hex(hex)).substr(0, 9 + std::string_view(expected).size()),
                  "refused: " + std::string(expected))
            << hex;
    }
}

TEST(ProtobufCodec, AnErrorCarriesTheIdOfTheCommand) {
    ProtobufCodec codec;
    const auto refused = codec.decode(from_hex("0a01312200"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().id, "1");
    const auto long_id = codec.decode("\x0a\x41" + std::string(65, 'x'));
    ASSERT_FALSE(long_id);
    EXPECT_EQ(long_id.error().id, "");
    EXPECT_EQ(long_id.error().message, "\"id\" is too long: expected a string of at most 64 bytes");
}

TEST(ProtobufCodec, BoundsTheNestingOfJson) {
    const auto publish = [](unsigned depth) {
        const std::string data = std::string(depth, '[') + std::string(depth, ']');
        const auto size = static_cast<char>(data.size());
        return std::string("\x32") + static_cast<char>(data.size() + 5) +
               "\x0a\x01"
               "a\x12" +
               size + data;
    };
    ProtobufCodec codec(5);
    EXPECT_EQ(decoded(codec, publish(5)).substr(0, 12), "[] publish a");
    EXPECT_NE(decoded(codec, publish(6)).find("nested too deep"), std::string::npos);
}

TEST(ProtobufCodec, FieldsOfALaterVersionAreIgnored) {
    ProtobufCodec codec;
    EXPECT_EQ(decoded(codec, from_hex("5a00") + from_hex("fa3f0568656c6c6f")), "[] ping");
}

}  // namespace
}  // namespace weft
