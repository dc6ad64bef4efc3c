// A worker's half of Weft: its connections, which channels they are in, and its links to weftd, one for each shard.
//
// A state machine without sockets or clock. The host (nginx glue, or a test) carries bytes between the connections, the
// link and the network, and says what time it is. Work is collected during a turn of the host's event loop and leaves
// at its end: one batch to weftd, one write to each connection.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/channel_rules.hpp"
#include "gateway/connection.hpp"
#include "gateway/counters.hpp"
#include "gateway/feed_history.hpp"
#include "gateway/feed_members.hpp"
#include "gateway/shard_link.hpp"
#include "weft/revocations.hpp"
#include "weft/shard.hpp"
#include "weft/v1/move.pb.h"

namespace weft {

/// What a worker knows of one channel that somebody here subscribed to.
struct Feed {
    struct Subscriber {
        Connection* connection;
        bool echo;
        bool hears_members = false;
    };
    struct Waiting {  // a subscribe command that weftd's answer will answer
        Connection* connection;
        std::string id;
        bool echo;
        bool resume;
        bool latest;  // is given the newest publication, unless it resumes
        std::string position;
    };

    std::string name;
    ShardLink* link = nullptr;  // to the shard that has the channel
    std::string position;       // of what was last delivered, as weftd wrote it
    std::vector<Subscriber> subscribers;
    std::vector<Waiting> waiting;
    std::uint32_t id = 0;                  // unique in the worker, for ChunkTag
    std::uint32_t without_echo = 0;        // subscribers that don't want their own publications
    std::uint32_t batch = kNoBatch;        // index of what this turn collected for it
    std::uint32_t count_slot = kNoBatch;   // index in ShardLink::counting
    std::uint32_t told_count = 1;          // of subscribers, as weftd knows it: one, until it is told
    Overflow overflow = Overflow::close;   // of the channel's rule
    bool counted = false;                  // its members are counted over all workers, as the rule bounds them
    WireSet wires = 0;                     // that subscribers use; perhaps one that the last subscriber has just left
    std::vector<Subscriber> arriving;      // that join when they come from another worker
    bool settled = false;                  // weftd has answered; publications count from `position` on
    bool announced = false;                // Subscribe was sent in this session
    std::unique_ptr<FeedHistory> history;  // null: the channel keeps none
    std::unique_ptr<FeedMembers> members;  // null: the channel is without presence

    static constexpr std::uint32_t kNoBatch = 0xffffffff;

