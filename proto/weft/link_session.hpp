// The two ends of a link as state machines: numbered frames, batches, heartbeats, and what happens when one is missing.
// The rules stand in v1/link.proto. No sockets here: bytes and times in, bytes and events out.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "weft/batch_parser.hpp"
#include "weft/time.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

inline constexpr std::uint32_t kLinkVersion = 1;        // the newest that we speak
inline constexpr std::uint32_t kOldestLinkVersion = 1;  // and the oldest: at least the one before, for rolling upgrades
inline constexpr std::size_t kMaxBatchFrames = 1024;
inline constexpr std::size_t kMaxData =
    std::size_t{8} * 1024 * 1024;  // bytes of the data of one publication, signal or call
inline constexpr std::size_t kMaxBatchBytes =
    std::size_t{256} * 1024;  // a batch is closed once it reaches this; one frame may be larger

inline constexpr std::size_t kMaxUnnumbered = 8;                   // Resets and Refusals that wait for one dialer
inline constexpr std::chrono::milliseconds kMaxReopenDelay{5000};  // of a dialer whose sessions keep being reset

/// The frames of one direction of a session, numbered and packed into batches as they are queued.
class BatchQueue {
public:
    /// `frame` is an encoded v1::Frame. Returns its number. Copies the bytes once; pop() doesn't copy them again.
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
    std::string spare_;  // the buffer of a batch that has gone, for the next one
    std::size_t bytes_ = 0;
    std::uint64_t next_number_ = 1;
};

struct LinkTimings {
    std::chrono::milliseconds heartbeat{1000};  // each end sends something this often
    std::chrono::milliseconds dead{3000};       // silent this long: gone
    std::chrono::milliseconds refused_retry{10000};
};

/// The versions of the link protocol that an end speaks. A session is held in the newest that both ends do.
struct LinkVersions {
    std::uint32_t oldest = kOldestLinkVersion;
    std::uint32_t newest = kLinkVersion;

    [[nodiscard]] bool has(std::uint32_t version) const noexcept { return oldest <= version && version <= newest; }
    /// The newest of both; 0 when there is none.
    [[nodiscard]] std::uint32_t common(const LinkVersions& other) const noexcept;
    /// For people: "2", or "1 to 2".
    [[nodiscard]] std::string text() const;
};

/// The dialing end: an nginx worker's link to weftd, or a weftd's link to a peer.
///
/// A session that is reset, or found broken, is followed by a new one at once; from the second time in a row there is
/// a pause before it, doubling from one heartbeat to kMaxReopenDelay. "In a row": the session did not last for `dead`.
/// After a Bye the dialer pauses for a heartbeat, unless the transport connects anew.
///
/// Callbacks come from within on_* calls only, and may call send() and close() but not on_*.
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
        /// The listener will not serve this dialer, or (a Refused made here) it speaks a version that we don't; called
        /// once per refusal. State is `refused`; tried again after refused_retry, or when the transport reconnects.
        virtual void on_link_refused(const v1::Refused& refused, Instant now) = 0;
    };

    /// `hello` is sent at the start of each session (its version fields are set here). `random` gives 64 random bits.
    /// `events` must outlive this.
    LinkDialer(v1::Hello hello, LinkTimings timings, std::function<std::uint64_t()> random, Events& events,
               LinkVersions versions = {});

    void on_connected(Instant now);                           ///< the transport connected (again): opens a session
    void on_disconnected(std::string_view why, Instant now);  ///< the transport lost its connection
    void on_message(std::string_view bytes, Instant now);     ///< one ZeroMQ message arrived
    /// Call at least every heartbeat / 4; after a pause of the process, on_message for all that waits comes first.
    void on_tick(Instant now);

    /// Queues a frame; returns its number, or 0 when no session is up (and nothing was queued). The queue has no bound
    /// of its own: whoever sends looks at queued_bytes().
    std::uint64_t send(const v1::Frame& frame);
    /// The same for a frame that is encoded already.
    std::uint64_t send_encoded(std::string_view frame);

    /// Whether next_batch has something to send: queued frames, a due heartbeat, a Hello.
    [[nodiscard]] bool wants_send(Instant now) const noexcept;
    /// Puts the next ZeroMQ message to send into `out`; false when there is none. A message that the transport then
    /// can't take is lost (the numbering will tell), so ask only when it can.
    bool next_batch(std::string& out, Instant now);

    /// Ends the session politely: queues Bye. Send what next_batch still gives, then close. Calls nothing back: who
    /// closes knows. on_connected opens it again.
    void close(Instant now);

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] bool up() const noexcept { return state_ == State::up; }
    /// Highest number of our frames that the listener has handled.
    [[nodiscard]] std::uint64_t acked() const noexcept { return acked_; }
    [[nodiscard]] std::size_t queued_bytes() const noexcept { return queue_.bytes(); }

