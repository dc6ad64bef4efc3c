// A peer that this node dials: one DEALER, whose monitor tells at once when the connection comes and goes.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <zmq.hpp>

#include "endpoint.hpp"
#include "io/broker_gate.hpp"
#include "io/log.hpp"
#include "weft/link_session.hpp"

namespace weft {

class PeerLink final : public BrokerGate::Link, private LinkDialer::Events {
public:
    struct Settings {
        v1::Hello hello;
        LinkTimings timings;
        std::size_t max_queued = 0;  // bytes waiting for the peer; beyond it the session is opened anew
    };

    /// Whether the node behind a Welcome is wanted; a sentence says why not, and the link is then not used.
    using Admit = std::function<std::string(const PeerLink& link, const v1::Welcome& welcome)>;

    /// Begins to dial. Throws zmq::error_t. `context`, `gate` and `log` must outlive this.
    PeerLink(zmq::context_t& context, const Endpoint& endpoint, Settings settings, Admit admit, BrokerGate& gate,
             Log& log);
    ~PeerLink() override;
    PeerLink(const PeerLink&) = delete;
    PeerLink& operator=(const PeerLink&) = delete;

    [[nodiscard]] zmq::socket_ref socket() noexcept { return socket_; }
    [[nodiscard]] zmq::socket_ref monitor() noexcept { return monitor_; }

    void on_monitor(Instant now);
    /// One slice, as LinkPort::receive.
    bool receive(Instant now);
    void tick(Instant now);
    /// Says Bye and takes the link from the broker, for `why`. Flush, then destroy.
    void close(std::string_view why, Instant now);

    void queue(std::string_view frame, Instant now) override;
    bool flush(Instant now) override;

    [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
    [[nodiscard]] bool up() const noexcept { return id_ != 0; }
    [[nodiscard]] std::size_t queued_bytes() const noexcept { return dialer_.queued_bytes(); }
    [[nodiscard]] bool unwanted() const noexcept { return unwanted_; }  // closed, and not to be opened again
    /// Of the node that was last reached; empty and 0 before the first time.
    [[nodiscard]] const std::string& node() const noexcept { return node_; }
    [[nodiscard]] std::uint64_t incarnation() const noexcept { return incarnation_; }

private:
    void on_link_up(const v1::Welcome& welcome, Instant now) override;
    void on_link_down(std::string_view why, Instant now) override;
    void on_link_frame(v1::Frame& frame, Instant now) override;
    void on_link_refused(const v1::Refused& refused, Instant now) override;
    void leave(std::string_view why, Instant now);

    std::string endpoint_;
    std::size_t max_queued_;
    const v1::Hello hello_;
    Admit admit_;
    BrokerGate& gate_;
    Log& log_;
    LinkDialer dialer_;
    zmq::socket_t socket_;
    zmq::socket_t monitor_;
    std::string batch_;

    bool overflowed_ = false;
    bool unwanted_ = false;          // closed for good
    bool told_unreachable_ = false;  // since it was last up
    std::string told_refused_;       // the last refusal that was logged
    LinkId id_ = 0;
    std::string node_;
    std::uint64_t incarnation_ = 0;
};

}  // namespace weft
