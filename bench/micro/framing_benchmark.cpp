// What framing costs a byte: RFC 6455's unmasking and its demand that text be UTF-8.
#include <benchmark/benchmark.h>

#include <string>

#include "websocket/frame_parser.hpp"
#include "websocket/frame_writer.hpp"
#include "websocket/unmask.hpp"
#include "websocket/utf8.hpp"

namespace {

using namespace weft::websocket;

void count_bytes(benchmark::State& state, std::size_t a_round) {
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(a_round));
}

void unmask_ascii(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    std::string bytes(size + kPadding, 'x');
    MaskingKey key{0, 0, 0, 0};  // leaves the bytes as they are, round after round, at the cost of any other key
    for (auto _ : state) benchmark::DoNotOptimize(unmask(bytes.data(), size, key));
    count_bytes(state, size);
}
BENCHMARK(unmask_ascii)->Arg(32)->Arg(128)->Arg(1024)->Arg(65536);

void check_utf8(benchmark::State& state, std::string_view character) {
    std::string text;
    while (text.size() + character.size() <= static_cast<std::size_t>(state.range(0))) text += character;
    for (auto _ : state) benchmark::DoNotOptimize(is_utf8(text));
    count_bytes(state, text.size());
}
BENCHMARK_CAPTURE(check_utf8, ascii, "x")->Arg(128)->Arg(65536);
BENCHMARK_CAPTURE(check_utf8, two_bytes, "ж")->Arg(128)->Arg(65536);
BENCHMARK_CAPTURE(check_utf8, three_bytes, "語")->Arg(128)->Arg(65536);
BENCHMARK_CAPTURE(check_utf8, four_bytes, "🧵")->Arg(128)->Arg(65536);

void append_text_frame(benchmark::State& state) {
    const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
    std::string out;
    for (auto _ : state) {
        out.clear();
        append_frame(out, Opcode::text, payload);
        benchmark::DoNotOptimize(out.data());
    }
    count_bytes(state, payload.size());
}
BENCHMARK(append_text_frame)->Arg(128)->Arg(1024)->Arg(65536);

}  // namespace
