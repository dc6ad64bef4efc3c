// The file of a unix socket: who may have it, with which rights, and that it goes when weftd goes.
#pragma once

#include <sys/types.h>

#include <string>

namespace weft {

/// ZeroMQ unlinks whatever stands at the path before it binds, a living server's socket too, so that is looked at
/// first.
class SocketFile {
public:
    /// Before the bind: makes the folder (0755) if it is missing and removes a socket on which nobody answers. Narrows
    /// the process's umask until settle(), so that nobody connects before the rights are set. Throws StartError when
    /// somebody answers, when the path is something else than a socket, or when the system says no.
    explicit SocketFile(std::string path);
    /// Removes the file, unless somebody else's stands there by now.
    ~SocketFile();
    SocketFile(const SocketFile&) = delete;
    SocketFile& operator=(const SocketFile&) = delete;

    /// After the bind. An empty group leaves it as it is. Throws StartError.
    void settle(mode_t mode, const std::string& group);

    /// Removes a socket on which nobody answers; leaves anything else.
    static void remove_if_stale(const std::string& path) noexcept;

private:
    void restore_umask();

    std::string path_;
    mode_t umask_ = 0;
    bool narrowed_ = false;
    bool settled_ = false;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace weft
