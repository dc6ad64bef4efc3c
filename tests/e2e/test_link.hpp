// The dialing end of a link over a real ZeroMQ socket: what an nginx worker is to weftd.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "weft/link_session.hpp"

namespace weft::e2e {

/// One ZeroMQ context for all tests of the process.
zmq::context_t& context();

Instant now();

class TestLink final : private LinkDialer::Events {
public:
    /// Dials at once; nothing moves but within until().
    TestLink(const std::string& endpoint, v1::Hello hello, LinkVersions versions = {});
    ~TestLink() override;

    /// A worker's Hello; every call is another process.
    static v1::Hello worker(std::string_view name = "worker/1");
    static v1::Hello peer(std::string_view node, std::string_view listen = "");

    /// Carries frames until `done` holds; false when it doesn't within kPatience.
    bool until(const std::function<bool()>& done);
    bool until_up() {
        return until([this] { return up(); });
    }

    void subscribe(std::string_view channel);
    void publish(std::string_view channel, std::string_view data, std::uint64_t request = 0);
    LinkDialer& dialer() noexcept { return dialer_; }

    [[nodiscard]] bool up() const noexcept { return dialer_.up(); }
    /// The first frame that arrived in any session and for which `matches` holds.
    [[nodiscard]] const v1::Frame* find(const std::function<bool(const v1::Frame&)>& matches) const;
    [[nodiscard]] bool subscribed(std::string_view channel) const;
    [[nodiscard]] int received(std::string_view channel, std::string_view data) const;  // publications

    std::vector<v1::Frame> frames;
    std::vector<std::string> downs;  // why sessions ended
    std::vector<std::string> refusals;
    v1::Welcome welcome;  // of the last session

private:
    void on_link_up(const v1::Welcome& accepted, Instant now) override;
    void on_link_down(std::string_view why, Instant now) override;
    void on_link_frame(v1::Frame& frame, Instant now) override;
    void on_link_refused(const v1::Refused& refused, Instant now) override;
    void turn();

    LinkDialer dialer_;
    zmq::socket_t socket_;
    zmq::socket_t monitor_;
    std::string batch_;
};

}  // namespace weft::e2e
