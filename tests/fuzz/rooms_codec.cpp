// Whatever the rooms codec takes from a client must be fit for every subscriber.
#include "codec/rooms_codec.hpp"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <variant>

#include "codec/json_scanner.hpp"
#include "support/require.hpp"
#include "weft/channel.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    weft::RoomsCodec codec("room:");
    const auto padded = std::make_unique<char[]>(size + weft::JsonScanner::kReadBehind);
    if (size > 0) std::memcpy(padded.get(), data, size);
    std::memset(padded.get() + size, '"', weft::JsonScanner::kReadBehind);
    const auto command = codec.decode({padded.get(), size});
    if (!command) {
        REQUIRE(!command.error().message.empty() && command.error().id.size() <= weft::kMaxId);
        return 0;
    }
    if (const auto* publish = std::get_if<weft::command::Publish>(&command->body)) {
        REQUIRE(weft::is_channel_name(publish->channel) && publish->channel.starts_with("room:"));
        REQUIRE(weft::check_json(publish->data).empty());
        std::string out;
        codec.encode({{}, weft::event::Event{publish->channel, publish->data, "p", publish->message_id, {}, {"u", 1}}},
                     out);
        REQUIRE(!out.empty());
    } else if (const auto* signal = std::get_if<weft::command::Signal>(&command->body)) {
        REQUIRE(weft::is_channel_name(signal->channel));
        std::string out;
        codec.encode({{}, weft::event::Signal{signal->channel, signal->name, signal->data, {"u", 1}}}, out);
        REQUIRE(out.starts_with("{\"type\":\""));
    }
    return 0;
}
