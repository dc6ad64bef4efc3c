// A peer that this node dials: one DEALER, whose monitor tells at once when the connection comes and goes.
//
// With CURVE a dialer must know the key of whom it dials, and nothing says which of the allowed ones that is: an
// address from DNS comes without one. So each is tried in turn, which takes a round trip, and what fits is kept. A
// listener that has none of them learns nothing but that somebody tried.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "endpoint.hpp"
#include "io/broker_gate.hpp"
#include "io/log.hpp"
#include "io/zap_handler.hpp"
#include "weft/link_session.hpp"

namespace weft {

class PeerLink final : public BrokerGate::Link, private LinkDialer::Events {
public:
    struct Settings {
        v1::Hello hello;
        LinkTimings timings;
        std::size_t max_queued = 0;  // bytes waiting for the peer; beyond it the session is opened anew
        ZapHandler* keys = nullptr;  // CURVE: whose keys are taken for the peer's; none: plain
        bool discovered = false;     // by a name: another address of a node that has a link is no mistake of anybody
    };

    /// Whether the node behind a Welcome is wanted; a sentence says why not, and the link is then not used.
    using Admit = std::function<std::string(const PeerLink& link, const v1::Welcome& welcome)>;

    /// Begins to dial. Throws zmq::error_t when there is no socket to be had. `context`, `gate` and `log` must outlive
    /// this.
    PeerLink(zmq::context_t& context, const Endpoint& endpoint, Settings settings, Admit admit, BrokerGate& gate,
             Log& log, Instant now);
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
    [[nodiscard]] bool itself() const noexcept { return itself_; }      // the endpoint leads to this very process
    /// The key that is taken for the peer's; empty without CURVE.
    [[nodiscard]] const std::string& server_key() const noexcept { return server_key_; }
    /// Of the node that was last reached; empty and 0 before the first time.
    [[nodiscard]] const std::string& node() const noexcept { return node_; }
    [[nodiscard]] std::uint64_t incarnation() const noexcept { return incarnation_; }

private:
    void on_link_up(const v1::Welcome& welcome, Instant now) override;
    void on_link_down(std::string_view why, Instant now) override;
    void on_link_frame(v1::Frame& frame, Instant now) override;
    void on_link_refused(const v1::Refused& refused, Instant now) override;
    void leave(std::string_view why, Instant now);
    void make_socket();
    bool renew_socket(Instant now);
    void dial(Instant now);
    void dial_later(const zmq::error_t& error, Instant now);
    [[nodiscard]] std::vector<std::string> server_keys() const;
    void choose_next_key();
    void on_failed_handshake(bool refused_us, Instant now);
    void look_at_keys(Instant now);
    void tell_unreachable(std::string_view why);

    zmq::context_t& context_;
    std::string endpoint_;
    bool ipv6_;
    LinkTimings timings_;
    std::size_t max_queued_;
    const v1::Hello hello_;
    ZapHandler* keys_;
    bool discovered_;
    Admit admit_;
    BrokerGate& gate_;
    Log& log_;
    LinkDialer dialer_;
    zmq::socket_t socket_;
    zmq::socket_t monitor_;
    std::string batch_;

    std::string server_key_;
    std::uint64_t seen_keys_ = 0;  // generation of the allowed keys
    std::size_t tried_ = 0;        // keys in a row that did not fit
    std::optional<Instant> dial_at_;

    bool spent_ = false;  // the socket is to be replaced before it is used again

    bool overflowed_ = false;
    bool unwanted_ = false;  // closed for good
    bool itself_ = false;
    bool told_unreachable_ = false;  // since it was last up
    std::string told_refused_;       // the last refusal that was logged
    LinkId id_ = 0;
    std::string node_;
    std::uint64_t incarnation_ = 0;
};

}  // namespace weft
