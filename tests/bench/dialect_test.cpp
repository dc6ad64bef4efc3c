#include "bench/dialect.hpp"

#include <gtest/gtest.h>

namespace weft::bench {
namespace {

std::string refusal_of(const DialectOptions& options) {
    const auto dialect = make_dialect(options);
    return dialect ? std::string() : dialect.error();
}

TEST(Dialects, SayWhatTheyCannotSpeak) {
    DialectOptions options;
    options.name = "mqtt";
    EXPECT_EQ(refusal_of(options), "unknown dialect \"mqtt\": expected weft, nchan, ws or socketio");
    options.name = "weft";
    EXPECT_EQ(refusal_of(options), "the weft dialect needs --ticket-key or --ticket");
    options.name = "ws";
    options.sse = true;
    EXPECT_EQ(refusal_of(options), "the dialect \"ws\" has WebSocket alone: expected weft or nchan");
    options.sse = false;
    options.raw = true;
    EXPECT_EQ(refusal_of(options), "the dialect \"ws\" has no raw protocol: expected weft");
}

TEST(Dialects, ListenToTheDataAlone) {
    DialectOptions options;
    options.name = "weft";
    options.ticket = "t";
    options.raw = true;
    const auto dialect = make_dialect(options);
    ASSERT_TRUE(dialect);
    std::string said;
    EXPECT_EQ((*dialect)->request(Role::subscriber, 7).target, "/raw?channel=bench:7");
    EXPECT_EQ((*dialect)->on_open(Role::subscriber, 7, said), Dialect::Step::ready);
    EXPECT_EQ((*dialect)->request(Role::publisher, 7).target, "/ws");
    EXPECT_EQ((*dialect)->on_open(Role::publisher, 7, said), Dialect::Step::wait);
    EXPECT_EQ(said, "");
}

}  // namespace
}  // namespace weft::bench
