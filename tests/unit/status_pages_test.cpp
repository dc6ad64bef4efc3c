// What weftd answers to those who watch it.
#include "status_pages.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr Instant kNow{1'000'000ms};

NodeStatus good_status() {
    NodeStatus status;
    status.node = "a";
    status.filled = true;
    status.at = kNow - 200ms;
    status.workers = 2;
    status.peers.push_back({"tcp://b:1", "b", true, 0});
    status.peers.push_back({"tcp://c:1", "", false, 7});
    return status;
}

TEST(StatusPages, AreGoodWhileTheLoopTurns) {
    EXPECT_TRUE(health_page(good_status(), kNow).good);
    EXPECT_EQ(health_page(good_status(), kNow).text, "{\"ok\":true,\"node\":\"a\"}\n");
    EXPECT_TRUE(ready_page(good_status(), kNow).good) << "a peer that is down doesn't count";
    EXPECT_EQ(ready_page(good_status(), kNow).text,
              "{\"ok\":true,\"node\":\"a\",\"workers\":2,\"peers\":["
              "{\"endpoint\":\"tcp://b:1\",\"node\":\"b\",\"up\":true},"
              "{\"endpoint\":\"tcp://c:1\",\"node\":\"\",\"up\":false}]}\n");
}

TEST(StatusPages, SayWhyNot) {
    struct Case {
        const char* why;
        bool healthy;
        void (*change)(NodeStatus&);
    };
    const Case cases[] = {
        {"the event loop hasn't turned for 5000 ms", false, [](NodeStatus& s) { s.at = kNow - 5000ms; }},
        {"it is shutting down", true, [](NodeStatus& s) { s.stopping = true; }},
        {"it is still fetching history from its peers", true, [](NodeStatus& s) { s.filled = false; }},
    };
    for (const Case& one : cases) {
        NodeStatus status = good_status();
        one.change(status);
        EXPECT_EQ(health_page(status, kNow).good, one.healthy) << one.why;
        EXPECT_FALSE(ready_page(status, kNow).good) << one.why;
        EXPECT_NE(ready_page(status, kNow).text.find(one.why), std::string::npos) << one.why;
        EXPECT_NE(metrics_page(status, kNow).find("weftd_ready 0"), std::string::npos) << one.why;
    }
}

TEST(StatusPages, GiveMetricsAnnotatedAndWithLabels) {
    NodeStatus status = good_status();
    status.counts.published = 12;
    status.worker_bytes = 34;
    const std::string page = metrics_page(status, kNow);
    for (const char* line :
         {"# TYPE weftd_published_total counter\nweftd_published_total 12\n",
          "# TYPE weftd_ready gauge\nweftd_ready 1\n", "weftd_peer_up{endpoint=\"tcp://b:1\",node=\"b\"} 1\n",
          "weftd_peer_up{endpoint=\"tcp://c:1\",node=\"\"} 0\n",
          "weftd_peer_queued_bytes{endpoint=\"tcp://c:1\",node=\"\"} 7\n",
          "weftd_queued_bytes{role=\"worker\"} 34\n"}) {
        EXPECT_NE(page.find(line), std::string::npos) << line << "\nin\n" << page;
    }
}

}  // namespace
}  // namespace weft
