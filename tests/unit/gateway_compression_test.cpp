// Compression in a worker: what connections share, what they don't, and what a bad message does.
#include <malloc.h>
#include <zlib.h>

#include "gateway/wire_table.hpp"
#include "unit/gateway_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words
using websocket::DeflateParameters;
using websocket::test::FrameShape;

constexpr DeflateParameters kNone{};
constexpr DeflateParameters kServer{.server_takeover = true};
constexpr DeflateParameters kClient{.client_takeover = true};
constexpr DeflateParameters kBoth{.server_takeover = true, .client_takeover = true};

std::string text_of(std::size_t size, char what = 'x') {
    return '"' + std::string(size, what) + '"';
}

/// `text` with its long runs of one letter shown by their length: "x*500".
std::string folded(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t run = std::min(text.find_first_not_of(text[0]), text.size());
        out += run > 20 ? text[0] + ("*" + std::to_string(run)) : std::string(text.substr(0, run));
        text.remove_prefix(run);
    }
    return out;
}

/// A client's half of the extension, zlib used as the RFC says.
class Compressing {
public:
    explicit Compressing(const DeflateParameters& agreed)
        : deflater_({.level = 6, .window = std::max<std::uint8_t>(9, agreed.client_window), .min_size = 0},
                    agreed.client_takeover),
          inflater_(agreed.server_takeover, agreed.server_window) {}

    /// A client's message; it must be one that gets smaller.
    std::string frame(Opcode opcode, std::string_view message) {
        const auto compressed = deflater_.compress(message, storage_);
        EXPECT_TRUE(compressed) << message;
        return client_frame(opcode, compressed.value_or(""), {.reserved = 0x40});
    }

    /// What a server's frames say; "z:" before those that came compressed.
    Lines read(Client& client) {
        Lines lines;
        std::string_view rest = client.bytes;
        while (!rest.empty()) {
            const auto first = static_cast<std::uint8_t>(rest[0]);
            EXPECT_EQ(first & 0xB0, 0x80);
            const auto frame = websocket::take_frame(rest);
            if (frame.opcode == Opcode::close) {
                lines.push_back("close " + std::to_string(static_cast<std::uint8_t>(frame.payload[0]) << 8 |
                                                          static_cast<std::uint8_t>(frame.payload[1])));
                EXPECT_EQ(first & 0x40, 0);
            } else if (frame.opcode == Opcode::pong) {
                lines.push_back("pong " + std::string(frame.payload));
                EXPECT_EQ(first & 0x40, 0);
            } else if ((first & 0x40) != 0) {
                const auto message = inflater_.inflate(frame.payload, 1 << 24, storage_);
                lines.push_back("z:" + (message ? show(*message) : std::string(message.error().why)));
            } else {
                lines.push_back(show(frame.payload));
            }
        }
        client.bytes.clear();
        return lines;
    }

private:
    static std::string show(std::string_view message) {
        return folded(message.starts_with('{') ? describe(message) : std::string(message));
    }

    websocket::Deflater deflater_;
    websocket::Inflater inflater_;
    std::string storage_;
};

class GatewayCompression : public ScriptedGateway {
protected:
    GatewayCompression() {
        endpoint.compression.on = true;
        endpoint.rate = {};
        echo_.echo = true;
        echo_.rate = {};
        echo_.compression = endpoint.compression;
        echo_.compression.deflate.min_size = 0;
    }

    WebSocketWire& wire_for(const DeflateParameters& agreed) {
        if (agreed.server_takeover) return plain_;
        websocket::DeflateSettings settings = endpoint.compression.deflate;
        settings.window = agreed.server_window;
        return *wires_.compressed(plain_, settings);
    }

    struct Peer {
        Client& client;
        Compressing codec;
        Lines read() { return codec.read(client); }
    };

    Peer enter(const DeflateParameters& agreed, const EndpointSettings& at) {
        Client& client = accept(at, wire_for(agreed), agreed);
        gateway().open(*client.socket, everything("ann"));
        client.id = client.socket->client_id();
        run();
        return {client, Compressing(agreed)};
    }
    Peer enter_channel(const DeflateParameters& agreed) {
        Peer peer = enter(agreed, endpoint);
        EXPECT_EQ(peer.read(), Lines{"z:connection_established"});
        receive(peer.client, client_frame(Opcode::text, subscribe("chat:a", "")));
        run();
        EXPECT_EQ(peer.read(), Lines{"subscribed chat:a @k.0"});
        weftd.take();
        peer.client.written.clear();
        return peer;
    }
    Peer enter_echo(const DeflateParameters& agreed) { return enter(agreed, echo_); }

