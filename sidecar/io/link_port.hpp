// A socket on which weftd listens: the one for nginx workers, or the one for peers. It keeps a LinkListener for each
// dialer that talks to it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include <zmq.hpp>

#include "endpoint.hpp"
#include "io/broker_gate.hpp"
#include "io/log.hpp"
#include "io/zap_handler.hpp"
#include "node_status.hpp"
#include "weft/link_session.hpp"

namespace weft {

class LinkPort {
public:
    struct Settings {
        LinkRole role = LinkRole::worker;  // worker or peer_in: whom it serves, and nobody else
        v1::Welcome welcome;               // node, incarnation, software
        LinkTimings timings;
        std::size_t max_queued = 0;  // bytes waiting for one dialer
        ZapHandler* keys = nullptr;  // CURVE: whose keys are admitted; none: plain
    };

    /// Binds. Throws StartError. `context`, `gate` and `log` must outlive this.
    LinkPort(zmq::context_t& context, const Endpoint& endpoint, Settings settings, BrokerGate& gate, Log& log);
    ~LinkPort();
    LinkPort(const LinkPort&) = delete;
    LinkPort& operator=(const LinkPort&) = delete;

    [[nodiscard]] zmq::socket_ref socket() noexcept { return socket_; }

    /// Takes one slice of what arrived (kSliceMessages, kSliceBytes). True when more may be waiting.
    bool receive(Instant now);
    /// Heartbeats and deadlines, and forgets dialers that are gone. Not from within another call.
    void tick(Instant now);
    /// Says Bye to everybody.
    void close_links(Instant now);

    /// A peer whose session is up.
    struct Peer {
        std::string_view name;
        std::string_view listen;  // where it says that it listens, as its own configuration has it
        Instant since;
        bool* judged;  // for the caller's use; false in a new session
    };
    [[nodiscard]] std::vector<Peer> peers();
    /// How far each that is up has come.
    [[nodiscard]] std::vector<NodeStatus::Follower> followers(Instant now) const;
    /// That wait for all dialers together.
    [[nodiscard]] std::size_t queued_bytes() const;

private:
    class Dialer;
    enum class Sent { yes, full, gone };

    Dialer* dialer(std::string_view routing_id, zmq::message_t& message, Instant now);
    Sent send(std::string_view routing_id, std::string_view bytes);
    std::string admit(Dialer& dialer, const v1::Hello& hello, Instant now);
    void retire_disallowed(Instant now);

    Settings settings_;
    BrokerGate& gate_;
    Log& log_;
    zmq::socket_t socket_;
    std::uint64_t judged_keys_ = 0;  // the generation of the keys that all dialers were judged by

    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
    };
    std::unordered_map<std::string, std::unique_ptr<Dialer>, Hash, std::equal_to<>> dialers_;  // by routing id
    std::unordered_map<std::string, Dialer*> present_;                                         // by who they are
};

}  // namespace weft