    [[nodiscard]] bool expects(const Connection& connection) const noexcept {
        return std::ranges::find(arriving, &connection, &Subscriber::connection) != arriving.end();
    }
};

/// Who hears what became of requests to weftd that didn't come from a Connection (HTTP).
class RequestObserver {
public:
    virtual ~RequestObserver() = default;
    /// The one answer to a request. Its id is the one that was given with the request; its body event::Published
    /// (without message_id where nothing was published), History, Members, RpcResponse or Error.
    virtual void on_answer(const ServerFrame& answer) = 0;
};

class Gateway final : private ShardLink::Events {
public:
    // Of all links to weftd together: each has its part of these.
    static constexpr std::size_t kMaxRequests = 65'536;  // unanswered by weftd
    static constexpr std::size_t kMaxLinkBytes =
        std::size_t{32} * 1024 * 1024;  // queued for weftd, before ZeroMQ; then 4017
    // Clients are not read any further while this much is queued for a shard, until no more than the other is for any.
    static constexpr std::size_t kCongestedBytes = std::size_t{8} * 1024 * 1024;
    static constexpr std::size_t kRelievedBytes = std::size_t{2} * 1024 * 1024;
    static constexpr std::size_t kReplayRoom = std::size_t{64} * 1024;  // more waits for a reader: its replay pauses
    static constexpr std::size_t kMaxWaiting = 8;  // subscribes of one connection to one channel, unanswered
    // Bytes of messages that a connection may have sent before a back end has decided about it.
    static constexpr std::size_t kMaxEarly = std::size_t{128} * 1024;
    static constexpr std::size_t kMaxDecided = 1024;  // decisions about clients that are carried out in one go
    static constexpr std::size_t kMaxChunk = std::size_t{64} * 1024;  // of one channel's publications in one turn
    static constexpr std::chrono::milliseconds kRetryAfter{1'000};    // told with 4017

    // The id of the subscribes that nobody sent (Entrance): it isn't told, and a connection whose is refused ends.
    static constexpr std::string_view kEntryId{"\0entry", 6};

    static constexpr std::size_t kDefaultSendMemory = std::size_t{256} * 1024 * 1024;

    enum class Level { info, warning, error };

    class Host {
    public:
        virtual ~Host() = default;
        /// Something is to be sent: call end_turn() at the end of this turn of the event loop.
        virtual void schedule_turn_end() = 0;
        /// Write what is queued for `connection`, as far as its socket takes it (then on_blocked()), and act on its
        /// phase. May remove and destroy it.
        virtual void flush(Connection& connection) = 0;
        /// `connection`, which was paused, may be read again.
        virtual void read_on(Connection& connection) = 0;
        /// Calls `visit` with each connection that was opened and has not been removed. It removes none.
        virtual void visit(const std::function<void(Connection&)>& visit) = 0;
        virtual std::uint64_t random() = 0;
        /// Who has sent `token` on `connection`, and what they may do; by the rules of its location. The error is what
        /// the client is told, its message a literal. For a client that was unknown so far, whether there is room for
        /// one more connection of this user is part of the answer.
        virtual tl::expected<std::shared_ptr<const Identity>, event::Error> identify(Connection& connection,
                                                                                     std::string_view token);
        virtual void log(Level level, std::string_view line) = 0;
        /// weftd's answer to mark(), at this point of what the shard sends both workers.
        virtual void on_marked(unsigned shard, const v1::Marked& marked);
        /// A link to weftd is down: marks that were asked for by it don't come.
        virtual void on_link_lost() {}
    };

    /// `rules`, `counters` and `host` must outlive the gateway.
    Gateway(v1::Hello hello, LinkTimings timings, const ChannelRules& rules, Counters& counters, Host& host,
            Instant now, WallTime wall);
    ~Gateway() override;

    /// Says what time it is; the host does so before anything else in each callback.
    void set_time(Instant now, WallTime wall) noexcept {
        now_ = now;
        wall_ = wall;
    }
    [[nodiscard]] Instant now() const noexcept { return now_; }

    /// How many bytes of memory all that waits to be sent may take. Beyond it the readers that leave most lying lose
    /// theirs, as their channels' rules say, until an eighth of it is free.
    void set_send_memory(std::size_t bytes) noexcept { send_memory_ = bytes; }

    /// Has this worker limit together with others; what `shared` points to must outlive the gateway. Before the first
    /// connection.
    void share_limits(const SharedLimits& shared) noexcept {
        shared_ = shared;
        if (shared.refusals != nullptr) refusals_ = shared.refusals;
    }

    /// Lets deadlines happen. Call it every 100 ms or so.
    void tick();

    /// Delivers what was collected in this turn. Call Link sending before or after it as suits the host.
    void end_turn();

    /// Lets paused connections be read on, if the reason has gone. Call it after sending to the link, and after
    /// end_turn().
    void resume_paused();

    /// Whether so much waits for weftd that no more should be read from clients.
    [[nodiscard]] bool congested() const noexcept { return congested_; }

    /// How many links there are to weftd: one, until the first Welcome says how many shards weftd has.
    [[nodiscard]] unsigned links() const noexcept { return static_cast<unsigned>(links_.size()); }
    /// The state machine of the link to a shard, which the host carries bytes for.
    [[nodiscard]] LinkDialer& link(unsigned shard = 0) noexcept { return links_[shard]->dialer(); }
    /// Changes when link(shard) has become another one, which needs a connection of its own. That of the first never
    /// does.
    [[nodiscard]] std::uint64_t link_life(unsigned shard) const noexcept { return links_[shard]->life(); }
    [[nodiscard]] bool links_up() const noexcept;
    /// Whether every shard of weftd can tell two workers one moment.
    [[nodiscard]] bool links_mark() const noexcept;

    // --- connections ---

    /// Admits a connection and greets it; or refuses it, if it was decided so since `decided` was decisions(), when its
    /// credentials were looked at.
    void open(Connection& connection, std::shared_ptr<const Identity> identity, std::uint64_t decided);
    void open(Connection& connection, std::shared_ptr<const Identity> identity) {
        open(connection, std::move(identity), decisions());
    }
    /// Admits a connection of which isn't known yet who it is: its first message must be `auth`, in time. Until then it
    /// can do nothing, and costs a socket and at most Connection::kMaxAuthMessage bytes of message.
    void await_auth(Connection& connection);
    /// Greets a connection only to refuse it: error frame (but not where messages are echoed), then close with its
    /// code.
    void refuse(Connection& connection, const event::Error& why);
    /// Counts somebody who is refused without a connection.
    void count_refused(Code code) noexcept;
    /// Forgets a connection; it may be destroyed afterwards.
    void remove(Connection& connection);
    [[nodiscard]] std::size_t connections() const noexcept { return open_; }

    /// A client's command. The connection must be open.
    void execute(Connection& connection, const Command& command);
    /// A message that was no command, or not to be executed. Where that ends the connection (kEntryId) it leaves its
    /// channels, which may go with it: not to be called in a walk over channels, or over those who wait in one.
    void fail(Connection& connection, std::string_view id, const event::Error& error);

    // --- connections that move from one worker of a host to another, in gateway_moves.cpp (docs/reload.md). The worker
    // that it leaves: ---

    enum class Movable {
        now,
        soon,   // when it is at rest
        never,  // it ends, or isn't let in yet
    };
    [[nodiscard]] Movable movable(const Connection& connection) const noexcept;
    /// Who it is, and what it subscribed to.
    static void describe(const Connection& connection, v1::Leaver& leaver);
    /// The worker by this incarnation and this one are to be told one moment (Host::on_marked), for the move of that
    /// number, by every shard. False: not now, or this weftd can't.
    bool mark(std::uint64_t number, std::uint64_t to);
    /// The moment has come at a shard: the connection leaves the shard's channels, and nobody is told.
    void slip_out(Connection& connection, unsigned shard);
    /// It is elsewhere now: forgets it without a word.
    void forget_moved(Connection& connection);

    // The worker to which it comes:

    [[nodiscard]] std::uint64_t incarnation() const noexcept { return hello_.incarnation(); }
    /// Why somebody who comes from another worker is not to be let in.
    [[nodiscard]] std::optional<event::Error> objection(const Identity& identity, std::uint64_t client_id) const;
    /// Expects a connection, which has no socket yet; from here on it may have bytes queued. Channels in which it may
    /// not be any more it is told to have left.
    void expect(Connection& connection, std::shared_ptr<const Identity> identity, const v1::Leaver& leaver);
    /// Whether all that is said in its channels comes here.
    [[nodiscard]] bool expected_everywhere(const Connection& connection) const noexcept;
    /// The moment has come at a shard: the connection is in its channels. False: it can't be without a loss.
    bool slip_in(Connection& connection, unsigned shard);
    /// It has come.
    void resume_moved(Connection& connection, const v1::Moved& rest);

    // --- back ends: for whoever the caller has checked. The observer hears once of each, now or later, by `id`, unless
    // cancel() comes first. ---

    /// Publishes, without a publisher or for the user `by`.
    void publish(std::string_view channel, Json data, std::string_view message_id, RequestObserver& observer,
                 const Publisher& by = {}, std::string_view id = {});
    /// Asks weftd to revoke or grant (see v1::Revocation; its times are weftd's to give). `lasts`: how long a ban
    /// holds, or until connections end that are granted something.
    void revoke(const v1::Revocation& revocation, std::chrono::seconds lasts, RequestObserver& observer,
                std::string_view id = {});
    void read_history(const command::History& history, RequestObserver& observer, std::string_view id = {});
    void read_members(const command::Presence& presence, RequestObserver& observer, std::string_view id = {});
    /// {"channel":…,"count":…,"users":…}
    void read_member_stats(std::string_view channel, RequestObserver& observer, std::string_view id = {});
    void survey(Survey survey, RequestObserver& observer, std::string_view id = {});
    /// All that this observer waits for.
    void cancel(RequestObserver& observer) noexcept;

    /// The decisions about clients that this worker knows: `decided()` of it is a mark for open().
    [[nodiscard]] const Revocations& revocations() const noexcept { return revocations_; }
    [[nodiscard]] std::uint64_t decisions() const noexcept { return revocations_.decided(); }

    /// What to tell somebody who is banned; nothing when neither the user nor the ticket is.
    [[nodiscard]] std::optional<event::Error> banned(const Identity& identity) const;

    // --- for connections ---

    [[nodiscard]] Counters& counters() noexcept { return counters_; }
    [[nodiscard]] Refusals& refusals() noexcept { return *refusals_; }
    /// Null: no rate is limited over several connections.
    [[nodiscard]] SharedRates* shared_rates() noexcept { return shared_.rates; }
    [[nodiscard]] TimerWheel& wheel() noexcept { return wheel_; }
    [[nodiscard]] std::uint64_t random() { return host_.random(); }
    void mark_dirty(Connection& connection);
    void add_paused(Connection& connection);
    void add_blocked(Connection& connection);
    void remove_blocked(Connection& connection) noexcept;
    /// Drops publications that `connection` waits for, the oldest first and where the channel's rule allows it, until
    /// at most `target` bytes wait or no more can be dropped.
    void drop_oldest(Connection& connection, std::size_t target, std::size_t committed);
    /// Ends what the connection takes part in: subscriptions, answers that it waits for.
    void detach(Connection& connection);
    /// A message of a connection about which a back end has yet to decide: it waits for that.
    void hold(Connection& connection, std::string_view message);
    /// No decision about `connection` has come in time.
    void give_up_asking(Connection& connection);
    /// The first message of `connection` has not come in time.
    void give_up_waiting(Connection& connection);
    /// Refuses somebody who was unknown so far: error frame, then close with its code.
    void refuse_unknown(Connection& connection, std::string_view id, const event::Error& why);
    [[nodiscard]] WallTime wall() const noexcept { return wall_; }
    [[nodiscard]] CompressionScratch& compression() noexcept { return compression_; }
    /// Sends a frame to one connection.
    void send(Connection& connection, const ServerFrame& frame);

private:
    using Request = LinkRequest;
    struct Asking {      // about a connection; it waits for weftd's first link when there is no request
        std::string id;  // of its auth
        bool greeted = false;
        std::uint64_t request = 0;
        std::vector<std::string> early;  // messages that came meanwhile, each with websocket::kPadding bytes behind it
        std::size_t early_bytes = 0;
    };
    struct Question {
        ShardLink* link;
        std::uint64_t request;
    };
    struct LateReply {  // goes behind what the turn collected
        Connection* connection;
        SharedBytes bytes;
    };
    struct TurnBatch {  // what one feed collected in this turn, encoded for each wire in use
        Feed* feed = nullptr;
        std::string bytes[Wire::kMax];
        std::uint32_t frames[Wire::kMax] = {};
        const Connection* except = nullptr;  // a subscriber that doesn't get them
        bool notice = false;                 // something other than events and signals is among them
        bool event = false;  // an event is among them, and for each wire the newest is this part of the bytes:
        struct Part {
            std::uint32_t begin;
            std::uint32_t end;
        } newest[Wire::kMax];
    };
    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
    };