    EndpointSettings echo_;
    std::vector<std::unique_ptr<Codec>> codecs_ = [] {
        std::vector<std::unique_ptr<Codec>> codecs;
        codecs.push_back(std::make_unique<CountingCodec>());
        return codecs;
    }();
    CountingCodec& codec_ = static_cast<CountingCodec&>(*codecs_.front());
    WireTable wires_{codecs_, counters};
    WebSocketWire& plain_ = wires_.plain({});
};

TEST_F(GatewayCompression, EncodesAndCompressesOnceForAllThatAgreedToTheSame) {
    std::vector<Peer> peers;
    for (int i = 0; i < 10; ++i) peers.push_back(enter_channel(kNone));
    codec_.events = 0;
    const std::uint64_t before = counters.deflated_out.value();
    const std::uint64_t compressed = counters.compressed_out.value();
    weftd.send(publication("chat:a", text_of(5000), "k.1"));
    weftd.send(publication("chat:a", "1", "k.2"));
    run();
    EXPECT_EQ(codec_.events, 2U);
    EXPECT_GT(counters.deflated_out.value() - before, 5000U);
    EXPECT_LT(counters.deflated_out.value() - before, 6000U) << "once, and the short one not at all";
    EXPECT_LT(counters.compressed_out.value() - compressed, 500U);
    for (Peer& peer : peers) {
        ASSERT_EQ(peer.client.written.size(), 1U);
        EXPECT_EQ(peer.client.written[0], peers[0].client.written[0]) << "the same bytes at the same place";
        EXPECT_EQ(peer.read(), (Lines{"z:event chat:a x*5000 @k.1", "event chat:a 1 @k.2"}));
    }
}

TEST_F(GatewayCompression, SharesAWireBetweenConnectionsWithTheSameServerWindowOnly) {
    DeflateParameters small = kNone;
    small.server_window = 9;
    DeflateParameters client_small = kClient;
    client_small.client_window = 9;
    EXPECT_EQ(&wire_for(kNone), &wire_for(kClient)) << "the client's half is its own affair";
    EXPECT_EQ(&wire_for(kNone), &wire_for(client_small));
    EXPECT_NE(&wire_for(kNone), &wire_for(small));
    EXPECT_EQ(&wire_for(small), &wire_for(small));
    EXPECT_NE(wire_for(kNone).index(), wire_for(small).index());
    EXPECT_EQ(&wire_for(kServer), &plain_);
    websocket::DeflateSettings other = endpoint.compression.deflate;
    other.level = 9;
    EXPECT_NE(wires_.compressed(plain_, other), &wire_for(kNone));
    other = endpoint.compression.deflate;
    other.min_size = 1;
    EXPECT_NE(wires_.compressed(plain_, other), &wire_for(kNone));
}

TEST_F(GatewayCompression, MakesNoMoreWiresThanASetCanHold) {
    websocket::DeflateSettings settings;
    for (std::size_t i = 1; i + WireTable::kForStreams < Wire::kMax; ++i) {
        settings.min_size = i;
        const WebSocketWire* wire = wires_.compressed(plain_, settings);
        ASSERT_NE(wire, nullptr);
        EXPECT_EQ(wire->index(), i);
    }
    EXPECT_NE(wires_.compressed(plain_, settings), nullptr) << "the last one again";
    settings.min_size = Wire::kMax;
    EXPECT_EQ(wires_.compressed(plain_, settings), nullptr);
    EXPECT_NE(wires_.stream(StreamWire::Kind::sse, plain_.codec().subprotocol()), nullptr) << "streams have their room";
}

TEST_F(GatewayCompression, GivesEachWithServerTakeoverAStreamOfItsOwn) {
    std::vector<Peer> peers;
    for (const auto& agreed : {kServer, kBoth, kNone, kServer}) peers.push_back(enter_channel(agreed));
    Peer late = enter_channel(kServer);
    std::vector<std::size_t> sizes;
    for (int i = 1; i <= 5; ++i) {
        const std::string position = "k." + std::to_string(i);
        const char letter = static_cast<char>('a' + i % 2);
        weftd.send(publication("chat:a", text_of(300, letter), position));
        weftd.send(publication("chat:a", std::to_string(i), position));
        run();
        sizes.push_back(peers[0].client.bytes.size());
        for (Peer& peer : peers) {
            EXPECT_EQ(peer.read(), (Lines{std::string("z:event chat:a ") + letter + "*300 @" + position,
                                          "event chat:a " + std::to_string(i) + " @" + position}));
        }
        if (i == 3) {
            EXPECT_EQ(late.read().size(), 6U) << "who reads later gets the same";
        }
    }
    EXPECT_LT(sizes[3], sizes[0]) << "it refers to what came before";
    EXPECT_EQ(late.read().size(), 4U);
}

