// Whatever the protobuf codec takes from a client must be fit for subscribers of weft.v1.json, too.
#include "codec/protobuf_codec.hpp"

#include <cstdint>
#include <string>
#include <variant>

#include "codec/json_scanner.hpp"
#include "support/require.hpp"
#include "weft/channel.hpp"

namespace {

void check_json_text(weft::Json json) {
    if (!json.empty()) REQUIRE(weft::check_json(json).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    weft::ProtobufCodec codec;
    const auto command = codec.decode({reinterpret_cast<const char*>(data), size});
    if (!command) {
        REQUIRE(!command.error().message.empty() && command.error().message.size() < 512);
        REQUIRE(command.error().id.size() <= weft::kMaxId);
        return 0;
    }
    REQUIRE(command->id.size() <= weft::kMaxId);
    if (const auto* publish = std::get_if<weft::command::Publish>(&command->body)) {
        REQUIRE(weft::is_channel_name(publish->channel));
        REQUIRE(!publish->data.empty() && publish->message_id.size() <= weft::kMaxId);
        check_json_text(publish->data);
    } else if (const auto* signal = std::get_if<weft::command::Signal>(&command->body)) {
        REQUIRE(weft::is_channel_name(signal->channel) && !signal->name.empty());
        check_json_text(signal->data);
    } else if (const auto* rpc = std::get_if<weft::command::Rpc>(&command->body)) {
        REQUIRE(!rpc->method.empty());
        check_json_text(rpc->params);
    } else if (const auto* subscribe = std::get_if<weft::command::Subscribe>(&command->body)) {
        REQUIRE(weft::is_channel_name(subscribe->channel));
    }
    return 0;
}