    // Commands, in gateway_commands.cpp.
    void execute(Connection& connection, std::string_view id, const command::Subscribe& subscribe);
    void subscribe(Connection& connection, std::string_view id, const command::Subscribe& subscribe, bool asked);
    void execute(Connection& connection, std::string_view id, const command::Unsubscribe& unsubscribe);
    void execute(Connection& connection, std::string_view id, const command::Publish& publish);
    void execute(Connection& connection, std::string_view id, const command::Signal& signal);
    void execute(Connection& connection, std::string_view id, const command::Rpc& rpc);
    void execute(Connection& connection, std::string_view id, const command::History& history);
    void execute(Connection& connection, std::string_view id, const command::Presence& presence);
    void execute(Connection& connection, std::string_view id, const command::Ping& ping);
    void execute(Connection& connection, std::string_view id, const command::Auth& auth);
    void execute(Connection& connection, std::string_view id, const command::Refresh& refresh);
    void execute_unknown(Connection& connection, const Command& command);
    /// Who the connection is from now on, with what follows from other grants and another end.
    void adopt(Connection& connection, std::shared_ptr<const Identity> identity);
    void leave_what_is_not_granted(Connection& connection);
    void count_in(Connection& connection);
    void greet(Connection& connection, std::string_view id);
    /// Puts a connection into the channels of its Entrance.
    void enter(Connection& connection);
    /// It was told what became of one of these.
    void on_entered(Connection& connection);
    bool allowed(Connection& connection, std::string_view id, Action action, std::string_view channel,
                 const ChannelRule*& rule);
    bool deny(Connection& connection, std::string_view id, std::string_view why);
    /// Answers a subscribe that the same client's next command has overtaken, as a client may that says something right
    /// behind its handshake; nobody waits for an answer to the location's own (kEntryId).
    void overtake(Connection& connection, std::string_view id, std::string_view why);
    /// A command is over a limit: counted, answered, and a strike against its client.
    void refuse(Connection& connection, std::string_view id, const event::Error& error, SharedCounter& counter);
    bool within_size(Connection& connection, std::string_view id, const ChannelRule& rule, Json data);
    bool within_channel_rate(Connection& connection, std::string_view id, const ChannelRule& rule,
                             std::string_view channel);
    bool enter_channel(Connection& connection, std::string_view id, const ChannelRule& rule, std::string_view channel);
    /// The link to the shard that has a channel. Where there is a feed, it knows.
    [[nodiscard]] ShardLink& link_of(std::string_view channel) noexcept {
        return links_.size() == 1 ? *links_.front() : *links_[shard_of(channel, links())];
    }
    /// The link for what belongs to no channel.
    [[nodiscard]] ShardLink& first_link() noexcept { return *links_.front(); }
    /// Whether the shard can be asked for something: the link is up, and not too much waits for it.
    [[nodiscard]] bool link_ready(const ShardLink& link) const noexcept {
        return link.up() && link.queued_bytes() < part_.link_bytes;
    }
    /// A new request's number, or 0 when the link is down or full.
    std::uint64_t new_request(ShardLink& link, Request request);
    void fail_unavailable(Connection& connection, std::string_view id);
    /// To whoever asked, if they are still there.
    void answer(const Request& request, ServerFrame& frame);
    void fail(const Request& request, const event::Error& error);
    void fail_unavailable(const Request& request);
    Request take_request(ShardLink& link, std::uint64_t number);
    /// It counts no more for its connection.
    static void forget(const Request& request) noexcept;
    /// Nobody waits for this any more; 0: it was never asked.
    static void drop_question(ShardLink& link, std::uint64_t number) noexcept;
    void fail_requests(ShardLink& link);
    struct Unanswered {
        Connection* connection;
        std::string id;  // of its command
    };

    // What back ends and clients ask likewise, in gateway_back_end.cpp.
    /// The rule of a channel that a back end asks about; null, and it is answered, when there is none.
    const ChannelRule* rule_for(std::string_view channel, const Request& request);
    void ask_history(Request request, const command::History& history);
    void ask_members(Request request, const ChannelRule& rule, const command::Presence& presence);

    // Questions to all shards, or the first for all, in gateway_survey.cpp.
    void ask_all(Request request, Survey survey);
    void on_survey_part(ShardLink& link, const v1::Frame& page);
    void fail_survey(const Request& request, const event::Error& error);
    /// A client calls one of weftd's own methods. False: it is none that is answered here.
    bool call_own_method(Connection& connection, std::string_view id, const command::Rpc& rpc);
    /// The number of a feed's subscribers may have changed.
    void count_later(Feed& feed);
    void forget_count(Feed& feed) noexcept;
    void tell_counts();
    void tell_counts(ShardLink& link);
    /// weftd asks for the connections of this worker: in gateway_clients.cpp.
    void on_read_clients(ShardLink& link, const v1::ReadClients& read);

    // Feeds, in gateway_feeds.cpp.
    Feed* find_feed(std::string_view channel) noexcept;
    Feed& make_feed(std::string_view channel);
    void announce(Feed& feed);
    void join(Feed& feed, Connection& connection, bool echo);
    void join(Feed& feed, Connection& connection, Connection::Subscription& subscription, bool echo);
    void leave(Feed& feed, Connection& connection);
    void leave_shared(Feed& feed, Connection::Subscription& subscription);
    void answer_subscribe(Feed& feed, Connection& connection, std::string_view id, bool resume,
                          std::string_view position);
    void drop_if_unused(Feed& feed);
    void settle(Feed& feed, const v1::Subscribed& subscribed);
    void refuse_feed(Feed& feed, const event::Error& error);
    /// Takes a connection out of a channel that it subscribed to, against its will, and tells it: `why` where it wasn't
    /// answered yet, and that it is unsubscribed where it was in. The feed may be unused then.
    void put_out(Feed& feed, Connection& connection, const event::Error& why);
    /// `except`: a subscriber that doesn't get it; what was collected before must have been delivered then.
    void collect(Feed& feed, const ServerFrame& frame, const Connection* except = nullptr);
    void deliver(TurnBatch& batch);
    /// Of a batch that is delivered next.
    static void prefetch(const TurnBatch& batch) noexcept;
    void deliver_collected(Feed& feed);
    void broadcast(Feed& feed, const ServerFrame& frame, std::uint64_t publisher);
    void push(Connection& connection, SharedBytes chunk, ChunkTag tag = {});
    /// Into scratch_, for this connection alone.
    void encode_for(Connection& connection, const ServerFrame& frame);
    /// Frees send memory at the cost of those who leave most lying.
    void shed_memory();
    /// As send(), but behind the publications of this turn: for a reply whose position covers them.
    void send_late(Connection& connection, const ServerFrame& frame);

