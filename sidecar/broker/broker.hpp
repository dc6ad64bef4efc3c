// The broker: which link wants which channel, and what each of them is sent. A state machine without clock or socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "weft/time.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

/// One session of one link; never 0, never used twice in the life of a process.
using LinkId = std::uint64_t;

enum class LinkRole {
    worker,    // an nginx worker that dialed us: publishes, and wants channels
    peer_in,   // a weftd that dialed us: wants what began here
    peer_out,  // a weftd that we dialed: sends us what began there
};

/// What the other end of a link says of itself in its Hello or Welcome.
struct LinkGreeting {
    std::uint64_t incarnation = 0;  // of a worker, by which others name it in a Mark; 0: it has no part in marks
    bool clients = false;           // it answers v1::ReadClients
};

struct BrokerSettings {
    std::string node;
    std::string software;                                // as in Welcome
    std::uint32_t shards = 1;                            // of the node
    std::size_t max_channels = 1'000'000;                // lingering ones make room; beyond it new ones get 4017
    std::chrono::milliseconds channel_linger{60'000};    // a channel that nobody wants is remembered this long
    std::chrono::milliseconds mesh_wait{1'000};          // how long a first subscriber waits for the peers' answers
    std::size_t history_bytes = std::size_t{256} << 20;  // of all histories together
    std::chrono::milliseconds sync_interval{5'000};      // between looks at what peers have
    std::chrono::milliseconds fill_wait{
        2'000};                      // a node that starts waits for its peers' histories: for a link so long
    std::size_t expected_peers = 0;  // whose histories are waited for
    std::chrono::milliseconds member_timeout{30'000};  // of a peer that is down, until its members leave
    std::chrono::milliseconds gather_wait{1'000};      // a node that starts waits so long for its workers' members
    std::chrono::milliseconds ack_timeout{2'000};      // for a peer to have what it has to have
    std::chrono::milliseconds id_window{600'000};      // a publication that is repeated is known for so long
    std::size_t id_bytes = std::size_t{64} << 20;      // of all ids that publishers gave together
};

class Broker {
public:
    /// Where frames go. `frame` is an encoded v1::Frame, valid during the call. A link that can't take it is told so by
    /// its own session (and comes down by on_link_down later): send() must not call the broker.
    class Outbox {
    public:
        virtual ~Outbox() = default;
        virtual void send(LinkId link, std::string_view frame) = 0;
        /// Whether much waits for a link already. It is sent no signals then: they are of the moment, and would only
        /// make publications wait longer.
        [[nodiscard]] virtual bool busy([[maybe_unused]] LinkId link) const { return false; }
    };

    /// `random` gives 64 random bits; `outbox` must outlive this. send() may be called from within on_* only.
    Broker(BrokerSettings settings, std::function<std::uint64_t()> random, Outbox& outbox);
    ~Broker();

    /// `name` of a peer_out is the node's name: by it the broker knows the peer again on its next link. Call this
    /// once the session is up (Welcome came, or Hello was accepted): it sends.
    void on_link_up(LinkId link, LinkRole role, std::string_view name, Instant now, LinkGreeting greeting = {});
    /// What nginx.conf says, from a worker's Hello.
    void on_rules(const v1::ChannelRules& rules);
    void on_link_down(LinkId link, Instant now);  ///< unknown links are ignored
    /// Takes any frame from any link; what that role has no business to say is ignored and counted.
    void on_frame(LinkId link, const v1::Frame& frame, Instant now, WallTime wall);
    /// Whether a publish repeats one that is here, by its message_id.
    [[nodiscard]] bool knows(const v1::Publish& publish) const;
    void on_tick(Instant now);  ///< call a few times a second: waits, lingering and age end here

    /// Whether the node has got what its peers' histories hold, as far as peers could be reached in time. Until then
    /// subscribers of channels with history wait.
    [[nodiscard]] bool filled() const noexcept;

    struct Counts {
        std::uint64_t channels, workers, peers_in, peers_out;  // now
        std::uint64_t published;                               // accepted from workers here
        std::uint64_t delivered;                               // publications handed to links
        std::uint64_t signals, rpcs;
        std::uint64_t signals_dropped;           // that a link wasn't sent, since much waited for it
        std::uint64_t revocations;               // asked for here
        std::uint64_t gaps;                      // losses on the way from a peer that were told to workers
        std::uint64_t ignored;                   // frames without sense from that link
        std::uint64_t histories, history_bytes;  // now
        std::uint64_t evicted;                   // entries that went because of history_bytes
        std::uint64_t members;                   // now: connections here, in channels with presence
        std::uint64_t members_refused;           // that were over a bound
        std::uint64_t repeated;                  // publishes that were known already
        std::uint64_t unacknowledged;            // publishes that no peer confirmed in time, or could have
        std::uint64_t awaiting;                  // publishes that wait for a peer, now
        std::uint64_t ids;                       // that publishers gave and that are remembered, now
        std::uint64_t recovered;    // reads by workers from a position on, as resumes are made of: all was there
        std::uint64_t unrecovered;  // and those of which something is lost
    };
    [[nodiscard]] Counts counts() const noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft
