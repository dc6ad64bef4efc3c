// Deflater and Inflater: what RFC 7692 §7.2 shows, and what a hostile peer may try.
#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "websocket/deflater.hpp"
#include "websocket/inflater.hpp"

namespace weft::websocket {
namespace {

using namespace std::string_literals;

constexpr std::size_t kMax = 1 << 20;

/// What inflating a message must come to, in a line that can be shown.
std::string ok(std::string_view message) {
    if (message.size() <= 40) return "ok:" + std::string(message);
    return "ok:" + std::to_string(message.size()) + " bytes #" + std::to_string(std::hash<std::string_view>()(message));
}

std::string outcome(const tl::expected<std::string_view, Violation>& message) {
    if (message) return ok(*message);
    return std::to_string(static_cast<int>(message.error().code)) + ":" + std::string(message.error().why);
}

std::string inflate(Inflater& inflater, std::string_view compressed, std::size_t max_message = kMax) {
    std::string storage;
    return outcome(inflater.inflate(compressed, max_message, storage));
}

std::string inflate_once(std::string_view compressed, std::size_t max_message = kMax) {
    Inflater inflater;
    return inflate(inflater, compressed, max_message);
}

/// As a client may do it, with zlib's settings of its choice and a flush at the end.
std::string deflate_with(std::string_view message, int level, int window = 15, int strategy = Z_DEFAULT_STRATEGY,
                         int flush = Z_SYNC_FLUSH) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, -window, 8, strategy), Z_OK);
    std::string out(message.size() * 2 + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
    stream.avail_in = static_cast<uInt>(message.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, flush);
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    if (flush == Z_SYNC_FLUSH) {
        EXPECT_TRUE(out.ends_with("\0\0\xff\xff"s));
        out.resize(out.size() - 4);
    }
    return out;
}

/// Text that gets smaller, and differs by `seed`.
std::string words(std::size_t size, std::uint32_t seed = 1) {
    constexpr const char* kWords[] = {"price", "volume", "\"symbol\":", "exchange ", "0.25", "timestamp", "{", "}, "};
    std::minstd_rand random(seed);
    std::string text;
    while (text.size() < size) text += kWords[random() % 8];
    text.resize(size);
    return text;
}

std::string noise(std::size_t size, std::uint32_t seed = 1) {
    std::mt19937 random(seed);
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
}

// --- Inflater ---------------------------------------------------------------------------------------------------

