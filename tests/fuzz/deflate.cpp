// Compressed messages from a peer: the first bytes choose takeover, window and limit, each message is a length of two
// bytes and as many bytes. What the Inflater makes of them must be what zlib makes of them one byte at a time. Then the
// bytes are messages of ours: what the Deflater makes of them must inflate to them.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/require.hpp"
#include "websocket/deflater.hpp"
#include "websocket/inflater.hpp"

namespace {

using namespace weft::websocket;

// zlib with a byte of input and a byte of room at a time.
class PlainInflater {
public:
    PlainInflater(bool takeover, int window) : takeover_(takeover) { REQUIRE(inflateInit2(&stream_, -window) == Z_OK); }
    ~PlainInflater() { inflateEnd(&stream_); }
    PlainInflater(const PlainInflater&) = delete;
    PlainInflater& operator=(const PlainInflater&) = delete;

    // The close code that it comes to; 0 for a message, which is left in `message`.
    int inflate(std::string_view compressed, std::size_t max_message, std::string& message) {
        message.clear();
        if (compressed.empty()) return 0;
        if (!takeover_) inflateReset(&stream_);
        std::string input(compressed);
        input.append("\0\0\xff\xff", 4);
        bool complete = false;
        bool behind_block = false;
        for (std::size_t i = 0; i < input.size(); ++i) {
            if (complete && i == compressed.size()) return 0;  // a final block was the last
            complete = false;
            stream_.next_in = reinterpret_cast<Bytef*>(&input[i]);
            stream_.avail_in = 1;
            for (;;) {
                char byte = 0;
                stream_.next_out = reinterpret_cast<Bytef*>(&byte);
                stream_.avail_out = 1;
                const int code = ::inflate(&stream_, Z_SYNC_FLUSH);
                if (stream_.avail_out == 0) message += byte;
                if (message.size() > max_message) return 1009;
                if (code == Z_STREAM_END) {
                    inflateResetKeep(&stream_);
                    complete = true;
                    if (stream_.avail_in > 0) continue;  // it wasn't looked at
                    break;
                }
                if (code == Z_BUF_ERROR) break;
                if (code != Z_OK) return 1007;
                behind_block = (stream_.data_type & 128) != 0;
                if (stream_.avail_in == 0 && stream_.avail_out == 1) break;
            }
        }
        return complete || behind_block ? 0 : 1007;
    }

private:
    bool takeover_;
    z_stream stream_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const bool takeover = (data[0] & 1) != 0;
    const auto window = static_cast<std::uint8_t>(8 + (data[0] >> 1) % 8);
    const std::size_t max_message = std::size_t{1} << data[1] % 17;
    const auto level = static_cast<std::uint8_t>(1 + data[2] % 9);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);

    std::vector<std::string_view> messages;
    for (std::string_view rest = bytes; rest.size() >= 2;) {
        const std::size_t length =
            static_cast<std::uint8_t>(rest[0]) * std::size_t{256} + static_cast<std::uint8_t>(rest[1]);
        rest.remove_prefix(2);
        messages.push_back(rest.substr(0, length));
        rest.remove_prefix(messages.back().size());
    }

    Inflater inflater(takeover, window);
    PlainInflater plain(takeover, window);
    std::string storage;
    std::string expected;
    for (const std::string_view compressed : messages) {
        const auto message = inflater.inflate(compressed, max_message, storage);
        const int code = plain.inflate(compressed, max_message, expected);
        REQUIRE(storage.size() <= std::max<std::size_t>(max_message + 1, 4096) + kPadding);
        REQUIRE((message ? 0 : static_cast<int>(message.error().code)) == code);
        if (!message) {
            if (takeover) break;
            continue;
        }
        REQUIRE(*message == expected);
        REQUIRE(message->data() + message->size() + kPadding <= storage.data() + storage.size());
    }

    Deflater deflater({level, std::max(kMinWindow, window), 1}, takeover);
    Inflater back(takeover, std::max(kMinWindow, window));
    std::string room;
    for (const std::string_view message : messages) {
        const auto compressed = deflater.compress(message, room);
        REQUIRE(room.size() <= bytes.size() + 8);
        if (!compressed) continue;
        REQUIRE(compressed->size() < message.size());
        const auto again = back.inflate(*compressed, message.size(), storage);
        REQUIRE(again && *again == message);
    }
    return 0;
}
