// Whatever the codec takes from a client must be fit for every subscriber, whichever parser that has.
#include "codec/json_codec.hpp"

#include <simdjson.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <regex>
#include <string>
#include <variant>

#include "codec/json_scanner.hpp"
#include "support/require.hpp"

namespace {

/// `json` with a 0 in place of each number, for simdjson's DOM, which refuses numbers beyond 64 bits and 1e400. What
/// is replaced must be a number by RFC 8259 §6.
std::string without_numbers(std::string_view json) {
    static const std::regex kNumber("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?");
    std::string out;
    bool in_string = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (in_string) {
            out += c;
            if (c == '\\') out += json[++i];
            if (c == '"') in_string = false;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            const std::size_t end = std::min(json.find_first_not_of("0123456789+-.eE", i), json.size());
            REQUIRE(std::regex_match(json.begin() + i, json.begin() + end, kNumber));
            out += '0';
            i = end - 1;
        } else {
            out += c;
            in_string = c == '"';
        }
    }
    return out;
}

bool parses(std::string_view json) {
    static simdjson::dom::parser parser;
    const std::string plain = without_numbers(json);
    return parser.parse(plain.data(), plain.size()).error() == simdjson::SUCCESS;
}

void check_text(std::string_view text) {
    REQUIRE(simdjson::validate_utf8(text));
}

/// Writes the publication as a subscriber gets it.
void check_event(const weft::command::Publish& publish, weft::JsonCodec& codec) {
    REQUIRE(!publish.data.empty());
    REQUIRE(parses(publish.data));
    REQUIRE(weft::check_json(publish.data).empty());
    weft::ServerFrame frame;
    frame.body = weft::event::Event{publish.channel, publish.data, "k3f.1", publish.message_id, weft::WallTime{}, {}};
    std::string out;
    codec.encode(frame, out);
    REQUIRE(parses(out));
    const std::string member = "\"data\":" + std::string(publish.data) + ",\"position\":";
    REQUIRE(out.find(member) != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    constexpr std::size_t kPadding = 64;
    static weft::JsonCodec codec;
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);

    // check_json() gets the bytes without any padding.
    const bool is_json = weft::check_json(text).empty();

    const std::unique_ptr<char[]> padded(new char[size + kPadding]);
    if (size > 0) std::memcpy(padded.get(), bytes, size);
    std::memset(padded.get() + size, '"', kPadding);
    const auto command = codec.decode({padded.get(), size});
    if (!command) {
        REQUIRE(command.error().id.size() <= weft::kMaxId);
        check_text(command.error().id);
        check_text(command.error().message);
        if (is_json) REQUIRE(parses(text));
        weft::ServerFrame frame{command.error().id, weft::event::Error{command.error().code, command.error().message}};
        std::string out;
        codec.encode(frame, out);
        REQUIRE(parses(out));
        return 0;
    }
    REQUIRE(is_json);
    REQUIRE(parses(text));
    REQUIRE(command->id.size() <= weft::kMaxId);
    check_text(command->id);
    if (const auto* publish = std::get_if<weft::command::Publish>(&command->body)) {
        check_text(publish->message_id);
        REQUIRE(publish->message_id.size() <= weft::kMaxId);
        check_event(*publish, codec);
    } else if (const auto* signal = std::get_if<weft::command::Signal>(&command->body)) {
        REQUIRE(!signal->name.empty() && signal->name.size() <= weft::kMaxSignalName);
        check_text(signal->name);
        REQUIRE(signal->data.empty() || parses(signal->data));
    } else if (const auto* rpc = std::get_if<weft::command::Rpc>(&command->body)) {
        check_text(rpc->method);
        REQUIRE(rpc->params.empty() || parses(rpc->params));
    } else if (const auto* subscribe = std::get_if<weft::command::Subscribe>(&command->body)) {
        check_text(subscribe->position.value_or(""));
    }
    return 0;
}
