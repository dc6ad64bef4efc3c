#include "move/fd_channel.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace weft {

FdChannel::FdChannel(UniqueFd socket, std::size_t queue) noexcept
    : socket_(std::move(socket)), limit_(std::max(queue, FdFrame::kMaxSize)) {}

void FdChannel::refuse_more() noexcept {
    ::shutdown(socket_.get(), SHUT_RD);
    refusing_ = true;
}

tl::unexpected<FdChannel::Error> FdChannel::cannot_read(std::string why) {
    read_error_ = std::move(why);
    unclaimed_.clear();
    parser_ = {};
    return tl::make_unexpected(Error{ErrorKind::broken, read_error_});
}

tl::expected<FdChannel::Reading, FdChannel::Error> FdChannel::receive(std::size_t max_messages,
                                                                      const OnMessage& callback) {
    if (!read_error_.empty()) return tl::make_unexpected(Error{ErrorKind::broken, read_error_});
    std::size_t budget = kMaxBytesPerCall;
    for (std::size_t received = 0; received < max_messages;) {
        auto frame = parser_.next();
        if (!frame) return cannot_read("the peer sent " + frame.error());
        if (*frame) {
            auto message = message_of(**frame);
            if (!message) return tl::make_unexpected(std::move(message.error()));
            ++received;
            callback(std::move(*message));
            continue;
        }
        // What a descriptor comes with is read together with it.
        if (unclaimed_.size() > (parser_.empty() ? 0U : 1U)) {
            return cannot_read("the peer sent a descriptor that no message announces");
        }
        if (ended_) return Reading::ended;
        if (budget == 0) return Reading::more;
        auto reading = read_more(budget);
        if (!reading || *reading != Reading::more) return reading;
    }
    return Reading::more;
}

tl::expected<FdChannel::Message, FdChannel::Error> FdChannel::message_of(const FdFrame& frame) {
    Message message{frame.payload, {}, false};
    if (!frame.with_fd) return message;
    if (unclaimed_.empty()) return cannot_read("the peer sent a message without the descriptor that it announces");
    message.fd = std::move(unclaimed_.front());
    message.fd_lost = !message.fd;
    unclaimed_.erase(unclaimed_.begin());
    return message;
}

/// Reads once. `more`: bytes have come, and are with the parser.
tl::expected<FdChannel::Reading, FdChannel::Error> FdChannel::read_more(std::size_t& budget) {
    const std::span<char> room = parser_.room();
    iovec bytes{room.data(), std::min(room.size(), budget)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr header{};
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t size = 0;
    do {
        size = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Reading::waiting;
    if (size < 0 && errno == ECONNRESET) return cannot_read("the peer went away before it had read everything");
    if (size < 0) return cannot_read("recvmsg() failed: " + std::generic_category().message(errno));
    if (!take_descriptors(header)) return cannot_read("the peer sent several descriptors at once");
    if (size == 0) return at_the_end();
    parser_.filled(static_cast<std::size_t>(size));
    budget -= static_cast<std::size_t>(size);
    return Reading::more;
}

/// Owns what the kernel has installed, whatever it is. False when there is more than the one that a message may have.
bool FdChannel::take_descriptors(msghdr& header) {
    std::size_t installed = 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            unclaimed_.emplace_back(fd);
            ++installed;
        }
    }
    // There was room for one: what is cut off is one that this process could not have, or several.
    if ((header.msg_flags & MSG_CTRUNC) != 0) {
        if (installed > 0) return false;
        unclaimed_.emplace_back();
    }
    return installed <= 1;
}

tl::expected<FdChannel::Reading, FdChannel::Error> FdChannel::at_the_end() {
    // Who writes knows that the message isn't written, and goes on having what it is about.
    if (refusing_) {
        unclaimed_.clear();
        parser_ = {};
    }
    if (!parser_.empty()) return cannot_read("the peer went away in the middle of a message");
    ended_ = true;
    return Reading::ended;
}

}  // namespace weft
