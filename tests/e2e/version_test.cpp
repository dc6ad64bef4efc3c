// A weftd and ends of links that are older or newer than it: what a rolling upgrade meets.
#include <gtest/gtest.h>

#include <string>
#include <zmq.hpp>

#include "e2e/test_link.hpp"
#include "e2e/weftd_process.hpp"
#include "weft/link_session.hpp"

namespace weft::e2e {
namespace {

constexpr LinkVersions kNewer{kLinkVersion, kLinkVersion + 1};
constexpr LinkVersions kTooNew{kLinkVersion + 1, kLinkVersion + 2};

std::string yaml(const Folder& folder, int port, const std::string& peer) {
    return folder.write("a.yaml", "node: a\nworkers: {listen: \"ipc://" + folder.path("a.sock") +
                                      "\"}\nmesh: {listen: \"tcp://127.0.0.1:" + std::to_string(port) + "\", peers: [" +
                                      peer + "]}\n");
}

TEST(RollingUpgrade, LetsANewerWorkerAndANewerPeerDialAnOlderWeftd) {
    const Folder folder;
    const int port = free_port();
    WeftdProcess weftd({"-c", yaml(folder, port, "")});
    ASSERT_TRUE(weftd.wait_for({"event=ready"})) << weftd.output();
    TestLink worker("ipc://" + folder.path("a.sock"), TestLink::worker("newer/1"), kNewer);
    ASSERT_TRUE(worker.until_up());
    EXPECT_EQ(worker.welcome.version(), kLinkVersion);
    worker.subscribe("chat:x");
    EXPECT_TRUE(worker.until([&] { return worker.subscribed("chat:x"); }));

    TestLink peer("tcp://127.0.0.1:" + std::to_string(port), TestLink::peer("b"), kNewer);
    EXPECT_TRUE(peer.until_up());
    EXPECT_EQ(peer.welcome.version(), kLinkVersion);

    TestLink stranger("ipc://" + folder.path("a.sock"), TestLink::worker("strange/1"), kTooNew);
    EXPECT_TRUE(stranger.until([&] { return !stranger.refusals.empty(); }));
    EXPECT_EQ(stranger.refusals.at(0),
              "worker strange/1 speaks link version " + kTooNew.text() + ", node a speaks " + LinkVersions{}.text());
    EXPECT_TRUE(weftd.wait_for({"event=link_rejected", "strange/1"})) << weftd.output();
}

/// A weftd of another version, as far as the one that dials it can tell.
class OtherListener final : private LinkListener::Events {
public:
    explicit OtherListener(LinkVersions versions)
        : listener_(welcome(), LinkTimings{}, 1 << 20, *this, versions), socket_(context(), zmq::socket_type::router) {
        socket_.set(zmq::sockopt::linger, 0);
        socket_.set(zmq::sockopt::rcvtimeo, 100);
        socket_.bind("tcp://127.0.0.1:*");
    }
    [[nodiscard]] std::string endpoint() const { return socket_.get(zmq::sockopt::last_endpoint); }

    /// Serves who dials, until it has said something besides its Hello, or was refused; false when that takes too long.
    bool serve() {
        const Instant deadline = now() + kPatience;
        while (now() < deadline && !heard_ && refused_.empty()) {
            zmq::message_t from, bytes;
            if (!socket_.recv(from) || !socket_.recv(bytes)) continue;
            listener_.on_message(bytes.to_string_view(), now());
            for (std::string batch; listener_.next_batch(batch, now());) {
                socket_.send(zmq::message_t(from.data(), from.size()), zmq::send_flags::sndmore);
                socket_.send(zmq::buffer(batch));
            }
        }
        return heard_ || !refused_.empty();
    }
    [[nodiscard]] bool heard() const noexcept { return heard_; }
    [[nodiscard]] const std::string& refused() const noexcept { return refused_; }

private:
    static v1::Welcome welcome() {
        v1::Welcome welcome;
        welcome.set_node("other");
        welcome.set_incarnation(7);
        return welcome;
    }
    std::string on_dialer_up(const v1::Hello&, Instant) override { return {}; }
    void on_dialer_down(std::string_view, Instant) override {}
    void on_dialer_frame(v1::Frame&, Instant) override { heard_ = true; }
    void on_dialer_rejected(std::string_view why, Instant) override { refused_ = why; }

    LinkListener listener_;
    zmq::socket_t socket_;
    bool heard_ = false;
    std::string refused_;
};

TEST(RollingUpgrade, LetsAnOlderWeftdDialANewerOne) {
    const Folder folder;
    OtherListener newer(kNewer);
    WeftdProcess weftd({"-c", yaml(folder, free_port(), newer.endpoint())});
    EXPECT_TRUE(newer.serve());
    EXPECT_TRUE(newer.heard()) << newer.refused();
    EXPECT_TRUE(weftd.wait_for({"event=peer_up", "peer=other", "direction=out"})) << weftd.output();
}

TEST(RollingUpgrade, SaysSoWhenAPeerIsTooNew) {
    const Folder folder;
    OtherListener other(kTooNew);
    WeftdProcess weftd({"-c", yaml(folder, free_port(), other.endpoint())});
    EXPECT_TRUE(other.serve());
    EXPECT_EQ(other.refused(),
              "peer a speaks link version " + LinkVersions{}.text() + ", node other speaks " + kTooNew.text());
    EXPECT_TRUE(weftd.wait_for({"event=peer_refused", "link_version=" + std::to_string(kTooNew.newest)}))
        << weftd.output();
}

}  // namespace
}  // namespace weft::e2e