TEST(Inflater, ReadsTheExamplesOfTheRfc) {  // §7.2.3
    const struct {
        const char* what;
        std::string compressed;
    } cases[] = {
        {"one compressed block", "\xf2\x48\xcd\xc9\xc9\x07\x00"s},
        {"a block without compression", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s},
        {"a block with BFINAL", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s},
        {"two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s},
    };
    for (const auto& [what, compressed] : cases) EXPECT_EQ(inflate_once(compressed), "ok:Hello") << what;
}

TEST(Inflater, ReadsTheSecondHelloOfTheRfcOnlyWithItsContext) {  // §7.2.3.2
    Inflater with(true);
    EXPECT_EQ(inflate(with, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), "ok:Hello");
    EXPECT_EQ(inflate(with, "\xf2\x00\x11\x00\x00"s), "ok:Hello");
    EXPECT_EQ(inflate(with, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), "ok:Hello");
    Inflater without(false);
    EXPECT_EQ(inflate(without, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), "ok:Hello");
    EXPECT_EQ(inflate(without, "\xf2\x00\x11\x00\x00"s), "1007:a compressed message isn't DEFLATE data");
    EXPECT_EQ(inflate(without, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), "ok:Hello") << "the next is somebody else's";
}

TEST(Inflater, ReadsEmptyMessages) {  // §7.2.3.6, and what takes its place
    for (const std::string& empty : {"\x00"s, ""s, "\x02\x00"s, "\x03\x00"s, "\x01\x00\x00\xff\xff"s,
                                     "\x01\x00\x00\xff\xff\x00"s, "\x00\x00\x00\xff\xff\x00"s}) {
        EXPECT_EQ(inflate_once(empty), "ok:") << testing::PrintToString(empty);
        Inflater kept(true);
        EXPECT_EQ(inflate(kept, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), "ok:Hello");
        EXPECT_EQ(inflate(kept, empty), "ok:");
        EXPECT_EQ(inflate(kept, "\xf2\x00\x11\x00\x00"s), "ok:Hello") << testing::PrintToString(empty);
    }
}

TEST(Inflater, GoesOnBehindFinalBlocksWithWhatCameBefore) {     // §7.2.3.4, §7.2.3.5
    const std::string hello = "\xf3\x48\xcd\xc9\xc9\x07\x00"s;  // BFINAL set
    EXPECT_EQ(inflate_once(hello), "ok:Hello") << "without the empty block that should follow";
    EXPECT_EQ(inflate_once(hello + hello + hello + "\x00"s), "ok:HelloHelloHello");
    EXPECT_EQ(inflate_once(hello + "\xf2\x00\x11\x00\x00"s), "ok:HelloHello") << "back across a final block";
    Inflater kept(true);
    EXPECT_EQ(inflate(kept, hello + "\x00"s), "ok:Hello");
    EXPECT_EQ(inflate(kept, "\xf2\x00\x11\x00\x00"s), "ok:Hello") << "and in the next message";
}

TEST(Inflater, ReadsWhateverZlibMakes) {
    for (const int level : {0, 1, 4, 9}) {
        for (const int strategy : {Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED}) {
            for (const std::size_t size : {1, 15, 258, 4096, 70'000, 300'000}) {
                const std::string message = words(size);
                EXPECT_EQ(inflate_once(deflate_with(message, level, 15, strategy)), ok(message));
                EXPECT_EQ(inflate_once(deflate_with(message, level, 15, strategy, Z_FINISH)), ok(message));
            }
        }
    }
    const std::string random = noise(200'000);
    EXPECT_EQ(inflate_once(deflate_with(random, 6)), ok(random));
}

TEST(Inflater, RefusesWhatIsNotDeflate) {
    const std::string good = deflate_with(words(2000), 6);
    const struct {
        const char* what;
        std::string compressed;
    } cases[] = {
        {"a reserved kind of block", "\x06"s},
        {"a reserved kind of block behind a good one", "\xf2\x48\xcd\xc9\xc9\x07\x06"s},
        {"a stored block whose lengths differ", "\x00\x05\x00\xfb\xff\x48\x65\x6c\x6c\x6f\x00"s},
        {"a reference beyond the beginning", "\xf2\x00\x11\x00\x00"s},
        {"garbage", "\xff\xff\xff\xff\xff"s},
        {"garbage behind a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff"s},
        {"text", "Hello, this was never compressed"},
    };
    for (const auto& [what, compressed] : cases) {
        EXPECT_EQ(inflate_once(compressed), "1007:a compressed message isn't DEFLATE data") << what;
    }
}

TEST(Inflater, RefusesAMessageThatEndsWithinABlock) {
    const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"s;
    const std::string stored = "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s;
    for (std::size_t cut = 1; cut + 1 < hello.size(); ++cut) {
        EXPECT_EQ(inflate_once(hello.substr(0, cut)).substr(0, 5), "1007:") << cut;
    }
    EXPECT_EQ(inflate_once(stored.substr(0, 10)).substr(0, 5), "1007:") << "its last byte is the header of the tail";
    for (const std::size_t cut : {2, 3, 4, 5, 7, 8, 9}) {
        EXPECT_EQ(inflate_once(stored.substr(0, cut)).substr(0, 5), "1007:") << cut;
    }
    EXPECT_EQ(inflate_once(stored.substr(0, 6)), "ok:H\0\0\xff\xff"s) << "to the letter of §7.2.2";
    EXPECT_EQ(inflate_once(hello + "\x00\x00\xff\xff"s).substr(0, 5), "1007:") << "the tail that must be left away";
}

TEST(Inflater, BoundsWhatAMessageGrowsTo) {
    const std::string bomb = deflate_with(std::string(10 << 20, 'a'), 9);
    EXPECT_LT(bomb.size(), 11'000U);
    for (const std::size_t most : {std::size_t{128}, std::size_t{5000}, std::size_t{64} << 10}) {
        Inflater inflater;
        std::string storage;
        EXPECT_EQ(outcome(inflater.inflate(bomb, most, storage)), "1009:the message is too big");
        EXPECT_LE(storage.size(), std::max<std::size_t>(most + 1, 4096) + kPadding) << "no room beyond the bound";
        EXPECT_EQ(outcome(inflater.inflate("\xf2\x48\xcd\xc9\xc9\x07\x00"s, most, storage)), "ok:Hello");
    }
}

TEST(Inflater, TakesAMessageOfJustTheSizeThatIsAllowed) {
    for (const std::size_t size : {1, 5, 100, 4095, 4096, 4097, 8192, 50'000}) {
        for (const std::string& message : {std::string(size, 'a'), noise(size)}) {
            const std::string compressed = deflate_with(message, 6);
            EXPECT_EQ(inflate_once(compressed, size), ok(message)) << size;
            EXPECT_EQ(inflate_once(compressed, size - 1), "1009:the message is too big") << size;
            const std::string finished = deflate_with(message, 6, 15, Z_DEFAULT_STRATEGY, Z_FINISH);
            EXPECT_EQ(inflate_once(finished, size), ok(message)) << size;
            EXPECT_EQ(inflate_once(finished, size - 1), "1009:the message is too big") << size;
        }
    }
}

TEST(Inflater, LeavesPaddingBehindTheMessage) {
    Inflater inflater;
    std::string storage;
    for (const std::size_t size : {0, 1, 4096, 20'000}) {
        const std::string compressed = size == 0 ? "" : deflate_with(words(size), 6);
        const auto message = inflater.inflate(compressed, kMax, storage);
        ASSERT_TRUE(message);
        EXPECT_EQ(message->data(), storage.data());
        EXPECT_GE(storage.size(), message->size() + kPadding);
    }
}

TEST(Inflater, HoldsTheClientToItsWindow) {
    // The second message repeats what lies 1,800 bytes back in the first.
    z_stream stream{};
    ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    const auto next = [&stream](const std::string& message) {
        std::string out(message.size() + 100, '\0');
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
        stream.avail_in = static_cast<uInt>(message.size());
        stream.next_out = reinterpret_cast<Bytef*>(out.data());
        stream.avail_out = static_cast<uInt>(out.size());
        deflate(&stream, Z_SYNC_FLUSH);
        out.resize(out.size() - stream.avail_out - 4);
        return out;
    };
    const std::string first = next(words(300, 5) + noise(1500));
    const std::string second = next(words(300, 5));
    deflateEnd(&stream);
    Inflater small(true, 10);
    EXPECT_EQ(inflate(small, first), ok(words(300, 5) + noise(1500)));
    EXPECT_EQ(inflate(small, second), "1007:a compressed message isn't DEFLATE data");
    Inflater large(true, 11);
    EXPECT_EQ(inflate(large, first), ok(words(300, 5) + noise(1500)));
    EXPECT_EQ(inflate(large, second), ok(words(300, 5)));
}

TEST(Inflater, PassesManyFinalBlocksQuickly) {
    std::string blocks;
    for (int i = 0; i < 32'000; ++i) blocks += "\x03\x00"s;
    EXPECT_EQ(inflate_once(deflate_with(words(40'000), 6) + "\x00\x00\xff\xff"s + blocks), ok(words(40'000)));
}

// --- Deflater ---------------------------------------------------------------------------------------------------

TEST(Deflater, MakesWhatInflatesToTheMessageForEveryWindowAndLevel) {
    for (int window = kMinWindow; window <= kMaxWindow; ++window) {
        for (int level = 1; level <= 9; ++level) {
            for (const bool takeover : {false, true}) {
                const auto bits = static_cast<std::uint8_t>(window);
                Deflater deflater({static_cast<std::uint8_t>(level), bits, 0}, takeover);
                Inflater inflater(takeover, bits);
                std::string storage;
                for (const std::size_t size : {20, 300, 600, 5000, 50'000}) {
                    const std::string message = words(size, static_cast<std::uint32_t>(size));
                    const auto compressed = deflater.compress(message, storage);
                    ASSERT_TRUE(compressed || size == 20) << window << level;
                    if (!compressed) continue;
                    EXPECT_LT(compressed->size(), message.size());
                    EXPECT_EQ(inflate(inflater, *compressed), ok(message)) << window << level << takeover;
                }
            }
        }
    }
}

TEST(Deflater, MakesTheSameOfTheSameMessageUnlessItTakesOverItsContext) {
    std::string storage;
    Deflater alone({}, false);
    const std::string first(*alone.compress(words(2000), storage));
    EXPECT_EQ(*alone.compress(words(2000), storage), first);
    Deflater kept({}, true);
    EXPECT_EQ(*kept.compress(words(2000), storage), first);
    EXPECT_LT(kept.compress(words(2000), storage)->size(), first.size() / 3) << "it refers to the first";
}

TEST(Deflater, LeavesShortMessagesAlone) {
    std::string storage;
    Deflater deflater({.min_size = 500}, false);
    EXPECT_FALSE(deflater.compress(std::string(499, 'a'), storage));
    EXPECT_TRUE(deflater.compress(std::string(500, 'a'), storage));
    Deflater eager({.min_size = 0}, false);
    EXPECT_FALSE(eager.compress("", storage));
    EXPECT_FALSE(eager.compress("a", storage));
    EXPECT_TRUE(eager.compress(std::string(20, 'a'), storage));
}

TEST(Deflater, GivesUpWhatDoesNotGetSmallerAndForgetsIt) {
    for (const bool takeover : {false, true}) {
        Deflater deflater({}, takeover);
        Inflater inflater(takeover);
        std::string storage;
        for (const std::size_t size : {300, 5000, 100'000}) {
            const std::string text = words(size);
            EXPECT_EQ(inflate(inflater, *deflater.compress(text, storage)), ok(text));
            const std::string random = noise(size, static_cast<std::uint32_t>(size));
            EXPECT_FALSE(deflater.compress(random, storage));
            EXPECT_LE(storage.size(), size + 4) << "no more room than the message has";
            // Were the noise remembered, its repetition would be a reference that the peer can't follow.
            const std::string again = random.substr(0, 280) + text;
            EXPECT_EQ(inflate(inflater, *deflater.compress(again, storage)), ok(again));
        }
    }
}

TEST(Deflater, RefersToNothingThatItWasToldToForget) {
    Deflater deflater({}, true);
    std::string storage;
    const std::string first(*deflater.compress(words(2000), storage));
    deflater.forget();
    EXPECT_EQ(*deflater.compress(words(2000), storage), first) << "as if it were the first";
}

TEST(Deflater, RefersToItsPredecessorsInAnyMixture) {
    std::minstd_rand random(3);
    for (int window = kMinWindow; window <= kMaxWindow; ++window) {
        const auto bits = static_cast<std::uint8_t>(window);
        Deflater deflater({.level = 6, .window = bits, .min_size = 200}, true);
        Inflater inflater(true, bits);
        std::string storage;
        std::size_t compressed_ones = 0;
        for (int i = 0; i < 300; ++i) {
            const std::size_t size = random() % 3000;
            const std::string message = random() % 4 == 0 ? noise(size, static_cast<std::uint32_t>(random() % 3))
                                                          : words(size, static_cast<std::uint32_t>(random() % 5));
            const auto compressed = deflater.compress(message, storage);
            if (!compressed) continue;
            ++compressed_ones;
            ASSERT_EQ(inflate(inflater, *compressed), ok(message)) << window << " " << i;
        }
        EXPECT_GT(compressed_ones, 100U);
    }
}

}  // namespace
}  // namespace weft::websocket