TEST_F(GatewayCompression, KeepsTheOrderOfRepliesEventsAndTheirContexts) {
    Peer ann = enter_channel(kBoth);
    weftd.send(publication("chat:a", text_of(500), "k.1"));
    receive(ann.client, ann.codec.frame(Opcode::text, ping("1") + std::string(300, ' ')));
    receive(ann.client, client_frame(Opcode::text, R"({"type":"dance","id":"2"})"));
    receive(ann.client, client_frame(Opcode::ping, "here"));
    weftd.send(publication("chat:a", text_of(500), "k.2"));
    run();
    receive(ann.client, ann.codec.frame(Opcode::text, ping("3") + std::string(300, ' ')));
    run();
    const Lines lines = ann.read();
    EXPECT_EQ(lines, (Lines{"pong#1", "error#2 4006", "pong here", "z:event chat:a x*500 @k.1",
                            "z:event chat:a x*500 @k.2", "pong#3"}));
}

TEST_F(GatewayCompression, ExecutesCompressedCommands) {
    for (const auto& agreed : {kNone, kServer, kClient, kBoth}) {
        Peer ann = enter_channel(agreed);
        for (int i = 0; i < 3; ++i) {
            receive(ann.client, ann.codec.frame(Opcode::text, publish("chat:a", "", text_of(300))));
            run();
            const Lines told = weftd.take();
            ASSERT_EQ(told.size(), 1U);
            EXPECT_NE(told[0].find(text_of(300)), std::string::npos);
        }
        receive(ann.client, client_frame(Opcode::text, ping("1")));
        run();
        EXPECT_EQ(ann.read(), Lines{"pong#1"}) << "uncompressed ones too";
    }
    EXPECT_GT(counters.inflated_in.value(), 12 * 300U);
    EXPECT_LT(counters.compressed_in.value(), counters.inflated_in.value() / 2);
}

