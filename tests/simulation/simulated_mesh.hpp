// A mesh of real Brokers, LinkDialers and LinkListeners over simulated connections, with simulated workers at it that
// publish, subscribe and keep a record of what they are told.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/broker.hpp"
#include "simulation/simulated_world.hpp"
#include "weft/link_session.hpp"
#include "weft/position.hpp"

namespace weft::simulation {

/// Faults that are put between broker and links on purpose, to see whether the checks notice.
enum class Bug {
    none,
    swallow_publication,    // to a worker, before it is numbered
    duplicate_publication,  // to a worker
    swap_publications,      // to a worker: one comes after the next one
    hide_gap,               // Gap frames to workers
    hide_subscribed_gap,    // Subscribed.gap to workers
    lose_interest,          // Subscribe to peers
    lose_peer_publication,  // from a peer: the broker itself must notice this one
    // Of channels with history:
    skip_range,           // an entry is taken out of a page for a reader
    skip_peer_range,      // of a page for a peer
    hide_lost,            // HistoryPage.lost
    forget_dedup,         // readers take what they have already
    live_before_history,  // readers take live publications before their history is complete
    no_digests,           // ReadDigest of peers
    // Of acknowledgements:
    hide_ids,             // peers aren't told that an id is the publisher's
    acknowledge_at_once,  // and not when a peer has it
    // Of marks:
    misplace_mark,  // to one of the two workers: it comes after the next publication
    // Of members:
    forget_member,       // a worker isn't told of one that came
    keep_ghost,          // one that goes isn't taken off
    skip_peer_member,    // a peer's whole set comes without one
    lose_member_change,  // of a peer, between its link and the broker
};

/// How bad the connections are; changed while the simulation runs.
struct Weather {
    double loss = 0;  // of single batches
    milliseconds min_delay{0};
    milliseconds max_delay{5};
};

struct MeshPlan {
    std::size_t nodes = 2;
    std::size_t workers_per_node = 2;
    std::size_t channels = 3;
    milliseconds linger{60'000};
    std::size_t kept_channels = 0;  // "kept:0" and on: channels with history
    std::uint32_t history_count = 1000;
    std::size_t readers = 0;     // clients of those, which go from node to node
    std::size_t publishers = 0;  // with ids of their own; then they, and nobody else, publish there, with ack peer
    bool parties = false;        // each node has clients that are handed from worker to worker
    std::size_t rooms = 0;       // "room:0" and on: channels with members, who come and go at every node
    bool skewed = true;          // each node has a clock of its own, which is hours off and runs up to 1 % fast or slow
    Bug bug = Bug::none;
};

/// A publication that some worker asked for.
struct Record {
    std::uint64_t publisher = 0;  // a worker's life
    std::string channel;
    bool accepted = false;  // the broker answered Published; the rest is set then
    Instant accepted_at{};
    std::size_t node = 0;
    StreamId stream = 0;
    std::uint64_t number = 0;
    // Of publishers with ids of their own, for which stream and number say nothing:
    bool own_id = false;
    std::set<StreamId> copies;  // streams of the nodes that took it for new
};

/// Users of a room, by client id.
using Members = std::map<std::uint64_t, std::string>;

class SimulatedCrowd;
class SimulatedMesh;
class SimulatedNode;
class SimulatedParty;
class SimulatedPublisher;
class SimulatedReader;

/// One dialer's way to one node. Connections come and go, each with a generation; what is in flight goes with them.
struct Wire {
    std::optional<std::size_t> from;  // the dialing node; none for a worker, which is on the node's host
    std::size_t to = 0;
    bool connected = false;
    std::uint64_t generation = 0;
    bool stable_identity = false;  // whether the node knows the dialer by the same routing id when it comes again
    std::uint64_t identity = 0;
    Instant arrives[2]{};  // of the last message each way: they don't overtake each other
};

/// A dialer with its wire: a worker's, or a node's to a peer.
class DialingEnd {
public:
    DialingEnd(SimulatedMesh& mesh, std::string name, v1::Hello hello, std::optional<std::size_t> from, std::size_t to,
               LinkDialer::Events& events);
    ~DialingEnd();
    DialingEnd(const DialingEnd&) = delete;
    DialingEnd& operator=(const DialingEnd&) = delete;

    void receive(const std::string& bytes);
    void tick();
    void pump();
    /// The connection breaks. Noticed: the dialer is told, and connects again later.
    void drop(bool noticed);
    void try_to_connect();

    LinkDialer dialer;
    Wire wire;

private:
    void connect_later();
    [[nodiscard]] Instant now() const;

