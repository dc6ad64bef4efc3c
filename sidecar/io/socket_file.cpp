#include "io/socket_file.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "io/start_error.hpp"

namespace weft {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
    throw StartError(path + ": " + what);
}

/// 0 when somebody accepts connections at `path`, else the error of connect().
int try_to_connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    const int error = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    close(fd);
    return error;
}

void make_folder(const std::string& path) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    std::error_code error;
    if (std::filesystem::is_directory(folder, error)) return;
    const mode_t before = umask(0022);
    std::filesystem::create_directories(folder, error);
    umask(before);
    if (error) fail(path, "can't make its folder: " + error.message());
}

void remove_stale(const std::string& path) {
    struct stat found {};
    if (lstat(path.c_str(), &found) != 0) {
        if (errno == ENOENT) return;
        fail(path, std::string("can't be looked at: ") + std::strerror(errno));
    }
    if (!S_ISSOCK(found.st_mode))
        fail(path, "is not a socket; expected a free path, or the socket of a weftd that is gone");
    const int error = try_to_connect(path);
    if (error == 0 || error == EAGAIN) fail(path, "another process answers on this socket; is weftd running already?");
    if (error != ECONNREFUSED) fail(path, std::string("can't tell whether somebody uses it: ") + std::strerror(error));
    if (unlink(path.c_str()) != 0) fail(path, std::string("can't remove a stale socket: ") + std::strerror(errno));
}

gid_t group_id(const std::string& path, const std::string& name) {
    errno = 0;
    const group* found = getgrnam(name.c_str());
    if (found == nullptr) fail(path, "there is no group \"" + name + "\"");
    return found->gr_gid;
}

}  // namespace

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
    make_folder(path_);
    remove_stale(path_);
    umask_ = umask(0177);
    narrowed_ = true;
}

SocketFile::~SocketFile() {
    restore_umask();
    struct stat found {};
    if (settled_ && lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) {
        unlink(path_.c_str());
    }
}

void SocketFile::settle(mode_t mode, const std::string& group) {
    restore_umask();
    struct stat found {};
    if (lstat(path_.c_str(), &found) != 0) fail(path_, std::string("is gone after the bind: ") + std::strerror(errno));
    device_ = found.st_dev;
    inode_ = found.st_ino;
    settled_ = true;
    if (!group.empty() && chown(path_.c_str(), static_cast<uid_t>(-1), group_id(path_, group)) != 0) {
        fail(path_, "can't be given to group \"" + group + "\": " + std::strerror(errno) +
                        "; expected weftd to be a member of it, or root");
    }
    if (chmod(path_.c_str(), mode) != 0) fail(path_, std::string("can't set its mode: ") + std::strerror(errno));
}

void SocketFile::remove_if_stale(const std::string& path) noexcept {
    try {
        remove_stale(path);
    } catch (const std::exception&) {
        // It is somebody's, or nobody's concern.
    }
}

void SocketFile::restore_umask() {
    if (narrowed_) umask(umask_);
    narrowed_ = false;
}

}  // namespace weft
