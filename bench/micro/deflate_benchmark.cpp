// What permessage-deflate costs a message: compressed once for a worker's subscribers, inflated once for its publisher.
#include <benchmark/benchmark.h>

#include <string>

#include "websocket/deflater.hpp"
#include "websocket/inflater.hpp"

namespace {

using namespace weft::websocket;

// JSON as a list of prices has it: names that repeat, figures that don't.
std::string prices(std::size_t size) {
    std::string text = "[";
    for (std::uint32_t seed = 1; text.size() < size; seed = seed * 1664525 + 1013904223) {
        text += R"({"symbol":"S)" + std::to_string(seed >> 24) + R"(","bid":)" + std::to_string(seed >> 12) + "},";
    }
    text.back() = ']';
    return text;
}

void compress(benchmark::State& state) {
    const std::string message = prices(static_cast<std::size_t>(state.range(0)));
    Deflater deflater({.level = static_cast<std::uint8_t>(state.range(1))}, false);
    std::string storage;
    std::size_t compressed = 0;
    for (auto _ : state) {
        const auto text = deflater.compress(message, storage);
        if (text) compressed = text->size();
        benchmark::DoNotOptimize(storage.data());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(message.size()));
    state.counters["ratio"] = static_cast<double>(compressed) / static_cast<double>(message.size());
}
BENCHMARK(compress)->ArgNames({"size", "level"})->ArgsProduct({{512, 4096, 65536}, {1, 4, 9}});

void inflate(benchmark::State& state) {
    const std::string message = prices(static_cast<std::size_t>(state.range(0)));
    Deflater deflater({}, false);
    std::string storage;
    const auto text = deflater.compress(message, storage);
    if (!text) return state.SkipWithError("did not get smaller");
    const std::string compressed(*text);
    Inflater inflater;
    for (auto _ : state) benchmark::DoNotOptimize(inflater.inflate(compressed, message.size(), storage));
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(message.size()));
}
BENCHMARK(inflate)->ArgName("size")->Arg(512)->Arg(4096)->Arg(65536);

}  // namespace