private:
    [[nodiscard]] bool in_session() const noexcept { return state_ == State::greeting || state_ == State::up; }
    void open_session(Instant now);
    void end_session(std::string_view why, Instant now);
    void reopen(std::string_view why, Instant now);
    void refuse(const v1::Refused& refused, Instant now);
    void handle_unnumbered(const v1::Frame& frame, Instant now);
    void handle_welcome(const v1::Frame& frame, Instant now);

    v1::Hello hello_;
    LinkTimings timings_;
    LinkVersions versions_;
    std::function<std::uint64_t()> random_;
    Events& events_;
    State state_ = State::down;
    bool connected_ = false;
    bool closing_ = false;                 // closed, and the queue not yet sent
    std::chrono::milliseconds heartbeat_;  // of this session: the listener's Welcome says
    std::chrono::milliseconds dead_;
    unsigned failures_ = 0;  // sessions in a row that broke soon
    std::string scratch_;
    BatchParser batch_;  // the one that is read now
    BatchQueue queue_;
    std::uint64_t session_ = 0;
    std::uint64_t received_ = 0;  // highest number received
    std::uint64_t acked_ = 0;
    std::uint64_t ack_sent_ = 0;
    Instant last_sent_{};
    Instant last_heard_{};
    Instant opened_at_{};
    Instant retry_at_{};
};

/// The listening end of one dialer's link. The owner keeps one per ZeroMQ routing id.
///
/// Callbacks come from within on_* calls only, and may call send() and close() but not on_*. So when send() overflows,
/// on_dialer_down comes with the next on_* call (on_tick at the latest); up() is false at once.
class LinkListener {
public:
    class Events {
    public:
        virtual ~Events() = default;
        /// Hello came and is acceptable: return the empty string. Return a sentence to turn the dialer away: it gets
        /// Refused with that sentence, and on_dialer_down doesn't follow. send() works within, behind the Welcome.
        virtual std::string on_dialer_up(const v1::Hello& hello, Instant now) = 0;
        virtual void on_dialer_down(std::string_view why, Instant now) = 0;
        virtual void on_dialer_frame(v1::Frame& frame, Instant now) = 0;
        /// A dialer was refused or reset; for the log.
        virtual void on_dialer_rejected(std::string_view why, Instant now) = 0;
    };

    /// `welcome` is sent at the start of each session (version and timings are filled in here). `max_queued` bounds
    /// the bytes waiting for this dialer; beyond it the session is reset with OVERFLOW. (A single frame that is larger
    /// passes when nothing else waits, else such a frame would reset the session for ever.)
    LinkListener(v1::Welcome welcome, LinkTimings timings, std::size_t max_queued, Events& events,
                 LinkVersions versions = {});

    void on_message(std::string_view bytes, Instant now);
    void on_unreachable(Instant now);  ///< the transport says that this dialer is gone
    void on_tick(Instant now);

    /// `frame` is an encoded v1::Frame. False when no session is up, or when this push overflowed it (it is down then).
    bool send(std::string_view frame, Instant now);

    [[nodiscard]] bool wants_send(Instant now) const noexcept;
    bool next_batch(std::string& out, Instant now);

    /// Queues Bye and ends the session. Calls nothing back: who closes knows. Nobody is served after that.
    void close(Instant now);

    [[nodiscard]] bool up() const noexcept { return up_; }
    [[nodiscard]] std::uint64_t acked() const noexcept { return acked_; }
    [[nodiscard]] std::size_t queued_bytes() const noexcept { return queue_.bytes(); }
    /// Nothing heard for the dead time and no session: the owner may forget this object.
    [[nodiscard]] bool idle(Instant now) const noexcept;

private:
    void greet(const v1::Hello& hello, std::uint64_t session, Instant now);
    void reset(v1::Reset::Reason reason, std::string_view message, Instant now);
    void refuse(std::string_view message, std::uint64_t session, Instant now);
    void queue_unnumbered(const v1::Frame& frame, std::uint64_t session);
    void end_session(std::string_view why, Instant now);
    void report_overflow(Instant now);

    v1::Welcome welcome_;
    LinkTimings timings_;
    std::size_t max_queued_;
    LinkVersions versions_;
    Events& events_;
    bool up_ = false;
    bool closed_ = false;
    bool overflowed_ = false;  // on_dialer_down is still owed
    BatchParser batch_;        // the one that is read now
    BatchQueue queue_;
    struct Unnumbered {
        std::uint64_t session;
        std::string batch;  // encoded
    };
    std::deque<Unnumbered> unnumbered_;  // Reset and Refused, at most kMaxUnnumbered
    std::uint64_t session_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t acked_ = 0;
    std::uint64_t ack_sent_ = 0;
    Instant last_sent_{};
    Instant last_heard_{};
};

}  // namespace weft
