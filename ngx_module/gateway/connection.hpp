// One client of a worker, whatever its transport: who it is, what it subscribed to, what waits to be sent.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/grants.hpp"
#include "codec/message.hpp"
#include "gateway/compression.hpp"
#include "gateway/entrance.hpp"
#include "gateway/send_queue.hpp"
#include "gateway/shared_limits.hpp"
#include "gateway/tally.hpp"
#include "gateway/wire.hpp"
#include "limit/timer_wheel.hpp"
#include "limit/token_bucket.hpp"
#include "limit/traffic_bucket.hpp"
#include "weft/codes.hpp"
#include "weft/time.hpp"

namespace weft {

namespace v1 {
class Leaver;
class Moved;
}  // namespace v1

class Carrier;
class Gateway;
struct Feed;
struct LocationSettings;

/// What nginx.conf says of a location. Outlives the connections that were opened there.
struct EndpointSettings {
    Rate rate{100.0, 200};                                // messages of one connection
    ByteRate byte_rate;                                   // of those messages
    Rate user_rate;                                       // messages of one user, over all workers
    Rate address_rate;                                    // messages from one address, over all workers
    std::uint32_t max_subscriptions = 256;                // of one connection
    std::uint32_t max_rpcs = 512;                         // of one connection, unanswered; at most kMostRpcs
    std::chrono::milliseconds first_subscribe{0};         // until a connection must have subscribed; 0: never
    std::chrono::milliseconds heartbeat{30'000};          // of silence until the peer is probed
    std::chrono::milliseconds heartbeat_timeout{10'000};  // from the probe until the peer is taken for dead
    std::size_t max_message = std::size_t{64} * 1024;     // bytes of one client message
    std::size_t send_queue = std::size_t{1024} * 1024;    // bytes that may wait for a slow reader
    bool echo = false;                                    // messages go back as they came; no codec, no channels
    std::chrono::milliseconds auth_timeout{10'000};       // for the first message, where that brings the credentials
    std::chrono::milliseconds expiry_notice{30'000};      // before a ticket's end its client is told; 0: it isn't
    std::chrono::milliseconds leeway{5'000};              // past a ticket's end, in which its connections are ended
    const LocationSettings* location = nullptr;           // the host's; nothing here looks into it
    CompressionSettings compression;
};

/// Who a connection is and what it may do. Shared, not copied, by whoever needs it.
struct Identity {
    static constexpr WallTime kNever = WallTime::max();

    std::string user;
    Grants grants;
    WallTime expires_at = kNever;               // the ticket's end
    std::uint64_t ticket = 0;                   // Revocations::ticket_hash() of the ticket's `jti`
    WallTime since{};                           // when it was accepted
    std::unique_ptr<const std::string> info{};  // the ticket's `info`, for presence; null: none
};

class Connection : public Timed {
public:
    enum class Phase : std::uint8_t {
        open,
        closing,    // goodbye is queued; the peer's answer is awaited, its messages are ignored
        lingering,  // goodbye is queued; input can't be understood any more and is thrown away until the peer closes
        finished,   // to be closed as soon as what is queued has been written
        aborted,    // to be closed at once
    };

    static constexpr std::uint32_t kMostRpcs = 4095;
    static constexpr std::chrono::milliseconds kCloseTimeout{5'000};  // for the peer to answer a goodbye
    static constexpr std::chrono::milliseconds kLinger{2'000};
    // Bytes of a message of somebody who has yet to say who they are: a token and what is around it.
    static constexpr std::size_t kMaxAuthMessage = std::size_t{16} * 1024;

    /// Everything given must outlive the connection. `wire` is shared by all connections that speak alike.
    Connection(Gateway& gateway, const EndpointSettings& endpoint, Wire& wire) noexcept
        : gateway_(gateway), endpoint_(&endpoint), wire_(&wire) {}
    /// It must have been removed from its gateway (Gateway::remove).
    virtual ~Connection() = default;

    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] SendQueue& queue() noexcept { return queue_; }
    [[nodiscard]] const EndpointSettings& endpoint() const noexcept { return *endpoint_; }
    [[nodiscard]] std::uint64_t client_id() const noexcept { return client_id_; }
    [[nodiscard]] std::string_view user() const noexcept {
        return identity_ ? std::string_view(identity_->user) : std::string_view();
    }
    /// Whether it is known who this is. If not, it waits for its first message, `auth`, or has been refused.
    [[nodiscard]] bool authenticated() const noexcept { return identity_ != nullptr; }
    /// The number that the connection goes by, if it is to be known before it is opened. Not 0.
    void set_client_id(std::uint64_t id) noexcept { client_id_ = id; }
    /// What its address goes by in SharedLimits::rates; 0 (none) for a connection without one.
    void set_address_key(SharedRates::Key key) noexcept { address_key_ = key; }
    /// Has this connection counted for itself; nothing does unless asked to. Null ends it.
    void keep_tally(std::unique_ptr<Tally> tally);
    [[nodiscard]] Tally* tally() noexcept { return rare_ ? rare_->tally.get() : nullptr; }
    /// Has this connection put into channels when it is greeted. It ends if one of them is refused.
    void enter_by(std::unique_ptr<Entrance> entrance);
    /// Whether its socket took less than it was given, and something waits since.
    [[nodiscard]] bool blocked() const noexcept { return blocked_slot_ != kNotBlocked; }
    /// The code that this connection ended with; 0 while it is open, 1006 when it just broke.
    [[nodiscard]] std::uint16_t close_code() const noexcept { return close_code_; }

    /// Whether it was the peer who said goodbye first.
    [[nodiscard]] bool closed_by_peer() const noexcept { return left_; }
    /// The host's end of this connection; nothing here looks into it. Null: the host has none.
    [[nodiscard]] virtual Carrier* carrier() noexcept { return nullptr; }

    /// Ends the connection: it leaves its channels, and the peer is told `code`. No effect unless it is open.
    void end(std::uint16_t code, std::string_view why);
    void end(Code code) { end(static_cast<std::uint16_t>(code), reason(code)); }

    /// The socket broke.
    void on_broken();
    /// The peer sends no more; for most transports it is gone then, without a goodbye.
    virtual void on_end_of_input() { on_broken(); }
    /// Bytes from the peer; they are changed in place, and websocket::kPadding bytes behind them must be readable and
    /// writable. What follows from them (replies, the end) is queued.
    virtual void receive(std::span<char> bytes) = 0;

    /// The bytes to write next, as SendQueue::next(); empty, though something is queued, when memory is short.
    [[nodiscard]] std::string_view next_bytes(char* scratch, std::size_t scratch_size) noexcept {
        if (rewrites_) [[unlikely]] {
            if (!rewrite_front(scratch_size)) return {};
        }
        return queue_.next(scratch, scratch_size);
    }
    /// The first `count` bytes of the queue have been written.
    void on_written(std::size_t count);

    /// The socket takes no more for now. When more is waiting than may, what the channels' rules allow to drop is
    /// dropped, and else the connection ends with 4014. (The bound is for what a reader leaves lying, so it is looked
    /// at only after the socket had its chance; what one turn can add is bounded by what weftd sends in one, and shared
    /// between connections.)
    /// The first `committed` bytes of the queue must be written as they are all the same (see SendQueue).
    void on_blocked(std::size_t committed = 0);

    /// Begins to bring what a delivery needs into the cache: to be called for the connections that come next.
    void prefetch() const noexcept {
        const auto* const begin = reinterpret_cast<const char*>(this);
        for (std::size_t at = 0; at < kFetched; at += kCacheLine) __builtin_prefetch(begin + at, 1);
    }
    /// Bytes from its beginning that prefetch() fetches: the host's end of a connection, behind it, is touched, too.
    static constexpr std::size_t kFetched = 272;

    /// Whether its input is to be read now. If not, the host calls pause_reading() and reads on after Host::read_on().
    [[nodiscard]] bool may_read() const noexcept;
    void pause_reading();

    /// This worker is going: at `deadline` the client is told to reconnect, and `grace` later the connection ends with
    /// 1012. In between it is served as ever, so that a client can be back elsewhere before it goes from here.
    void drain(Instant deadline, std::chrono::milliseconds grace);
    /// As the grace of drain(): at the deadline the connection ends as if its time were over.
    static constexpr std::chrono::milliseconds kWithoutAWord{std::numeric_limits<std::uint32_t>::max()};
    /// This worker is going at once.
    void drain_now();
    /// Whether its client asks again by itself whenever it is answered.
    [[nodiscard]] virtual bool comes_again() const noexcept { return false; }

    /// It is about to move to another worker: nothing more is read from it, so that what it asked for is answered.
    void stand_still() noexcept { still_ = true; }
    /// It stays after all, for the time being.
    void go_on() noexcept { still_ = false; }
    [[nodiscard]] bool standing_still() const noexcept { return still_; }
    /// How it speaks, for a worker to which it is to move. False: it can't.
    virtual bool describe(v1::Leaver&) const { return false; }
    /// What can only be said once nothing happens to it here any more, its queue with it.
    virtual void pack(v1::Moved& rest);
    /// Goes on from there.
    virtual void unpack(const v1::Moved& rest);

    /// As on_blocked() was told, until something is written.
    [[nodiscard]] std::size_t committed() const noexcept { return committed_; }

protected:
    /// Takes a message that Gateway::hold() kept; websocket::kPadding bytes behind it may be read.
    virtual void take_early(std::string_view message) = 0;
    /// Whether a back end has yet to decide about it; its messages go to Gateway::hold().
    [[nodiscard]] bool undecided() const noexcept { return asked_; }
    /// Asks a silent peer for a sign of life.
    virtual void probe() = 0;
    /// Queues what the transport says at the end; returns the phase that follows.
    virtual Phase say_goodbye(std::uint16_t code, std::string_view why) = 0;

    /// `frames`, which are about to be written, in this connection's own form: for a transport that asked for it with
    /// rewrite_frames(). What it returns goes to the peer, in the order of the calls.
    virtual SharedBytes rewrite(const SharedBytes& frames) { return frames; }
    void rewrite_frames() noexcept { rewrites_ = true; }

    /// The peer is the one who says goodbye: what the connection ends with from here on is its doing.
    void on_goodbye() noexcept { left_ = true; }
    /// The peer is gone, where that is all the goodbye that there is.
    void on_departure();

    /// The most that a message of this client may have now, in bytes.
    [[nodiscard]] std::size_t message_limit() const noexcept {
        return authenticated() || endpoint_->echo ? endpoint_->max_message : kMaxAuthMessage;
    }

    /// Something arrived from the peer.
    void heard() noexcept;
    void set_phase(Phase phase);
    /// Queues bytes of the transport itself (a pong, a close frame), without the bound that holds for messages.
    void push_raw(std::string_view bytes);

    /// Counts a client message of `size` bytes in its connection's, its user's and its address's rates. False: it is
    /// over one of them, and `refusal` says which and for how long; a client that keeps on is ended here.
    bool within_rates(std::size_t size, event::Error& refusal);

    [[nodiscard]] Gateway& gateway() noexcept { return gateway_; }
    [[nodiscard]] Wire& wire() const noexcept { return *wire_; }

private:
    friend class Gateway;

    struct Subscription {
        Feed* feed;
        std::uint32_t slot;  // index in the feed's subscribers; kWaiting until it is settled
    };
    static constexpr std::uint32_t kWaiting = 0xffffffff;
    static constexpr std::uint32_t kNotBlocked = 0xffffffff;
    static constexpr std::size_t kCacheLine = 64;  // bytes; of most machines, and where it isn't nothing breaks
    // What most connections do without.
    struct Rare {
        std::unique_ptr<Tally> tally;
        std::unique_ptr<Entrance> entrance;
    };
    static constexpr std::uint16_t kMaxStrikes = 100;  // refusals in a row, or the burst, until the client is ended

    /// Null: it has none. Looked for from the newest on, which is in what order they are joined and, at the end, left.
    [[nodiscard]] Subscription* subscription_to(const Feed& feed) noexcept;
    Rare& rare();
    [[nodiscard]] Entrance* entrance() noexcept { return rare_ ? rare_->entrance.get() : nullptr; }
    bool rewrite_front(std::size_t enough) noexcept;
    [[nodiscard]] std::chrono::milliseconds silence() const noexcept;
    void on_deadline();
    /// Starts what is to happen if nothing else does: the heartbeat, or the wait for a first subscription.
    void arm_first();
    void arm_heartbeat();
    void subscribed_first();
    /// The client did what a limit forbids; ended when it goes on and on.
    void strike();
    bool over_rate(std::chrono::milliseconds wait, SharedCounter& counter, std::string_view why, event::Error& refusal);
    /// Sets the one deadline: `liveness`, or what is next of the ticket's end if that comes before.
    void arm(Instant liveness);
    /// When the connection ends for its ticket's end; Instant::max() for never.
    [[nodiscard]] Instant expiry_end() const noexcept;
    /// When something is to be done for the ticket's end: to tell the client, or to end the connection.
    [[nodiscard]] Instant next_expiry() const noexcept;
    void expire();
    void tell_to_reconnect(std::chrono::milliseconds after);
    void end_for_reconnect();
    /// Makes room until at most `most` bytes wait; ends the connection when that can't be.
    void shed(std::size_t most);

    // There are as many of these as there are clients: the order leaves no holes.
    std::uint32_t last_heard_ms_ = 0;  // wrapping
    Gateway& gateway_;
    const EndpointSettings* endpoint_;
    std::shared_ptr<const Identity> identity_;
    std::uint64_t client_id_ = 0;
    std::vector<Subscription> subscriptions_;
    SharedRates::Key address_key_ = 0;
    TrafficBucket bucket_;
    std::uint32_t requests_ : 20 = 0;                           // in flight to weftd; RequestTable::kMax fits
    std::uint32_t rpcs_ : 12 = 0;                               // of these
    std::chrono::duration<std::uint32_t, std::milli> grace_{};  // of the drain
    std::uint32_t last_strike_ms_ = 0;                          // wrapping
    std::uint16_t strikes_ = 0;
    std::uint16_t close_code_ = 0;
    // From here on what a delivery touches most, side by side: among thousands of connections each line of the cache
    // that it needs is one to wait for. See prefetch().
    std::uint32_t committed_ = 0;  // bytes at the queue's front, see on_blocked(); here it takes what were padding
    SendQueue queue_;
    std::unique_ptr<Rare> rare_;
    Wire* wire_;
    std::uint32_t blocked_slot_ = kNotBlocked;  // index in the gateway's list of connections whose sockets are full
    Phase phase_ = Phase::open;
    bool opened_ : 1 = false;
    bool dirty_ : 1 = false;       // in the gateway's list of connections to flush
    bool late_reply_ : 1 = false;  // in the gateway's list of replies for the end of the turn
    bool rewrites_ : 1 = false;    // its queue is rewritten before it is written
    bool probing_ : 1 = false;
    bool draining_ : 1 = false;     // a deadline is set for telling the client to reconnect
    bool leaving_ : 1 = false;      // it was told
    bool paused_ : 1 = false;       // in the gateway's list of connections that wait for leave to read on
    bool awaited_ : 1 = false;      // its first subscription is, and the deadline is for that
    bool expiry_told_ : 1 = false;  // the client knows that its ticket ends
    bool greeted_ : 1 = false;
    bool asked_ : 1 = false;     // a back end is to decide whether it is let in
    bool vouched_ : 1 = false;   // one has
    bool left_ : 1 = false;      // the peer said goodbye first
    bool still_ : 1 = false;     // nothing is read, since it is to move
    bool slipping_ : 1 = false;  // it leaves channels for another worker, which nobody is told
};

}  // namespace weft