    SimulatedMesh& mesh_;
    std::string name_;
    std::uint64_t key_;
};

/// weftd: a broker with its links, one life after the other.
class SimulatedNode final : public Broker::Outbox {
public:
    SimulatedNode(SimulatedMesh& mesh, std::size_t index);
    ~SimulatedNode() override;

    void start();
    void crash();
    [[nodiscard]] bool running() const noexcept { return broker_ != nullptr; }

    void receive(std::uint64_t identity, std::uint64_t dialer, const std::string& bytes);
    void unreachable(std::uint64_t identity);
    void tick();
    void pump();

    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    /// What the node's own clocks say.
    [[nodiscard]] Instant now() const noexcept;
    [[nodiscard]] WallTime wall() const noexcept;
    /// Who is in a room, as the node would tell it.
    Members members(const std::string& room);

    /// By the world's clock: when this life of the node began, and when it first had a link to `peer`; none if it never
    /// had.
    [[nodiscard]] Instant started_at() const noexcept { return started_at_; }
    [[nodiscard]] std::optional<Instant> met(std::size_t peer) const;

private:
    class Listening;  // a LinkListener
    class Peer;       // a DialingEnd to a peer
    friend class SimulatedMesh;

    void send(LinkId link, std::string_view frame) override;
    /// What a worker would be answered at once.
    v1::Frame ask(const v1::Frame& question);
    /// What the node's history of a channel holds, from a position on.
    v1::HistoryPage read(const std::string& channel, const std::string& after);
    void to_worker(Listening& link, std::string_view bytes);

    SimulatedMesh& mesh_;
    std::size_t index_;
    std::unique_ptr<Broker> broker_;
    std::map<std::uint64_t, std::unique_ptr<Listening>> listening_;  // by routing id
    std::map<std::size_t, std::unique_ptr<Peer>> peers_;
    std::map<LinkId, Listening*> dialers_up_;
    std::map<LinkId, Peer*> peers_up_;
    v1::Frame probed_;
    milliseconds ahead_{};       // of its clocks at the beginning of the world
    milliseconds wall_ahead_{};  // of its wall clock besides
    double pace_ = 1;
    Instant started_at_{};
    std::map<std::size_t, Instant> met_;
};

/// An nginx worker, one life after the other.
class SimulatedWorker final : public LinkDialer::Events {
public:
    /// One stretch of time in which the worker wanted a channel.
    struct Wish {
        enum class State { asked, subscribed } state = State::asked;
        std::optional<Instant> settled_at;
        Position start;  // as of settled_at
        Position position;
        std::string sent;  // the position in the last Subscribe
        std::set<std::uint64_t> delivered;
        struct Gap {
            Instant told_at;
            Position before, after;
        };
        std::vector<Gap> gaps;
        std::map<StreamId, Instant> streams;  // of the positions that the worker was told: when last
    };

    SimulatedWorker(SimulatedMesh& mesh, std::size_t node, std::size_t index)
        : mesh_(mesh), node_(node), index_(index) {}

    void start();
    void crash();
    void toggle(const std::string& channel);
    void publish(const std::string& channel);
    void tick();
    void pump() { end_->pump(); }

    [[nodiscard]] DialingEnd& end() noexcept { return *end_; }
    [[nodiscard]] const std::map<std::string, Wish>& wishes() const noexcept { return wishes_; }
    [[nodiscard]] std::size_t node() const noexcept { return node_; }
    [[nodiscard]] std::string name() const;
    [[nodiscard]] bool up() const noexcept { return end_ && end_->dialer.up(); }

private:
    void on_link_up(const v1::Welcome&, Instant) override;
    void on_link_down(std::string_view why, Instant) override;
    void on_link_frame(v1::Frame& frame, Instant) override;
    void on_link_refused(const v1::Refused& refused, Instant) override;
    void ask(const std::string& channel, Wish& wish);
    void on_publication(const v1::Publication& publication);
    void on_subscribed(const v1::Subscribed& subscribed);
    void on_gap(const v1::Gap& gap);

    SimulatedMesh& mesh_;
    std::size_t node_, index_;
    std::uint64_t life_ = 0;
    std::unique_ptr<DialingEnd> end_;
    std::map<std::string, Wish> wishes_;
    std::map<std::pair<std::uint64_t, std::string>, std::uint64_t> last_;  // request, by publisher and channel
};

class SimulatedMesh {
public:
    SimulatedMesh(SimulatedWorld& world, MeshPlan plan);
    ~SimulatedMesh();

    /// What goes wrong; each takes the victims by chance.
    void drop_a_connection();
    void partition_two_nodes(milliseconds time);
    void crash_a_node(milliseconds down);
    void crash_a_worker();
    void crash_a_crowd();
    void heal();  ///< no more partitions, everything that is down starts