TEST_F(GatewayCompression, EchoesCompressedInEveryMode) {
    for (const auto& agreed : {kNone, kServer, kClient, kBoth}) {
        Peer ann = enter_echo(agreed);
        for (const std::size_t size : {30, 1000, 60'000, 1000}) {
            receive(ann.client, ann.codec.frame(Opcode::binary, std::string(size, 'e')));
            run();
            const std::string expected = size < 256 && !agreed.server_takeover ? "" : "z:";
            EXPECT_EQ(ann.read(), Lines{expected + "e*" + std::to_string(size)});
        }
        receive(ann.client, client_frame(Opcode::text, std::string(500, 'p')));
        run();
        EXPECT_EQ(ann.read(), Lines{"z:p*500"}) << "though it came as it is";
    }
}

TEST_F(GatewayCompression, EndsOnBadCompressedMessagesWithTheCodeOfTheRfc) {
    const auto deflated = [](std::string_view message) {
        Compressing once(kNone);
        return once.frame(Opcode::text, message);
    };
    const FrameShape compressed{.reserved = 0x40};
    EndpointSettings at = echo_;
    at.max_message = 2000;
    const struct {
        const char* what;
        std::string bytes;
        int code;
    } cases[] = {
        {"not DEFLATE", client_frame(Opcode::text, "garbage", compressed), 1007},
        {"an unfinished block", client_frame(Opcode::text, "\xf2\x48", compressed), 1007},
        {"not UTF-8", deflated(std::string(100, '\xff')), 1007},
        {"ends inside a character", deflated(std::string(100, 'a') + "\xc3"), 1007},
        {"too long once it is inflated", deflated(std::string(2001, 'a')), 1009},
        {"too long before", client_frame(Opcode::text, std::string(2400, 'a'), compressed), 1009},
        {"RSV1 on a ping", client_frame(Opcode::ping, "", compressed), 1002},
    };
    for (const auto& agreed : {kNone, kBoth}) {
        for (const auto& [what, bytes, code] : cases) {
            SCOPED_TRACE(what);
            Peer ann = enter(agreed, at);
            receive(ann.client, client_frame(Opcode::text, "before") + bytes + client_frame(Opcode::text, "behind"));
            receive(ann.client, client_frame(Opcode::text, "later") + client_frame(Opcode::close, ""));
            run();
            EXPECT_EQ(ann.read(), (Lines{"before", "close " + std::to_string(code)}));
            ASSERT_FALSE(ann.client.closed());
            EXPECT_EQ(ann.client.socket->phase(), Connection::Phase::lingering);
            EXPECT_EQ(ann.client.socket->close_code(), code);
        }
    }
    Peer bob = enter(kNone, at);
    receive(bob.client, bob.codec.frame(Opcode::text, std::string(2000, 'a')));
    run();
    EXPECT_EQ(bob.read(), Lines{"z:a*2000"}) << "the worker's inflater serves on";
}

TEST_F(GatewayCompression, IgnoresCompressedMessagesBehindItsGoodbye) {
    Peer ann = enter_channel(kBoth);
    ann.client.socket->end(Code::revoked);
    receive(ann.client, client_frame(Opcode::text, "garbage", {.reserved = 0x40}));
    run();
    EXPECT_EQ(ann.read(), Lines{"close 4013"});
    EXPECT_EQ(ann.client.socket->phase(), Connection::Phase::closing);
}

// A slow reader with a context: whatever is dropped of its queue, what it gets must not refer to it.
TEST_F(GatewayCompression, DropsAndConflatesForSlowReadersWithServerTakeover) {
    for (const Overflow overflow : {Overflow::drop_oldest, Overflow::conflate}) {
        const std::string channel = overflow == Overflow::conflate ? "latest:a" : "drop:a";
        ChannelRule rule{*ChannelPattern::parse(channel)};
        rule.overflow = overflow;
        rules.add(std::move(rule));
        endpoint.send_queue = 4096;
        for (const std::size_t gathered : {std::size_t{16}, std::size_t{600}, std::size_t{100'000}}) {
            scratch_size = gathered;
            Peer ann = enter(kBoth, endpoint);
            receive(ann.client, client_frame(Opcode::text, subscribe(channel, "")));
            run();
            EXPECT_EQ(ann.read().size(), 2U);
            std::mt19937 random(static_cast<std::uint32_t>(gathered));
            int last = 0;
            int gaps = 0;
            int got = 0;
            for (int n = 1; n <= 400; ++n) {
                // Each resembles some that came shortly before, so that references are plenty.
                const std::string text(300 + random() % 1200, static_cast<char>('a' + n % 3));
                weftd.send(
                    publication(channel, "[" + std::to_string(n) + ",\"" + text + "\"]", "k." + std::to_string(n)));
                ann.client.room = n % 20 == 0 ? SIZE_MAX : random() % 8 == 0 ? random() % 200 : 0;
                run();
                if (n % 20 != 0) continue;
                flush_now(ann.client);
                run();
                for (const std::string& line : ann.read()) {
                    gaps += line.starts_with("gap") ? 1 : 0;
                    if (line.starts_with("gap")) continue;
                    ASSERT_EQ(line.substr(0, 8), "z:event ") << line;
                    const int number = std::stoi(line.substr(line.find('[') + 1));
                    EXPECT_GT(number, last);
                    last = number;
                    ++got;
                }
                EXPECT_EQ(last, n);
            }
            EXPECT_LT(got, 380);
            EXPECT_EQ(gaps > 10, overflow == Overflow::drop_oldest) << gaps;
            remove_now(ann.client);
            run();
        }
    }
}

TEST_F(GatewayCompression, EndsASlowReaderWithServerTakeoverInPlainWords) {
    endpoint.send_queue = 4096;
    Peer ann = enter_channel(kBoth);
    ann.client.room = 20;
    for (int n = 1; n <= 6; ++n) {
        weftd.send(publication("chat:a", text_of(1000, static_cast<char>('a' + n)), "k." + std::to_string(n)));
        run();
    }
    ann.client.room = SIZE_MAX;
    flush_now(ann.client);
    run();
    EXPECT_EQ(ann.read(), (Lines{"z:event chat:a b*1000 @k.1", "close 4014"}));
}

TEST_F(GatewayCompression, KeepsNoStateOfZlibForAConnectionWithoutTakeover) {
    const auto held = [] {
        const auto info = mallinfo2();
        return info.uordblks + info.hblkhd;
    };
    if (held() == 0) GTEST_SKIP() << "this allocator says nothing";  // a sanitizer's
    const auto exercise = [this](const DeflateParameters& agreed) {
        Peer ann = enter_echo(agreed);
        receive(ann.client, ann.codec.frame(Opcode::text, std::string(3000, 'a')));
        run();
        EXPECT_EQ(ann.read(), Lines{"z:a*3000"});
        return &ann.client;
    };
    exercise(kNone);
    const std::size_t before = held();
    for (int i = 0; i < 20; ++i) exercise(kNone);
    EXPECT_LT(held() - before, 20 * 4096U);
    const std::size_t without = held();
    for (int i = 0; i < 5; ++i) exercise(kBoth);
    EXPECT_GT(held() - without, 5 * 250'000U) << "which takeover needs: else this test sees nothing";
}

}  // namespace
}  // namespace weft