    // Channels with history, in gateway_history.cpp.
    std::uint64_t read_history(ShardLink& link, Request request, std::string_view channel, const std::string& after,
                               std::uint32_t limit, bool latest = false);
    /// Answers a subscribe that asks to resume.
    void resume(Feed& feed, Connection& connection, std::string_view id, bool echo, std::string_view position);
    /// Answers a subscribe without a position on a channel that gives its newest publication.
    void give_latest(Feed& feed, Connection& connection, std::string_view id, bool echo);
    /// A subscriber that stands apart until a page has come; null (and it is answered) when none can be asked for.
    Apart* set_apart(Feed& feed, Connection& connection, std::string_view id, bool echo, const std::string& after,
                     bool latest);
    void settle_kept(Feed& feed, const v1::Subscribed& subscribed);
    void finish_settling(Feed& feed);
    /// The channel keeps history no longer.
    void forget_history(Feed& feed);
    void on_page(ShardLink& link, const v1::HistoryPage& page);
    void on_read_failed(const ShardLink& link, Request::Kind kind, std::uint64_t number, const event::Error& error);
    void answer_history(const Request& request, const v1::HistoryPage& page);
    void catch_up(Feed& feed, const v1::HistoryPage& page);
    void replay(Feed& feed, Apart& apart, const v1::HistoryPage& page);
    void broadcast_kept(Feed& feed, const v1::Publication& publication);
    void on_kept_gap(Feed& feed, const v1::Gap& gap);
    /// To one that stands apart, if it doesn't know it yet.
    void send_kept(Feed& feed, Apart& apart, const v1::Publication& publication, bool replayed);
    void send_to_aparts(Feed& feed, const ServerFrame& frame);
    /// Those who stand where the others stand go on with them.
    void rejoin(Feed& feed);
    /// This one does, if it stands there; `here` is feed.position. It is not among Feed::history's any more then.
    void rejoin(Feed& feed, const Apart& apart, const Position& here);
    void leave_apart(Feed& feed, const Connection& connection) noexcept;
    /// As overtake(), for one that stands apart and waits for its first page.
    void fail_unanswered(Feed& feed, Connection& connection, std::string_view why);
    /// Adds those to `unanswered` who were still to be, and have left the feed.
    void interrupt_replays(Feed& feed, std::vector<Unanswered>& unanswered);
    /// Asks for the next pages, for readers that have room.
    void continue_replays();
    void continue_replays(ShardLink& link);

