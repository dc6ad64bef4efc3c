#include "move/rendezvous_directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <system_error>

#include "move/rendezvous.hpp"

namespace weft {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

bool is_socket(int directory, const char* name) noexcept {
    struct stat file {};
    return ::fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(file.st_mode);
}

tl::unexpected<std::string> cannot(std::string_view what, const std::string& path, int error) {
    return tl::make_unexpected(std::string(what) + " \"" + path +
                               "\" failed: " + std::generic_category().message(error));
}

}  // namespace

std::optional<pid_t> pid_of_name(std::string_view name) noexcept {
    if (name.empty() || name.front() < '1' || name.front() > '9') return std::nullopt;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return pid;
}

bool has_ended(pid_t pid) noexcept {
    return ::kill(pid, 0) != 0 && errno == ESRCH;
}

tl::expected<RendezvousDirectory, std::string> RendezvousDirectory::open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd) return RendezvousDirectory(std::move(fd), path);
    const int error = errno;
    struct stat file {};
    if ((error == ENOTDIR || error == ELOOP) && ::lstat(path.c_str(), &file) == 0) {
        return tl::make_unexpected("\"" + path + "\" is " +
                                   (S_ISLNK(file.st_mode) ? "a symbolic link" : "something else") +
                                   ", expected a directory");
    }
    return cannot("opening the directory", path, error);
}

tl::expected<std::vector<RendezvousDirectory::Socket>, std::string> RendezvousDirectory::sockets() const {
    // A description of its own, so that each look begins at the first file.
    UniqueFd fd(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return cannot("opening the directory", path_, errno);
    const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd.get()));
    if (!directory) return cannot("reading the directory", path_, errno);
    (void)fd.release();
    std::vector<Socket> sockets;
    for (std::size_t i = 0; i < Rendezvous::kMaxEntries; ++i) {
        errno = 0;
        const dirent* const entry = ::readdir(directory.get());
        if (entry == nullptr && errno != 0) return cannot("reading the directory", path_, errno);
        if (entry == nullptr) break;
        std::string_view name = entry->d_name;
        const bool unfinished = name.ends_with(kUnfinished);
        if (unfinished) name.remove_suffix(kUnfinished.size());
        const auto pid = pid_of_name(name);
        if (pid && is_socket(fd_.get(), entry->d_name)) sockets.push_back({*pid, unfinished, entry->d_name});
    }
    return sockets;
}

void RendezvousDirectory::remove(const std::string& name) const noexcept {
    if (is_socket(fd_.get(), name.c_str())) ::unlinkat(fd_.get(), name.c_str(), 0);
}

}  // namespace weft
