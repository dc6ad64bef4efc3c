// Messages with at most one file descriptor each, both ways over a non-blocking unix stream socket.
//
// Who owns a descriptor that is sent. The caller keeps its own in every case, and may close it as soon as send() has
// returned. What travels is a duplicate: the kernel's, made while sending, or, when the socket takes nothing at the
// moment, one of ours (dup) until it does. So queued descriptors count towards RLIMIT_NOFILE; kMaxQueuedFds bounds
// them. A descriptor that arrives belongs to who gets the message. No path leaves one open that nobody owns: ending the
// channel closes what was queued, and what had arrived for messages that never became whole.
//
// Who has a message, when a side is to take it back. A message is its receiver's once the socket has taken all of it;
// written() counts these. After refuse_more() the socket takes nothing more from the peer, and what it had taken can
// still be received: then everything that the peer counts as written has been received here, and nothing else has.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "move/fd_frame.hpp"
#include "move/unique_fd.hpp"

namespace weft {

class FdChannel {
public:
    static constexpr std::size_t kDefaultQueue = 2 * FdFrame::kMaxSize;    // bytes
    static constexpr std::size_t kMaxQueuedFds = 256;                      // descriptors
    static constexpr std::size_t kMaxBytesPerCall = std::size_t{1} << 20;  // moved by one flush() or receive()

    enum class ErrorKind {
        too_large,   // the message has more than kMaxMessage bytes; nothing has changed
        full,        // it doesn't fit into the queue now (room()); nothing has changed
        descriptor,  // it can't be sent, or not be duplicated (EMFILE); nothing has changed
        broken,      // this direction works no more, and every later call says so again; the other one may
    };
    struct Error {
        ErrorKind kind;
        std::string text;  // for a log
    };

    /// What is to be done for the rest of the queue.
    enum class Flow {
        drained,  // nothing: there is no rest
        blocked,  // flush() when the socket is writable
        again,    // flush() soon, without waiting for an event: none may come. kMaxBytesPerCall was reached, or the
                  // kernel has too many descriptors of this user under way (ETOOMANYREFS) or too little memory
    };

    struct Message {
        std::string_view text;  // until the callback returns
        UniqueFd fd;            // close-on-exec; none if none was sent, or if it was lost
        bool fd_lost = false;   // one was sent, and this process had no place for it (EMFILE)
    };
    /// Must neither end the channel nor receive from it; may send.
    using OnMessage = std::function<void(Message)>;

    enum class Reading {
        waiting,  // for the peer: receive() when the socket is readable
        more,     // a bound was reached: receive() again without waiting for an event
        ended,    // the peer sends nothing more, and all that it sent has been received
    };

    /// Over `socket`, a non-blocking unix stream socket, of which nothing has been read or written. Its queue takes
    /// `queue` bytes, but at least a message of kMaxMessage.
    explicit FdChannel(UniqueFd socket, std::size_t queue = kDefaultQueue) noexcept;

    /// For events.
    [[nodiscard]] int fd() const noexcept { return socket_.get(); }

    /// Sends `message`, and with it a duplicate of `fd` unless that is -1: behind what is queued, and as much as the
    /// socket takes at once, without a copy. The rest is queued. Without an error, the message is on its way.
    tl::expected<Flow, Error> send(std::string_view message, int fd = -1);

    /// Writes as much of the queue as the socket takes, kMaxBytesPerCall and a little at most.
    tl::expected<Flow, Error> flush();

    /// Bytes that are queued, heads included.
    [[nodiscard]] std::size_t pending() const noexcept { return pending_; }
    /// The size of the largest message that send() takes now; none when not even an empty one.
    [[nodiscard]] std::optional<std::size_t> room() const noexcept;
    /// How many messages the socket has taken, all of each. Also counts after an error.
    [[nodiscard]] std::uint64_t written() const noexcept { return written_; }

    /// Hands the messages that are there to `callback`, `max_messages` (not 0) and those of kMaxBytesPerCall at most.
    /// An error when what the peer sends makes no sense, or it went away within a message or with ours unread.
    tl::expected<Reading, Error> receive(std::size_t max_messages, const OnMessage& callback);

    /// From here on the peer's writing fails (EPIPE). What it wrote before can be received; a message of which it had
    /// written only a part is dropped then, and the channel has ended. A peer that waits to be able to write is woken
    /// by that reading, not by this call: so receive() until it has ended.
    void refuse_more() noexcept;

private:
    struct Queued {
        std::string bytes;  // the frame, or what the socket hasn't taken of it
        std::size_t offset = 0;
        UniqueFd fd;
    };
    tl::expected<Flow, Error> cannot_write(int error);
    tl::expected<void, Error> enqueue(std::string_view head, std::string_view message, std::size_t taken, int fd);

    tl::expected<Reading, Error> read_more(std::size_t& budget);
    [[nodiscard]] bool take_descriptors(msghdr& header);
    tl::expected<Message, Error> message_of(const FdFrame& frame);
    tl::expected<Reading, Error> at_the_end();
    tl::unexpected<Error> cannot_read(std::string why);

    UniqueFd socket_;
    std::size_t limit_;

    std::deque<Queued> queue_;
    std::size_t pending_ = 0;
    std::size_t queued_fds_ = 0;
    std::uint64_t written_ = 0;
    std::string write_error_;  // empty while it works; the same for read_error_

    FdFrameParser parser_;
    // Arrived, for messages that aren't whole yet or not handed over; one that was lost is a place without one. Reading
    // waits until no whole message is left, so that there are two at most: the one of the message that was cut, and the
    // one that ends a read, as control data does.
    std::vector<UniqueFd> unclaimed_;
    std::string read_error_;
    bool refusing_ = false;
    bool ended_ = false;
};

}  // namespace weft