    // Channels with presence, in gateway_presence.cpp; their feeds have `members`.
    /// What `subscribed` says of members: how many there are, for who may know.
    [[nodiscard]] std::optional<std::uint64_t> members_for(const Feed& feed,
                                                           const Connection& connection) const noexcept {
        if (!feed.members || !hears_members(feed, connection)) return std::nullopt;
        return feed.members->count;
    }
    [[nodiscard]] bool hears_members(const Feed& feed, const Connection& connection) const noexcept;
    void member_joined(Feed& feed, const Connection& connection);
    void member_left(Feed& feed, const Connection& connection, bool at_once = false);
    void announce_later(Feed& feed);
    /// The feed is about to go.
    void forget_members(Feed& feed);
    /// All subscribers, on a new link.
    void announce_members(Feed& feed);
    void continue_announcing();
    void continue_announcing(ShardLink& link);
    void on_member_event(const v1::MemberEvent& event);
    void on_members_page(ShardLink& link, const v1::MembersPage& page);
    void on_members_reset(const ShardLink& link);
    void tell_members(Feed& feed, const ServerFrame& frame);
    /// Members may have changed without a word.
    void tell_members_missed(Feed& feed);

    // What back ends are asked, in gateway_hooks.cpp.
    /// Greets the connection; after a back end has been asked, where that is to be.
    void let_in(Connection& connection, std::string_view id);
    void ask_about(Connection& connection, std::string_view id);
    void send_question(Connection& connection, Asking& asking);
    void send_questions();
    void on_hooks(const v1::Hooks& hooks);
    void on_allowed(ShardLink& link, const v1::Allowed& allowed);
    void admit(Connection& connection, const v1::Allowed& allowed);
    void turn_away(Connection& connection, const event::Error& why);
    [[nodiscard]] bool asks_about(std::string_view channel) const noexcept;
    void ask_to_subscribe(Connection& connection, std::string_view id, const command::Subscribe& subscribe);
    /// Whether there was one.
    bool cancel_question(Connection& connection, std::string_view channel);
    void forget_question(Connection* connection, const ShardLink& link, std::uint64_t request);
    void tell_disconnected(const Connection& connection);

