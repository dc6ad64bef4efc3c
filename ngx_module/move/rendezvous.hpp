// Where processes of one user find each other: a directory in which each has a listening unix socket, named by its pid.
//
// Two things keep strangers out. The directory is its owner's alone (mode 0700), and both sides of a connection ask the
// kernel for the other's uid (SO_PEERCRED), which must be their own effective one. The kernel tells the one that a
// process had when it called listen() or connect(): so open() belongs in the process that is named, after setuid().
//
// A socket's name appears once it listens: it is bound as PID.new, and renamed. So who finds a name may connect.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "move/fd_channel.hpp"
#include "move/unique_fd.hpp"

namespace weft {

class Rendezvous {
public:
    /// Bytes that a directory's path may have: an address has 108, with its end, and the name that a socket is bound
    /// by.
    static constexpr std::size_t kMaxPath = 108 - sizeof "/2147483647.new";
    static constexpr std::size_t kMaxEntries = 65536;  // of a directory, that are looked at

    enum class ErrorKind {
        absent,    // nobody listens there
        busy,      // too many wait there to be accepted: try again later
        stranger,  // another user's process, with which the connection was closed
        failed,    // the system refuses; accept() will again, before something is closed or freed
    };
    struct Error {
        ErrorKind kind;
        std::string text;  // for a log
    };

    /// Somebody who has connected.
    struct Peer {
        FdChannel channel;
        pid_t pid;  // of who called connect()
    };

    /// Makes the directory `path` for `uid` and `gid` with mode 0700, or checks the one that is there: not a symbolic
    /// link, mode 0700, owned by `uid`, or by root, who then gives it away. Removes the sockets of processes that have
    /// ended (by the name PID or PID.new), and nothing else. For the process that starts the others, root or `uid`
    /// itself. The error names the path, what was wrong, and what was expected.
    static tl::expected<void, std::string> prepare(const std::string& path, uid_t uid, gid_t gid);

    /// Listens in the directory `path` under the name `pid`, which is the caller's own. A socket that is left there
    /// under this name is replaced.
    static tl::expected<Rendezvous, std::string> open(const std::string& path, pid_t pid);

    Rendezvous(Rendezvous&&) noexcept = default;
    Rendezvous& operator=(Rendezvous&&) = delete;
    /// Ends listening. The file is removed, unless another has taken its name.
    ~Rendezvous();

    /// For events: readable when somebody waits to be accepted.
    [[nodiscard]] int fd() const noexcept { return socket_.get(); }

    /// The next of those who wait, or none if nobody does. After `stranger` there may be others: ask again.
    tl::expected<std::optional<Peer>, Error> accept();

    /// The pids by which sockets are named in the directory `path`, but for `own`, in ascending order.
    static tl::expected<std::vector<pid_t>, std::string> others(const std::string& path, pid_t own);

    /// Connects with who listens in `path` under the name `pid`. A socket that nobody listens to is removed if there is
    /// no such process any more.
    static tl::expected<FdChannel, Error> connect(const std::string& path, pid_t pid);

private:
    Rendezvous(UniqueFd socket, std::string file, dev_t device, ino_t inode) noexcept
        : socket_(std::move(socket)), file_(std::move(file)), device_(device), inode_(inode) {}

    UniqueFd socket_;  // holds on to its inode, so that no other file gets the same number
    std::string file_;
    dev_t device_;
    ino_t inode_;
};

}  // namespace weft
