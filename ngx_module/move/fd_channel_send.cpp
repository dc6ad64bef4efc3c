// The half of FdChannel that writes.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "move/fd_channel.hpp"

namespace weft {
namespace {

/// Writes what it can of both, and with their first byte `fd`.
ssize_t send_parts(int socket, std::string_view head, std::string_view rest, int fd) noexcept {
    // sendmsg() doesn't write to what it is given.
    iovec parts[2] = {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(rest.data()), rest.size()}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    msghdr header{};
    header.msg_iov = parts;
    header.msg_iovlen = 2;
    if (fd >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        cmsghdr* const rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    ssize_t size = 0;
    do {
        size = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    return size;
}

}  // namespace

std::optional<std::size_t> FdChannel::room() const noexcept {
    if (queued_fds_ >= kMaxQueuedFds || limit_ - pending_ < FdFrame::kHead) return std::nullopt;
    return std::min(limit_ - pending_ - FdFrame::kHead, kMaxMessage);
}

tl::expected<FdChannel::Flow, FdChannel::Error> FdChannel::send(std::string_view message, int fd) {
    if (!write_error_.empty()) return tl::make_unexpected(Error{ErrorKind::broken, write_error_});
    if (message.size() > kMaxMessage) {
        return tl::make_unexpected(Error{ErrorKind::too_large, "a message of " + std::to_string(message.size()) +
                                                                   " bytes, expected at most " +
                                                                   std::to_string(kMaxMessage)});
    }
    if (const auto most = room(); !most || message.size() > *most) {
        return tl::make_unexpected(Error{ErrorKind::full, "too much waits for the peer already"});
    }
    const auto head_bytes = FdFrame::head(message.size(), fd >= 0);
    const std::string_view head(head_bytes.data(), head_bytes.size());
    std::size_t taken = 0;
    if (queue_.empty()) {
        const ssize_t size = send_parts(socket_.get(), head, message.substr(0, kMaxBytesPerCall), fd);
        if (size < 0) {
            const int error = errno;
            if (fd >= 0 && (error == EBADF || error == EINVAL)) {
                return tl::make_unexpected(
                    Error{ErrorKind::descriptor, "the descriptor " + std::to_string(fd) +
                                                     " can't be sent: " + std::generic_category().message(error)});
            }
            auto flow = cannot_write(error);
            if (!flow) return flow;
            if (const auto queued = enqueue(head, message, 0, fd); !queued) return tl::make_unexpected(queued.error());
            return flow;
        }
        taken = static_cast<std::size_t>(size);
        if (taken == head.size() + message.size()) {
            ++written_;
            return Flow::drained;
        }
    }
    // The descriptor goes with the first byte.
    if (const auto queued = enqueue(head, message, taken, taken > 0 ? -1 : fd); !queued) {
        return tl::make_unexpected(queued.error());
    }
    return flush();
}

/// Queues what the socket hasn't `taken`, and a duplicate of `fd`.
tl::expected<void, FdChannel::Error> FdChannel::enqueue(std::string_view head, std::string_view message,
                                                        std::size_t taken, int fd) {
    UniqueFd duplicate;
    if (fd >= 0) {
        duplicate.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!duplicate) {
            return tl::make_unexpected(
                Error{ErrorKind::descriptor, "the descriptor " + std::to_string(fd) +
                                                 " can't be queued: " + std::generic_category().message(errno)});
        }
        ++queued_fds_;
    }
    std::string bytes;
    bytes.reserve(head.size() + message.size() - taken);
    bytes.append(head.substr(std::min(taken, head.size())));
    bytes.append(message.substr(taken - std::min(taken, head.size())));
    pending_ += bytes.size();
    queue_.push_back({std::move(bytes), 0, std::move(duplicate)});
    return {};
}

tl::expected<FdChannel::Flow, FdChannel::Error> FdChannel::flush() {
    if (!write_error_.empty()) return tl::make_unexpected(Error{ErrorKind::broken, write_error_});
    for (std::size_t budget = kMaxBytesPerCall; !queue_.empty();) {
        if (budget == 0) return Flow::again;
        Queued& first = queue_.front();
        const std::string_view rest = std::string_view(first.bytes).substr(first.offset);
        const ssize_t size = send_parts(socket_.get(), rest.substr(0, budget), {}, first.fd.get());
        if (size < 0) return cannot_write(errno);
        const auto taken = static_cast<std::size_t>(size);
        if (first.fd) {
            first.fd.reset();
            --queued_fds_;
        }
        pending_ -= taken;
        budget -= taken;
        first.offset += taken;
        if (taken == rest.size()) {
            ++written_;
            queue_.pop_front();
        }
    }
    return Flow::drained;
}

/// What `error`, an errno of sendmsg(), means for what has not been written.
tl::expected<FdChannel::Flow, FdChannel::Error> FdChannel::cannot_write(int error) {
    if (error == EAGAIN || error == EWOULDBLOCK) return Flow::blocked;
    if (error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM) return Flow::again;
    write_error_ = error == EPIPE || error == ECONNRESET
                       ? "the peer reads no more"
                       : "sendmsg() failed: " + std::generic_category().message(error);
    queue_.clear();
    queue_.shrink_to_fit();
    pending_ = 0;
    queued_fds_ = 0;
    return tl::make_unexpected(Error{ErrorKind::broken, write_error_});
}

}  // namespace weft