    /// Lets every worker publish to / toggle its wish for channels by chance, until told to stop.
    void set_busy(bool publishing, bool toggling);
    void subscribe_everybody();
    void publish_everywhere();
    void end_sabotage() { plan_.bug = Bug::none; }

    /// The first rule that was broken, or empty.
    [[nodiscard]] const std::string& violation() const noexcept { return violation_; }
    void violate(std::string what);
    /// P3, once all has come to rest.
    void check_losses();
    void check_wishes(const std::string& name, std::size_t at,
                      const std::map<std::string, SimulatedWorker::Wish>& wishes);
    void crash_a_host();
    /// Of those who were handed from worker to worker: how many were, and whether they miss anything.
    [[nodiscard]] std::size_t handed_over() const;
    void check_parties();
    /// Of channels with history: every reader got what the mesh still knows, or was told; all nodes hold the same.
    void check_histories();
    /// Of rooms: every node knows exactly who is there, and so does who was told of joins and leaves.
    void check_members();
    [[nodiscard]] std::size_t moves() const noexcept { return moves_; }  // into rooms and out of them
    [[nodiscard]] std::size_t losses_told() const noexcept { return losses_told_; }
    [[nodiscard]] std::size_t replayed() const noexcept { return replayed_; }
    void move_a_reader();
    void move_a_publisher();
    /// After check_histories(): P4, when no two nodes failed together; each publisher was acknowledged.
    void check_acknowledged();
    /// Publishes of publishers, repeated ones included; how many were acknowledged; and those that two nodes took for
    /// new.
    [[nodiscard]] std::size_t sent() const noexcept { return sent_; }
    [[nodiscard]] std::size_t acknowledged() const noexcept { return acknowledged_; }
    [[nodiscard]] std::size_t taken_twice() const noexcept;
    void check_reader(const SimulatedReader& reader, const Position& known);
    /// Every wish is settled and each worker has what publish_everywhere() published.
    void check_convergence();
    [[nodiscard]] std::size_t gaps_told() const noexcept { return gaps_told_; }
    [[nodiscard]] std::size_t accepted() const noexcept;
    [[nodiscard]] std::size_t delivered() const noexcept { return delivered_; }

    Weather weather;

private:
    friend class DialingEnd;
    friend class SimulatedCrowd;
    friend class SimulatedNode;
    friend class SimulatedWorker;
    friend class SimulatedReader;
    friend class SimulatedParty;
    friend class SimulatedPublisher;

    void transmit(std::uint64_t dialer, bool to_node, std::string bytes);
    [[nodiscard]] bool cut(const Wire& wire) const;
    std::string some_kept_channel() { return "kept:" + std::to_string(world_.below(plan_.kept_channels)); }
    std::string some_channel() { return "chat:" + std::to_string(world_.below(plan_.channels)); }
    void keep_ticking(std::size_t actor);
    void keep_working(std::size_t worker);
    void keep_stirring(std::size_t crowd);
    void keep_partying(std::size_t party);
    bool bug_strikes(Bug bug);

    SimulatedWorld& world_;
    MeshPlan plan_;
    std::vector<std::unique_ptr<SimulatedNode>> nodes_;
    std::vector<std::unique_ptr<SimulatedWorker>> workers_;
    std::vector<std::unique_ptr<SimulatedReader>> readers_;
    std::vector<std::unique_ptr<SimulatedPublisher>> publishers_;
    std::vector<std::unique_ptr<SimulatedCrowd>> crowds_;
    std::vector<std::unique_ptr<SimulatedParty>> parties_;
    std::map<std::string, std::set<std::string>> held_;  // by check_histories: data, by channel
    std::map<std::uint64_t, DialingEnd*> dialers_;       // by key, the living ones
    std::uint64_t next_key_ = 1;
    std::uint64_t next_identity_ = 1;
    LinkId next_link_ = 1;
    std::uint64_t next_life_ = 1;
    std::set<std::pair<std::size_t, std::size_t>> partitions_;
    std::uint64_t partition_generation_ = 0;
    std::map<std::uint64_t, Record> records_;  // by request
    std::set<std::uint64_t> last_round_;       // of publish_everywhere
    std::uint64_t next_request_ = 1;
    bool publishing_ = false, toggling_ = false;
    std::string violation_;
    std::size_t gaps_told_ = 0, delivered_ = 0, bug_chances_ = 0, losses_told_ = 0, replayed_ = 0, sent_ = 0,
                acknowledged_ = 0, moves_ = 0;
};

}  // namespace weft::simulation
