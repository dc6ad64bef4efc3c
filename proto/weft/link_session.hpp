// The two ends of a link as state machines: numbered frames, batches, heartbeats, and what happens when one is missing.
// The rules stand in v1/link.proto. No sockets here: bytes and times in, bytes and events out.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "weft/time.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

inline constexpr std::uint32_t kLinkVersion = 1;
inline constexpr std::size_t kMaxBatchFrames = 1024;
inline constexpr std::size_t kMaxBatchBytes = 256 * 1024;  // a batch is closed once it reaches this; one frame may be larger

/// The frames of one direction of a session, numbered and packed into batches as they are queued.
class BatchQueue {
public:
    /// `frame` is an encoded v1::Frame. Returns its number. Copies the bytes once.
    std::uint64_t push(std::string_view frame);

    [[nodiscard]] bool empty() const noexcept { return batches_.empty(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::uint64_t next_number() const noexcept { return next_number_; }

    /// Encodes the oldest batch (an empty one when nothing is queued: a heartbeat) into `out`, replacing what it held,
    /// and takes it off the queue.
    void pop(std::string& out, std::uint64_t session, std::uint64_t ack);

    /// Forgets everything; numbering starts at 1 again.
    void clear() noexcept;

private:
    struct Open {
        std::string body;  // the `frames` fields of a Batch, encoded
        std::uint64_t first = 0;
        std::size_t frames = 0;
    };
    std::deque<Open> batches_;
    std::size_t bytes_ = 0;
    std::uint64_t next_number_ = 1;
};

struct LinkTimings {
    std::chrono::milliseconds heartbeat{1000};  // each end sends something this often
    std::chrono::milliseconds dead{3000};       // silent this long: gone
    std::chrono::milliseconds refused_retry{10000};
};

/// The dialing end: an nginx worker's link to weftd, or a weftd's link to a peer.
///
/// Callbacks come from within on_* calls only, and may call send() but not on_*.
class LinkDialer {
public:
    enum class State { down, greeting, up, refused };

    class Events {
    public:
        virtual ~Events() = default;
        /// A session is open; announce interest now. send() works from here on.
        virtual void on_link_up(const v1::Welcome& welcome, Instant now) = 0;
        /// The session that was up is over; nothing queued or unanswered in it will be answered. `why` is for the log.
        virtual void on_link_down(std::string_view why, Instant now) = 0;
        /// A frame of the open session (never Hello, Welcome, Reset, Refused, Bye), in order, none missing before it.
        virtual void on_link_frame(v1::Frame& frame, Instant now) = 0;
        /// The listener will not serve this dialer; called once per refusal. State is `refused`; tried again later.
        virtual void on_link_refused(const v1::Refused& refused, Instant now) = 0;
    };

    /// `hello` is sent at the start of each session (its version field is set here). `random` gives 64 random bits.
    /// `events` must outlive this.
    LinkDialer(v1::Hello hello, LinkTimings timings, std::function<std::uint64_t()> random, Events& events);

    void on_connected(Instant now);                          ///< the transport connected (again): opens a session
    void on_disconnected(std::string_view why, Instant now); ///< the transport lost its connection
    void on_message(std::string_view bytes, Instant now);    ///< one ZeroMQ message arrived
    void on_tick(Instant now);                               ///< call at least every heartbeat / 4

    /// Queues a frame; returns its number, or 0 when no session is up (and nothing was queued).
    std::uint64_t send(const v1::Frame& frame);

    /// Whether next_batch has something to send: queued frames, a due heartbeat, a Hello.
    [[nodiscard]] bool wants_send(Instant now) const noexcept;
    /// Puts the next ZeroMQ message to send into `out`; false when there is none. A message that the transport then
    /// can't take is lost (the numbering will tell), so ask only when it can.
    bool next_batch(std::string& out, Instant now);

    /// Ends the session politely: queues Bye. Send what next_batch still gives, then close.
    void close(Instant now);

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] bool up() const noexcept { return state_ == State::up; }
    /// Highest number of our frames that the listener has handled.
    [[nodiscard]] std::uint64_t acked() const noexcept { return acked_; }
    [[nodiscard]] std::size_t queued_bytes() const noexcept { return queue_.bytes(); }

private:
    void open_session(Instant now);
    void end_session(std::string_view why, Instant now);
    void handle(v1::Frame& frame, Instant now);

    v1::Hello hello_;
    LinkTimings timings_;
    std::function<std::uint64_t()> random_;
    Events& events_;
    State state_ = State::down;
    bool connected_ = false;
    BatchQueue queue_;
    std::uint64_t session_ = 0;
    std::uint64_t received_ = 0;  // highest number received
    std::uint64_t acked_ = 0;
    std::uint64_t ack_sent_ = 0;
    Instant last_sent_{};
    Instant last_heard_{};
    Instant retry_at_{};
};

/// The listening end of one dialer's link. The owner keeps one per ZeroMQ routing id.
class LinkListener {
public:
    class Events {
    public:
        virtual ~Events() = default;
        /// Hello came and is acceptable. Return the Welcome's refusal instead (a sentence) to turn the dialer away.
        virtual std::string on_dialer_up(const v1::Hello& hello, Instant now) = 0;
        virtual void on_dialer_down(std::string_view why, Instant now) = 0;
        virtual void on_dialer_frame(v1::Frame& frame, Instant now) = 0;
        /// A dialer was refused or reset; for the log.
        virtual void on_dialer_rejected(std::string_view why, Instant now) = 0;
    };

    /// `welcome` is sent at the start of each session (version and timings are filled in here). `max_queued` bounds
    /// the bytes waiting for this dialer; beyond it the session is reset with OVERFLOW.
    LinkListener(v1::Welcome welcome, LinkTimings timings, std::size_t max_queued, Events& events);

    void on_message(std::string_view bytes, Instant now);
    void on_unreachable(Instant now);   ///< the transport says that this dialer is gone
    void on_tick(Instant now);

    /// `frame` is an encoded v1::Frame. False when no session is up, or when this push overflowed it (it is down then).
    bool send(std::string_view frame, Instant now);

    [[nodiscard]] bool wants_send(Instant now) const noexcept;
    bool next_batch(std::string& out, Instant now);

    void close(Instant now);            ///< queues Bye

    [[nodiscard]] bool up() const noexcept { return up_; }
    [[nodiscard]] std::uint64_t acked() const noexcept { return acked_; }
    [[nodiscard]] std::size_t queued_bytes() const noexcept { return queue_.bytes(); }
    /// Nothing heard for the dead time and no session: the owner may forget this object.
    [[nodiscard]] bool idle(Instant now) const noexcept;

private:
    void reset(v1::Reset::Reason reason, std::string_view message, std::uint64_t session, Instant now);
    void end_session(std::string_view why, Instant now);

    v1::Welcome welcome_;
    LinkTimings timings_;
    std::size_t max_queued_;
    Events& events_;
    bool up_ = false;
    BatchQueue queue_;
    std::deque<std::string> unnumbered_;  // Reset and Refused, at most kMaxUnnumbered
    std::uint64_t session_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t acked_ = 0;
    std::uint64_t ack_sent_ = 0;
    Instant last_sent_{};
    Instant last_heard_{};
};

}  // namespace weft
