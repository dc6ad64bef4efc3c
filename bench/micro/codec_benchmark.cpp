// What weft.v1.json costs a message: a publish decoded once for its publisher, an event encoded once for a worker.
#include <benchmark/benchmark.h>

#include <string>

#include "codec/json_codec.hpp"
#include "websocket/frame_parser.hpp"

namespace {

using namespace weft;

// JSON of `size` bytes: a string, as chat has it.
std::string text_of(benchmark::State& state) {
    return '"' + std::string(static_cast<std::size_t>(state.range(0)) - 2, 'x') + '"';
}

void decode(benchmark::State& state, const std::string& message) {
    JsonCodec codec;
    std::string padded = message + std::string(websocket::kPadding, '\0');
    const std::string_view text(padded.data(), message.size());
    for (auto _ : state) {
        const auto command = codec.decode(text);
        if (!command) state.SkipWithError(command.error().message.c_str());
        benchmark::DoNotOptimize(command);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void decode_publish(benchmark::State& state) {
    decode(state, R"({"type":"publish","id":"c1","payload":{"channel":"chat:lobby","data":)" + text_of(state) + "}}");
}
BENCHMARK(decode_publish)->Arg(128)->Arg(1024)->Arg(16384);

void decode_publish_of_objects(benchmark::State& state) {
    std::string data = R"([{"n":0})";
    while (data.size() + 8 < static_cast<std::size_t>(state.range(0))) data += R"(,{"n":1})";
    decode(state, R"({"type":"publish","payload":{"channel":"chat:lobby","data":)" + data + "]}}");
}
BENCHMARK(decode_publish_of_objects)->Arg(128)->Arg(1024)->Arg(16384);

void decode_subscribe(benchmark::State& state) {
    decode(state, R"({"type":"subscribe","id":"c1","payload":{"channel":"chat:lobby","position":"k3f.129_b77.12"}})");
}
BENCHMARK(decode_subscribe);

void encode_event(benchmark::State& state) {
    const JsonCodec codec;
    const std::string data = text_of(state);
    const ServerFrame frame{{},
                            event::Event{"chat:lobby",
                                         data,
                                         "k3f.129_b77.12",
                                         "k3f.129",
                                         WallTime(std::chrono::milliseconds(1'767'225'600'123)),
                                         {"ada", 0x1234}}};
    std::string out;
    for (auto _ : state) {
        out.clear();
        codec.encode(frame, out);
        benchmark::DoNotOptimize(out.data());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}
BENCHMARK(encode_event)->Arg(128)->Arg(1024)->Arg(16384);

}  // namespace
