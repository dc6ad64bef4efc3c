#include "auth/ticket_mask.hpp"

#include <gtest/gtest.h>

#include <string>

namespace weft {
namespace {

struct Case {
    std::string text;
    std::string expected;
};

void check(void (*mask)(std::span<char>), const Case& one) {
    std::string text = one.text;
    mask(text);
    EXPECT_EQ(text, one.expected) << one.text;
}

TEST(TicketMask, HidesTheValueOfEachTicketArgument) {
    for (const Case& one : {
             Case{"ticket=abc", "ticket=***"},
             Case{"/ws?ticket=abc", "/ws?ticket=***"},
             Case{"GET /ws?a=1&ticket=abc&b=2 HTTP/1.1", "GET /ws?a=1&ticket=***&b=2 HTTP/1.1"},
             Case{"GET /ws?ticket=abc HTTP/1.1", "GET /ws?ticket=*** HTTP/1.1"},
             Case{"ticket=a&ticket=b&ticket=", "ticket=*&ticket=*&ticket="},
             Case{"/ws?Ticket=abc&TICKET=d", "/ws?Ticket=***&TICKET=*"},  // nginx finds arguments in any case
             Case{"/ws?ticket=abc#d", "/ws?ticket=***#d"},
             Case{"ticket=ticket=x", "ticket=********"},
         }) {
        check(mask_ticket_argument, one);
    }
}

TEST(TicketMask, LeavesWhatIsNoTicket) {
    for (const std::string text : {"", "/ws", "/ticket=abc", "myticket=abc", "/ws?tickets=abc", "ticket", "/ws?a=1"}) {
        check(mask_ticket_argument, {text, text});
    }
}

TEST(TicketMask, HidesBearerCredentialsAndNoOthers) {
    for (const Case& one : {
             Case{"Bearer abc", "Bearer ***"},
             Case{"bEARER  a b", "bEARER ****"},
             Case{"Basic dXNlcjpwdw==", "Basic dXNlcjpwdw=="},
             Case{"Bearer", "Bearer"},
             Case{"", ""},
         }) {
        check(mask_bearer, one);
    }
}

TEST(TicketMask, HidesBearerTokensAmongSubprotocols) {
    for (const Case& one : {
             Case{"bearer.abc", "bearer.***"},
             Case{"weft.v1.json, bearer.abc", "weft.v1.json, bearer.***"},
             Case{"bearer.abc,weft.v1.json", "bearer.***,weft.v1.json"},
             Case{"bearer.a, bearer.bc", "bearer.*, bearer.**"},
             Case{"weft.v1.json", "weft.v1.json"},
             Case{"bearer", "bearer"},
             Case{"", ""},
         }) {
        check(mask_bearer_protocol, one);
    }
}

TEST(TicketMask, AnUriWithoutTicketKeepsEverythingElse) {
    for (const Case& one : {
             Case{"/ws", "/ws"},
             Case{"/ws?", "/ws?"},
             Case{"/ws?a=1&b", "/ws?a=1&b"},
             Case{"/ws?ticket=abc", "/ws"},
             Case{"/ws?TICKET=abc", "/ws"},
             Case{"/ws?ticket=", "/ws"},
             Case{"/ws?room=1&ticket=abc", "/ws?room=1"},
             Case{"/ws?ticket=abc&room=1", "/ws?room=1"},
             Case{"/ws?a&ticket=x&b&ticket=y&&c", "/ws?a&b&&c"},
             Case{"/ws?ticket=abc#f", "/ws#f"},
             Case{"/ws?ticket", "/ws?ticket"},
             Case{"/ticket=abc?a=b", "/ticket=abc?a=b"},
             Case{"/ws?a=?ticket=b", "/ws?a=?ticket=b"},
             Case{"", ""},
         }) {
        EXPECT_EQ(without_ticket(one.text), one.expected) << one.text;
    }
}

}  // namespace
}  // namespace weft