    // Links, in gateway_link.cpp.
    void on_link_up(ShardLink& link, const v1::Welcome& welcome) override;
    void on_link_down(ShardLink& link, std::string_view why) override;
    void on_link_frame(ShardLink& link, v1::Frame& frame) override;
    void on_link_refused(ShardLink& link, const v1::Refused& refused) override;
    std::uint64_t send_link(ShardLink& link, const v1::Frame& frame);
    void add_link(unsigned shard, unsigned shards);
    /// weftd has so many: links to all but the first are new ones, and each feed gets the one that is its now.
    void set_shards(unsigned shards);
    /// Nothing of what went over it will be answered, and its feeds are out of step.
    void lose(ShardLink& link);
    /// Clients may be read again once no shard has much to take any more.
    void look_at_congestion() noexcept;

    // Decisions about clients, in gateway_revocations.cpp.
    /// Looking through all connections is what a decision costs. So those that come together are carried out
    /// together: before anything else that weftd says, before anybody is admitted, and at the turn's end.
    void on_revocation(const v1::Revocation& revocation);
    void carry_out_decisions();
    void carry_out(const v1::Revocation& revocation, Connection& connection);
    void expel(Connection& connection, const std::string& channel);
    void grant(const v1::Revocation& revocation, Connection& connection);

    const ChannelRules& rules_;
    Counters& counters_;
    Refusals own_refusals_;
    Refusals* refusals_ = &own_refusals_;
    SharedLimits shared_;
    Host& host_;
    Instant now_;
    WallTime wall_;
    TimerWheel wheel_;
    const v1::Hello hello_;
    const LinkTimings timings_;
    std::vector<std::unique_ptr<ShardLink>> links_;  // by shard; 1 to kMaxShards
    std::uint64_t last_link_life_ = 0;
    struct Part {  // of the bounds of all links, that each has
        std::size_t requests = kMaxRequests;
        std::size_t link_bytes = kMaxLinkBytes;
        std::size_t congested = kCongestedBytes;
        std::size_t relieved = kRelievedBytes;
    } part_;
    std::string node_;
    Revocations revocations_;
    std::vector<v1::Revocation> decided_;  // known, not yet carried out; at most kMaxDecided
    std::size_t open_ = 0;

    std::unordered_map<std::string, std::unique_ptr<Feed>, NameHash, std::equal_to<>> feeds_;
    bool asks_to_connect_ = false;  // these four as weftd's last Welcome said
    bool tells_disconnects_ = false;
    std::vector<ChannelPattern> asks_to_subscribe_;
    std::chrono::milliseconds decision_timeout_{0};                   // that a connection waits for being let in
    std::unordered_map<Connection*, Asking> asking_;                  // one for each connection that waits
    std::size_t unsent_questions_ = 0;                                // of asking_, without a request
    std::unordered_multimap<const Connection*, Question> questions_;  // requests of the kind subscribe

    Wire* wires_[Wire::kMax] = {};
    std::vector<TurnBatch> batches_;  // the first `batches_used_` belong to this turn; the rest keep buffers
    std::size_t batches_used_ = 0;
    std::vector<LateReply> late_replies_;
    std::vector<Connection*> dirty_;
    std::vector<Connection*> paused_;
    std::vector<Connection*> blocked_;
    std::size_t send_memory_ = kDefaultSendMemory;
    std::uint32_t last_feed_id_ = 0;
    std::string scratch_;
    CompressionScratch compression_;
    v1::Frame outgoing_;                // reused, so that its strings keep their memory
    Instant next_counts_{};             // when weftd is told how many subscribers there are
    std::size_t told_connections_ = 0;  // to weftd
    bool turn_scheduled_ = false;
    bool congested_ = false;
};

}  // namespace weft
