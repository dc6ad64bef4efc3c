// The whole load generator against a server that errs: what it says must be what the server did.
#include <gtest/gtest.h>

#include <cstdlib>

#include "bench/scenario.hpp"
#include "tests/bench/faulty_server.hpp"

namespace weft::bench {
namespace {

using Fault = FaultyServer::Fault;

// 200 publications in the second that is measured, after some to warm up.
Options options_for(const FaultyServer& server) {
    Options options;
    options.scenario = "fanout";
    options.label = "faulty";
    options.dialect.name = "ws";
    options.address = server.address();
    options.subscribers_per_channel = 4;
    options.rate = 200;
    options.seconds = 1;
    options.warmup = 0.1;
    return options;
}

std::string run_against(FaultyServer::Plan plan) {
    FaultyServer server(std::move(plan));
    const Options options = options_for(server);
    const auto dialect = make_dialect(options.dialect);
    return run_fanout(options, **dialect).text();
}

// The value of a member of a flat object; fails the test when there is none.
std::string member(const std::string& json, const std::string& name) {
    const auto at = json.find('"' + name + "\": ");
    EXPECT_NE(at, std::string::npos) << name << " in " << json;
    if (at == std::string::npos) return {};
    const auto start = at + name.size() + 4;
    return json.substr(start, json.find_first_of(",}", start) - start);
}

TEST(LoadGenerator, FindsNothingWrongWithAServerThatErrsNowhere) {
    const std::string result = run_against([](std::size_t, std::uint32_t) { return Fault::none; });
    EXPECT_EQ(member(result, "clean"), "true") << result;
    EXPECT_EQ(member(result, "lost"), "0");
    EXPECT_GE(std::atoi(member(result, "expected").c_str()), 4 * 100);
}

TEST(LoadGenerator, CountsEveryFaultOfAServerAsWhatItIs) {
    const std::string result = run_against([](std::size_t subscriber, std::uint32_t number) {
        if (subscriber != 2) return Fault::none;
        switch (number) {
            case 5: return Fault::drop;
            case 10:
            case 20: return Fault::repeat;
            case 30:
            case 32:
            case 34: return Fault::hold;
            case 40:
            case 41:
            case 42:
            case 43: return Fault::mislabel;
            default: return Fault::none;
        }
    });
    EXPECT_EQ(member(result, "clean"), "false") << result;
    EXPECT_EQ(member(result, "lost"), "5") << "the dropped one, and the four that came as another channel's";
    EXPECT_EQ(member(result, "duplicates"), "2");
    EXPECT_EQ(member(result, "reordered"), "3");
    EXPECT_EQ(member(result, "stray"), "4");
    EXPECT_EQ(member(result, "disconnects"), "0");
}

// What is lost never frees its place in the window: the load stands still until it is given up.
TEST(LoadGenerator, CountsALossAndTheStallThatItCausesWhenSaturating) {
    FaultyServer server([](std::size_t subscriber, std::uint32_t number) {
        return subscriber == 1 && number == 7 ? Fault::drop : Fault::none;
    });
    Options options = options_for(server);
    options.rate = 0;
    options.window = 4;
    options.seconds = 3;
    const auto dialect = make_dialect(options.dialect);
    const std::string result = run_fanout(options, **dialect).text();
    EXPECT_EQ(member(result, "clean"), "false") << result;
    EXPECT_EQ(member(result, "lost"), "1");
    EXPECT_EQ(member(result, "duplicates"), "0");
    EXPECT_EQ(member(result, "stalls"), "1");
}

TEST(LoadGenerator, CountsAConnectionThatTheServerEnds) {
    const std::string result = run_against([](std::size_t subscriber, std::uint32_t number) {
        return subscriber == 3 && number == 50 ? Fault::hang_up : Fault::none;
    });
    EXPECT_EQ(member(result, "clean"), "false") << result;
    EXPECT_EQ(member(result, "disconnects"), "1");
    EXPECT_NE(member(result, "lost"), "0");
}

}  // namespace
}  // namespace weft::bench
