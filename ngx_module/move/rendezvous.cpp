#include "move/rendezvous.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "move/rendezvous_directory.hpp"

namespace weft {
namespace {

constexpr int kBacklog = 1024;  // who may wait to be accepted; the kernel takes its own limit if that is less

std::string failed(const std::string& what, const std::string& path) {
    return what + " \"" + path + "\" failed: " + std::generic_category().message(errno);
}

std::string octal(mode_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
    return text;
}

tl::expected<void, std::string> check_length(const std::string& path) {
    if (path.size() <= Rendezvous::kMaxPath) return {};
    return tl::make_unexpected("the path \"" + path + "\" is too long for unix sockets in it: it has " +
                               std::to_string(path.size()) + " bytes, expected at most " +
                               std::to_string(Rendezvous::kMaxPath));
}

/// Of a file whose path check_length() has found short enough.
sockaddr_un address_of(const std::string& file) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    file.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

UniqueFd unix_socket() noexcept {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/// Who is at the other end, provided that it is this process' user.
tl::expected<pid_t, Rendezvous::Error> check_peer(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return tl::make_unexpected(
            Rendezvous::Error{Rendezvous::ErrorKind::stranger,
                              "the peer's credentials are not known: " + std::generic_category().message(errno)});
    }
    if (peer.uid != ::geteuid()) {
        return tl::make_unexpected(
            Rendezvous::Error{Rendezvous::ErrorKind::stranger, "process " + std::to_string(peer.pid) + " has uid " +
                                                                   std::to_string(peer.uid) + ", expected " +
                                                                   std::to_string(::geteuid())});
    }
    return peer.pid;
}

/// The owner and the mode of a directory, which was made just now or found.
tl::expected<void, std::string> own(int directory, const std::string& path, uid_t uid, gid_t gid, bool made) {
    struct stat found {};
    if (::fstat(directory, &found) != 0) return tl::make_unexpected(failed("looking at", path));
    if (made) {  // the umask may have taken bits away
        if (::fchmod(directory, 0700) != 0) return tl::make_unexpected(failed("setting the mode of", path));
    } else if ((found.st_mode & 07777) != 0700) {
        return tl::make_unexpected("the directory \"" + path + "\" has mode " + octal(found.st_mode) +
                                   ", expected 0700");
    }
    if (found.st_uid == uid) return {};
    if (found.st_uid != 0 && !made) {
        return tl::make_unexpected("the directory \"" + path + "\" is owned by uid " + std::to_string(found.st_uid) +
                                   ", expected " + std::to_string(uid));
    }
    if (::fchown(directory, uid, gid) != 0) {
        return tl::make_unexpected(failed("giving uid " + std::to_string(uid) + " the directory", path));
    }
    return {};
}

}  // namespace

tl::expected<void, std::string> Rendezvous::prepare(const std::string& path, uid_t uid, gid_t gid) {
    if (auto fits = check_length(path); !fits) return fits;
    const bool made = ::mkdir(path.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) return tl::make_unexpected(failed("making the directory", path));
    const auto directory = RendezvousDirectory::open(path);
    if (!directory) return tl::make_unexpected(directory.error());
    if (auto owned = own(directory->fd(), path, uid, gid, made); !owned) return owned;
    const auto sockets = directory->sockets();
    if (!sockets) return tl::make_unexpected(sockets.error());
    for (const auto& socket : *sockets) {
        if (has_ended(socket.pid)) directory->remove(socket.name);
    }
    return {};
}

tl::expected<Rendezvous, std::string> Rendezvous::open(const std::string& path, pid_t pid) {
    if (const auto fits = check_length(path); !fits) return tl::make_unexpected(fits.error());
    const auto directory = RendezvousDirectory::open(path);
    if (!directory) return tl::make_unexpected(directory.error());
    const std::string name = std::to_string(pid);
    const std::string file = path + "/" + name;
    const std::string unfinished = file + std::string(kUnfinished);

    struct stat old {};
    if (::lstat(file.c_str(), &old) == 0 && !S_ISSOCK(old.st_mode)) {
        return tl::make_unexpected("\"" + file + "\" is something else, expected a socket or nothing");
    }
    directory->remove(name + std::string(kUnfinished));
    UniqueFd socket = unix_socket();
    if (!socket) return tl::make_unexpected(failed("making a socket for", file));
    const sockaddr_un address = address_of(unfinished);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return tl::make_unexpected(failed("binding a socket to", unfinished));
    }
    struct stat bound {};
    if (::lstat(unfinished.c_str(), &bound) != 0 || ::chmod(unfinished.c_str(), 0600) != 0 ||
        ::listen(socket.get(), kBacklog) != 0 || ::rename(unfinished.c_str(), file.c_str()) != 0) {
        std::string error = failed("listening as", file);
        directory->remove(name + std::string(kUnfinished));
        return tl::make_unexpected(std::move(error));
    }
    return Rendezvous(std::move(socket), file, bound.st_dev, bound.st_ino);
}

Rendezvous::~Rendezvous() {
    if (!socket_) return;
    // Before the socket is closed: then who finds the name always finds somebody listening.
    struct stat found {};
    if (::lstat(file_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) {
        ::unlink(file_.c_str());
    }
}

tl::expected<std::optional<Rendezvous::Peer>, Rendezvous::Error> Rendezvous::accept() {
    int fd = -1;
    do {
        fd = ::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
    if (fd < 0) return tl::make_unexpected(Error{ErrorKind::failed, failed("accepting at", file_)});
    UniqueFd socket(fd);
    const auto pid = check_peer(socket.get());
    if (!pid) return tl::make_unexpected(Error{pid.error().kind, "refused at \"" + file_ + "\": " + pid.error().text});
    return Peer{FdChannel(std::move(socket)), *pid};
}

tl::expected<std::vector<pid_t>, std::string> Rendezvous::others(const std::string& path, pid_t own) {
    const auto directory = RendezvousDirectory::open(path);
    if (!directory) return tl::make_unexpected(directory.error());
    const auto sockets = directory->sockets();
    if (!sockets) return tl::make_unexpected(sockets.error());
    std::vector<pid_t> pids;
    for (const auto& socket : *sockets) {
        if (!socket.unfinished && socket.pid != own) pids.push_back(socket.pid);
    }
    std::sort(pids.begin(), pids.end());
    return pids;
}

tl::expected<FdChannel, Rendezvous::Error> Rendezvous::connect(const std::string& path, pid_t pid) {
    const auto error = [](ErrorKind kind, std::string text) {
        return tl::make_unexpected(Error{kind, std::move(text)});
    };
    if (const auto fits = check_length(path); !fits) return error(ErrorKind::failed, fits.error());
    const std::string file = path + "/" + std::to_string(pid);
    UniqueFd socket = unix_socket();
    if (!socket) return error(ErrorKind::failed, failed("making a socket for", file));
    const sockaddr_un address = address_of(file);
    int result = -1;
    do {
        result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        const int reason = errno;
        const std::string text = failed("connecting to", file);
        if (reason == ECONNREFUSED && has_ended(pid)) {
            if (const auto directory = RendezvousDirectory::open(path)) directory->remove(std::to_string(pid));
        }
        if (reason == ENOENT || reason == ECONNREFUSED) return error(ErrorKind::absent, text);
        return error(reason == EAGAIN ? ErrorKind::busy : ErrorKind::failed, text);
    }
    const auto peer = check_peer(socket.get());
    if (!peer) return error(peer.error().kind, "refused \"" + file + "\": " + peer.error().text);
    return FdChannel(std::move(socket));
}

}  // namespace weft
