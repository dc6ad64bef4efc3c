// A client's side of RFC 6455 for tests: frames as a client sends them, and what a FrameParser makes of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "websocket/frame_parser.hpp"

namespace weft::websocket::test {

struct FrameShape {
    bool final = true;
    std::uint8_t reserved = 0;  // bits 4 to 6 of the first byte
    bool masked = true;
    std::string_view key = "\x37\xfa\x21\x3d";  // the one of §5.7
};

/// One frame, its length in the shortest form.
inline std::string client_frame(std::uint8_t opcode, std::string_view payload, FrameShape shape = {}) {
    std::string frame;
    frame += static_cast<char>((shape.final ? 0x80 : 0) | shape.reserved | opcode);
    const std::uint8_t mask_bit = shape.masked ? 0x80 : 0;
    const int length_bytes = payload.size() <= 125 ? 0 : payload.size() <= 0xFFFF ? 2 : 8;
    frame += static_cast<char>(mask_bit | (length_bytes == 0 ? payload.size() : length_bytes == 2 ? 126 : 127));
    for (int i = length_bytes - 1; i >= 0; --i) frame += static_cast<char>(std::uint64_t{payload.size()} >> 8 * i);
    if (shape.masked) frame += shape.key;
    for (std::size_t i = 0; i < payload.size(); ++i) {
        frame += static_cast<char>(payload[i] ^ (shape.masked ? shape.key[i % 4] : 0));
    }
    return frame;
}

inline std::string client_frame(Opcode opcode, std::string_view payload, FrameShape shape = {}) {
    return client_frame(static_cast<std::uint8_t>(opcode), payload, shape);
}

/// The payload of a close frame.
inline std::string close_payload(std::uint16_t code, std::string_view reason = {}) {
    std::string payload;
    payload += static_cast<char>(code >> 8);
    payload += static_cast<char>(code & 0xFF);
    return payload.append(reason);
}

/// What a parser said, one line a call: "text:Hello", "compressed text:…", "ping:", "close:1000:bye", "close",
/// "violation:1002:…". Aborts when what is handed out hasn't kPadding readable bytes behind it (the address sanitizer
/// sees that).
class Recorder : public FrameParser::Sink {
public:
    std::vector<std::string> lines;
    std::size_t stop_after = SIZE_MAX;  // calls

    bool on_message(Opcode opcode, std::string_view message) override {
        return record(opcode == Opcode::text ? "text:" : "binary:", message);
    }
    bool on_compressed(Opcode opcode, std::string_view compressed) override {
        return record(opcode == Opcode::text ? "compressed text:" : "compressed binary:", compressed);
    }
    bool on_ping(std::string_view payload) override { return record("ping:", payload); }
    bool on_pong(std::string_view payload) override { return record("pong:", payload); }
    bool on_close(std::optional<std::uint16_t> code, std::string_view reason) override {
        return record(code ? "close:" + std::to_string(*code) + ":" : "close", reason);
    }

private:
    bool record(std::string line, std::string_view bytes) {
        char behind[kPadding];
        std::memcpy(behind, bytes.data() + bytes.size(), kPadding);
        volatile char read = 0;
        for (const char c : behind) read = c;
        static_cast<void>(read);
        lines.push_back(line.append(bytes));
        return lines.size() < stop_after;
    }
};

/// Feeds one piece as a socket's read buffer would hold it: in memory of its own, with just kPadding behind, and
/// something else in that, which must still be there afterwards.
inline std::optional<Violation> feed_piece(FrameParser& parser, std::string_view piece, std::size_t max_message,
                                           FrameParser::Sink& sink, bool deflate = false) {
    constexpr char kBehind = '\xA5';
    const std::size_t size = piece.size();
    const auto buffer = std::make_unique<char[]>(size + kPadding);
    std::ranges::copy(piece, buffer.get());
    std::fill_n(buffer.get() + size, kPadding, kBehind);
    const auto violation = parser.feed({buffer.get(), size}, max_message, sink, deflate);
    if (std::count(buffer.get() + size, buffer.get() + size + kPadding, kBehind) != kPadding) std::abort();
    return violation;
}

struct Reading {
    std::vector<std::string> lines;  // of Recorder, and a violation last
    std::size_t fed = 0;             // bytes, up to and with the piece that ended it
    bool mid_message = false;
    std::size_t buffered = 0;
};

/// Reads `bytes` in pieces of the sizes that `next_size()` says (at least 1), until they end, a violation comes, or
/// `stop_after` calls were made. `deflate`: compressed messages may come.
template <class NextSize>
Reading read_frames(std::string_view bytes, std::size_t max_message, NextSize&& next_size,
                    std::size_t stop_after = SIZE_MAX, bool deflate = false) {
    FrameParser parser;
    Recorder recorder;
    recorder.stop_after = stop_after;
    Reading reading;
    bool over = false;
    while (!over && reading.fed < bytes.size()) {
        const auto piece = bytes.substr(reading.fed, next_size());
        reading.fed += piece.size();
        if (const auto violation = feed_piece(parser, piece, max_message, recorder, deflate)) {
            recorder.lines.push_back("violation:" + std::to_string(static_cast<int>(violation->code)) + ":" +
                                     std::string(violation->why));
            over = true;
        }
        over = over || recorder.lines.size() >= stop_after;
    }
    reading.lines = std::move(recorder.lines);
    reading.mid_message = parser.mid_message();
    reading.buffered = parser.buffered();
    return reading;
}

inline Reading read_whole(std::string_view bytes, std::size_t max_message = 1 << 20, bool deflate = false) {
    return read_frames(
        bytes, max_message, [&] { return bytes.size(); }, SIZE_MAX, deflate);
}

inline Reading read_bytewise(std::string_view bytes, std::size_t max_message = 1 << 20, bool deflate = false) {
    return read_frames(
        bytes, max_message, [] { return std::size_t{1}; }, SIZE_MAX, deflate);
}

/// As a whole, but from `cut` on by another parser, which goes on from what the first has half read.
inline Reading read_with_a_move(std::string_view bytes, std::size_t cut, std::size_t max_message, bool deflate) {
    FrameParser before;
    Recorder recorder;
    Reading reading;
    const auto feed = [&](FrameParser& parser, std::string_view piece) {
        const auto violation = piece.empty() ? std::nullopt : feed_piece(parser, piece, max_message, recorder, deflate);
        if (violation) {
            recorder.lines.push_back("violation:" + std::to_string(static_cast<int>(violation->code)) + ":" +
                                     std::string(violation->why));
        }
        reading.fed += piece.size();
        reading.lines = recorder.lines;
        reading.mid_message = parser.mid_message();
        reading.buffered = parser.buffered();
        return !violation;
    };
    if (!feed(before, bytes.substr(0, cut))) return reading;
    FrameParser after;
    if (feed(after, before.half_read())) feed(after, bytes.substr(cut));
    return reading;
}

/// In pieces of 1 to 2^k bytes, k drawn anew for each, so that both short and long ones come.
inline Reading read_in_random_pieces(std::string_view bytes, std::uint32_t seed, std::size_t max_message = 1 << 20,
                                     bool deflate = false) {
    std::minstd_rand random(seed + 1);
    return read_frames(
        bytes, max_message, [&] { return 1 + random() % (std::size_t{1} << random() % 11); }, SIZE_MAX, deflate);
}

}  // namespace weft::websocket::test
