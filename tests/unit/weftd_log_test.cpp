// Lines of weftd's log: what stands in them came, in part, from other processes.
#include <gtest/gtest.h>

#include "log_line.hpp"

namespace weft {
namespace {

std::string text(std::string_view event, std::initializer_list<LogField> fields) {
    return log_line(LogFormat::text, event, std::vector<LogField>(fields));
}

std::string json(std::string_view event, std::initializer_list<LogField> fields) {
    return log_line(LogFormat::json, event, std::vector<LogField>(fields));
}

TEST(LogLine, WritesPlainValuesBareAndOthersQuoted) {
    EXPECT_EQ(text("peer_up", {{"peer", "b"}, {"endpoint", "tcp://10.0.0.2:7400"}, {"frames", 12}, {"delta", -3}}),
              "event=peer_up peer=b endpoint=tcp://10.0.0.2:7400 frames=12 delta=-3");
    EXPECT_EQ(text("e", {{"why", "no answer"}, {"empty", ""}, {"equals", "a=b"}, {"quote", "a\"b\\c"}}),
              R"(event=e why="no answer" empty="" equals="a=b" quote="a\"b\\c")");
}

TEST(LogLine, WritesJsonMembers) {
    EXPECT_EQ(json("peer_up", {{"peer", "b"}, {"frames", 12}, {"why", "a \"b\" \\"}}),
              R"("event":"peer_up","peer":"b","frames":12,"why":"a \"b\" \\")");
}

TEST(LogLine, LetsNoValueForgeALineOrAField) {
    EXPECT_EQ(text("worker_up", {{"name", std::string("x\ny event=admin\r\x1b[2J\x7f")}}),
              R"(event=worker_up name="x\ny event=admin\x0d\x1b[2J\x7f")");
    EXPECT_EQ(json("worker_up", {{"name", std::string("x\n\",\"y\":1\r\x1b")}}),
              R"("event":"worker_up","name":"x\n\",\"y\":1\\x0d\\x1b")");
    EXPECT_EQ(text("e", {{"name", std::string_view("\0", 1)}}), R"(event=e name="\x00")");
    EXPECT_EQ(text("e", {{"name", "\xc2\x9b\xff"}}), R"(event=e name="\xc2\x9b\xff")");
}

TEST(LogLine, CutsWhatIsTooLong) {
    const std::string line = text("e", {{"name", std::string(1'000'000, 'a')}});
    EXPECT_EQ(line, "event=e name=" + std::string(LogField::kMaxValue, 'a') + "...");
}

}  // namespace
}  // namespace weft
