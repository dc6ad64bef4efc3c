#include "bench/server_frames.hpp"

#include <gtest/gtest.h>

#include <string>

#include "bench/client_frames.hpp"
#include "websocket/frame_writer.hpp"

namespace weft::bench {
namespace {

std::string written(std::size_t size) {
    std::string out;
    websocket::append_frame(out, websocket::Opcode::text, std::string(size, 'x'));
    return out;
}

TEST(ServerFrames, ReadsEveryFormOfLength) {
    for (const std::size_t size : {0U, 1U, 125U, 126U, 127U, 65535U, 65536U, 200'000U}) {
        const std::string bytes = written(size) + "next";
        ServerFrame frame{};
        ASSERT_EQ(read_frame(bytes, frame), FrameStatus::complete) << size;
        EXPECT_EQ(frame.payload.size(), size);
        EXPECT_EQ(frame.size, bytes.size() - 4);
        EXPECT_EQ(frame.opcode, Opcode::text);
        EXPECT_TRUE(frame.final);
    }
}

TEST(ServerFrames, WaitsForEveryMissingByte) {
    for (const std::size_t size : {0U, 5U, 126U, 65536U}) {
        const std::string bytes = written(size);
        const std::size_t header = bytes.size() - size;
        for (std::size_t have = 0; have < bytes.size(); have += have < header + 2 ? 1 : 8191) {
            ServerFrame frame{};
            ASSERT_EQ(read_frame(std::string_view(bytes).substr(0, have), frame), FrameStatus::incomplete)
                << size << ", " << have;
        }
    }
}

TEST(ServerFrames, RefusesWhatNoServerMaySend) {
    const std::string bad[] = {
        std::string("\x81\x85"
                    "abcdefghi",
                    11),                                              // masked
        std::string("\xC1\x01x", 3),                                  // RSV1
        std::string("\xA1\x01x", 3),                                  // RSV2
        std::string("\x91\x01x", 3),                                  // RSV3
        std::string("\x81\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10),  // 2^64 - 1 bytes
        std::string("\x81\x7F\0\0\0\0\x04\0\0\x01", 10),              // 64 MiB and one
    };
    for (const std::string& bytes : bad) {
        ServerFrame frame{};
        EXPECT_EQ(read_frame(bytes, frame), FrameStatus::invalid) << testing::PrintToString(bytes);
    }
}

TEST(ServerFrames, TellsAFragmentFromAWholeMessage) {
    ServerFrame frame{};
    ASSERT_EQ(read_frame(std::string_view("\x01\x01x", 3), frame), FrameStatus::complete);
    EXPECT_FALSE(frame.final);
}

TEST(ClientFrames, AreTheExampleOfRfc6455Section5Point7) {
    std::string bytes;
    append_client_frame(bytes, Opcode::text, "Hello");
    EXPECT_EQ(bytes, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}

TEST(ClientFrames, SayTheirLengthInTheShortestForm) {
    const std::pair<std::size_t, std::string> headers[] = {
        {0, std::string("\x82\x80", 2)},
        {125, std::string("\x82\xFD", 2)},
        {126, std::string("\x82\xFE\x00\x7E", 4)},
        {65535, std::string("\x82\xFE\xFF\xFF", 4)},
        {65536, std::string("\x82\xFF\0\0\0\0\0\x01\0\0", 10)},
    };
    for (const auto& [size, header] : headers) {
        std::string bytes;
        append_client_frame(bytes, Opcode::binary, std::string(size, 'x'));
        EXPECT_EQ(bytes.substr(0, header.size()), header);
        EXPECT_EQ(bytes.size(), header.size() + 4 + size);
    }
}

}  // namespace
}  // namespace weft::bench
