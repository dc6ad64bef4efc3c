#include "websocket/extensions.hpp"

#include <gtest/gtest.h>

namespace weft::websocket {
namespace {

/// What is answered and agreed, in one line: the answer, and behind it "| server N client M", each with "+" when its
/// context is taken over; "no" when nothing is agreed.
std::string negotiate(std::string_view extensions, const DeflatePolicy& policy = {}) {
    std::string answer = "untouched";
    const auto agreed = negotiate_deflate(extensions, policy, answer);
    if (!agreed) return answer == "untouched" ? "no" : "no, but " + answer;
    return answer + " | server " + std::to_string(agreed->server_window) + (agreed->server_takeover ? "+" : "") +
           " client " + std::to_string(agreed->client_window) + (agreed->client_takeover ? "+" : "");
}

constexpr DeflatePolicy kBoth{.server_takeover = true, .client_takeover = true};
constexpr std::string_view kNone = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

std::string none(std::string_view more) {
    return std::string(kNone).append(more);
}

TEST(Extensions, AnswersWhatBrowsersOffer) {
    EXPECT_EQ(negotiate("permessage-deflate; client_max_window_bits"), none(" | server 15 client 15"));  // Chromium
    EXPECT_EQ(negotiate("permessage-deflate"), none(" | server 15 client 15"));                          // Firefox
    EXPECT_EQ(negotiate("permessage-deflate, x-webkit-deflate-frame"), none(" | server 15 client 15"));
    EXPECT_EQ(negotiate("permessage-deflate; client_max_window_bits", kBoth),
              "permessage-deflate | server 15+ client 15+");
}

TEST(Extensions, TakesWhatTheRfcShows) {  // §7.1.3, with a server that would take everything
    const struct {
        const char* offers;
        const char* outcome;
    } cases[] = {
        {"permessage-deflate", "permessage-deflate | server 15+ client 15+"},
        {"permessage-deflate; client_max_window_bits; server_max_window_bits=10",
         "permessage-deflate; server_max_window_bits=10 | server 10+ client 15+"},
        {"permessage-deflate; client_max_window_bits; server_max_window_bits=10, "
         "permessage-deflate; client_max_window_bits",
         "permessage-deflate; server_max_window_bits=10 | server 10+ client 15+"},
    };
    for (const auto& [offers, outcome] : cases) EXPECT_EQ(negotiate(offers, kBoth), outcome) << offers;
}

TEST(Extensions, AgreesOnContextTakeoverWhenBothSidesWantIt) {
    const struct {
        bool server, client;  // allowed by the operator
        const char* offer;
        const char* outcome;
    } cases[] = {
        {false, false, "", "; server_no_context_takeover; client_no_context_takeover | server 15 client 15"},
        {true, false, "", "; client_no_context_takeover | server 15+ client 15"},
        {false, true, "", "; server_no_context_takeover | server 15 client 15+"},
        {true, true, "", " | server 15+ client 15+"},
        {true, true, "; server_no_context_takeover", "; server_no_context_takeover | server 15 client 15+"},
        {true, true, "; client_no_context_takeover", "; client_no_context_takeover | server 15+ client 15"},
        {true, true, "; server_no_context_takeover; client_no_context_takeover",
         "; server_no_context_takeover; client_no_context_takeover | server 15 client 15"},
        {false, true, "; client_no_context_takeover",
         "; server_no_context_takeover; client_no_context_takeover | server 15 client 15"},
    };
    for (const auto& c : cases) {
        EXPECT_EQ(negotiate(std::string("permessage-deflate") + c.offer,
                            {.server_takeover = c.server, .client_takeover = c.client}),
                  std::string("permessage-deflate") + c.outcome)
            << c.server << c.client << c.offer;
    }
}

TEST(Extensions, NeverUsesALargerServerWindowThanAskedForOrAllowed) {  // §7.1.2.1
    for (int allowed = 9; allowed <= 15; ++allowed) {
        const DeflatePolicy policy{.server_window = static_cast<std::uint8_t>(allowed)};
        const std::string named = "; server_max_window_bits=" + std::to_string(allowed);
        EXPECT_EQ(negotiate("permessage-deflate", policy),
                  none((allowed < 15 ? named : "") + " | server " + std::to_string(allowed) + " client 15"));
        for (int asked = 9; asked <= 15; ++asked) {
            const std::string agreed = std::to_string(std::min(asked, allowed));
            EXPECT_EQ(negotiate("permessage-deflate; server_max_window_bits=" + std::to_string(asked), policy),
                      none("; server_max_window_bits=" + agreed + " | server " + agreed + " client 15"));
        }
    }
}

TEST(Extensions, DeclinesAServerWindowThatZlibHasNot) {
    EXPECT_EQ(negotiate("permessage-deflate; server_max_window_bits=8"), "no");
    EXPECT_EQ(negotiate("permessage-deflate; server_max_window_bits=8, permessage-deflate"),
              none(" | server 15 client 15"));
}

TEST(Extensions, AsksForAClientWindowOnlyOfAClientThatKnowsHow) {  // §7.1.2.2
    const struct {
        std::uint8_t allowed;
        const char* offer;
        const char* outcome;
    } cases[] = {
        {15, "; client_max_window_bits", " | server 15+ client 15+"},
        {15, "; client_max_window_bits=15", " | server 15+ client 15+"},
        {15, "; client_max_window_bits=10", "; client_max_window_bits=10 | server 15+ client 10+"},
        {15, "; client_max_window_bits=8", "; client_max_window_bits=8 | server 15+ client 8+"},
        {11, "; client_max_window_bits", "; client_max_window_bits=11 | server 15+ client 11+"},
        {11, "; client_max_window_bits=9", "; client_max_window_bits=9 | server 15+ client 9+"},
        {11, "; client_max_window_bits=14", "; client_max_window_bits=11 | server 15+ client 11+"},
        // It can't be held to 11, so it gets no context.
        {11, "", "; client_no_context_takeover | server 15+ client 15"},
    };
    for (const auto& [allowed, offer, outcome] : cases) {
        DeflatePolicy policy = kBoth;
        policy.client_window = allowed;
        EXPECT_EQ(negotiate(std::string("permessage-deflate") + offer, policy),
                  std::string("permessage-deflate") + outcome)
            << int{allowed} << offer;
    }
}

TEST(Extensions, DeclinesOffersWithWrongParameters) {  // §7.1: each of these must be declined
    for (const char* parameters : {
             "; unknown",
             "; unknown=1",
             "; server_no_context_takeover=true",
             "; server_no_context_takeover=\"\"",
             "; client_no_context_takeover=1",
             "; server_no_context_takeover; server_no_context_takeover",
             "; client_no_context_takeover; client_no_context_takeover",
             "; server_max_window_bits",
             "; server_max_window_bits=",
             "; server_max_window_bits=\"\"",
             "; server_max_window_bits=7",
             "; server_max_window_bits=16",
             "; server_max_window_bits=0",
             "; server_max_window_bits=010",
             "; server_max_window_bits=09",
             "; server_max_window_bits=+10",
             "; server_max_window_bits=10.0",
             "; server_max_window_bits=1a",
             "; server_max_window_bits=99999999999999999999",
             "; server_max_window_bits=10; server_max_window_bits=10",
             "; server_max_window_bits=10; server_max_window_bits=11",
             "; client_max_window_bits=",
             "; client_max_window_bits=7",
             "; client_max_window_bits=16",
             "; client_max_window_bits=x",
             "; client_max_window_bits; client_max_window_bits",
             "; client_max_window_bits; client_max_window_bits=10",
             "; client_max_window_bits=\"1,0\"",
             "; client_max_window_bits=\"10",
             "; client_max_window_bits=\"10\\",
             "; client_max_window_bits=\"10\"0",
             "; SERVER_MAX_WINDOW_BITS=10",
             ";",
             "; ; server_no_context_takeover",
             "; =10",
             "; server_no_context_takeover client_no_context_takeover",
             " server_no_context_takeover",
             "=1",
             "/",
         }) {
        const std::string offer = std::string("permessage-deflate") + parameters;
        EXPECT_EQ(negotiate(offer, kBoth), "no") << offer;
    }
}

TEST(Extensions, TakesTheFirstOfferThatCanBeAccepted) {  // §5.1
    const struct {
        const char* offers;
        const char* outcome;
    } cases[] = {
        {"permessage-deflate; server_max_window_bits=10, permessage-deflate; server_max_window_bits=12",
         "permessage-deflate; server_max_window_bits=10 | server 10+ client 15+"},
        {"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=12",
         "permessage-deflate; server_max_window_bits=12 | server 12+ client 15+"},
        {"permessage-deflate; server_max_window_bits=16, permessage-deflate; server_max_window_bits=8, "
         "permessage-deflate; server_max_window_bits=11, permessage-deflate",
         "permessage-deflate; server_max_window_bits=11 | server 11+ client 15+"},
        {"permessage-bzip2; x=1, permessage-deflate", "permessage-deflate | server 15+ client 15+"},
        {"x, permessage-deflate-2, permessage-deflate;client_max_window_bits=9,permessage-deflate",
         "permessage-deflate; client_max_window_bits=9 | server 15+ client 9+"},
        {"\"permessage-deflate\", permessage-deflate", "permessage-deflate | server 15+ client 15+"},
        {"x; y=\", permessage-deflate; \", permessage-deflate; server_max_window_bits=9",
         "permessage-deflate; server_max_window_bits=9 | server 9+ client 15+"},
        {"x; y=\"\\\", permessage-deflate\", permessage-deflate; server_max_window_bits=9",
         "permessage-deflate; server_max_window_bits=9 | server 9+ client 15+"},
        {"permessage-deflate; x=\"a, permessage-deflate\", permessage-deflate; server_max_window_bits=9",
         "permessage-deflate; server_max_window_bits=9 | server 9+ client 15+"},
        {"permessage-deflate; x=\"never closed, permessage-deflate", "no"},
        {"PERMESSAGE-DEFLATE", "no"},
        {"permessage-deflat", "no"},
        {"", "no"},
        {" , ,\t", "no"},
        {"\xff\x01, permessage-deflate", "permessage-deflate | server 15+ client 15+"},
    };
    for (const auto& [offers, outcome] : cases) EXPECT_EQ(negotiate(offers, kBoth), outcome) << offers;
}

TEST(Extensions, ReadsBlanksQuotesAndEscapes) {  // RFC 6455 §9.1, RFC 9110 §5.6
    for (const char* offer : {
             "permessage-deflate;server_max_window_bits=10;client_max_window_bits=12",
             " \tpermessage-deflate \t;\t server_max_window_bits \t=\t 10 ; client_max_window_bits=12 \t",
             ",, permessage-deflate; client_max_window_bits=12; server_max_window_bits=10 ,,",
             "permessage-deflate; server_max_window_bits=\"10\"; client_max_window_bits=\"1\\2\"",
         }) {
        EXPECT_EQ(negotiate(offer, kBoth),
                  "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12 | server 10+ client 12+")
            << offer;
    }
}

TEST(Extensions, AnswersAreOffersThatItWouldAccept) {  // the grammar is the same
    for (const char* offer : {"permessage-deflate; server_max_window_bits=9; client_max_window_bits=8",
                              "permessage-deflate; client_no_context_takeover; server_no_context_takeover"}) {
        std::string answer;
        std::string again;
        const auto agreed = negotiate_deflate(offer, kBoth, answer);
        ASSERT_TRUE(agreed);
        EXPECT_EQ(negotiate_deflate(answer, kBoth, again), agreed);
        EXPECT_EQ(again, answer);
    }
}

}  // namespace
}  // namespace weft::websocket
