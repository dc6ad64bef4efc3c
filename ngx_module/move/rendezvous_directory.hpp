// What stands in a Rendezvous' directory.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "move/unique_fd.hpp"

namespace weft {

/// What a socket is bound by before it listens.
inline constexpr std::string_view kUnfinished = ".new";

/// The pid that a file's name is, as we write it (no zeros before it, nothing behind it); none if it is something else.
std::optional<pid_t> pid_of_name(std::string_view name) noexcept;

/// Whether there is no process `pid`.
bool has_ended(pid_t pid) noexcept;

/// A look at a directory, which stays the same one whatever happens to its path.
class RendezvousDirectory {
public:
    struct Socket {
        pid_t pid;
        bool unfinished;
        std::string name;
    };

    /// Opens `path`, unless it is a symbolic link or no directory.
    static tl::expected<RendezvousDirectory, std::string> open(const std::string& path);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// The sockets that are named by a pid, among the first Rendezvous::kMaxEntries files.
    [[nodiscard]] tl::expected<std::vector<Socket>, std::string> sockets() const;

    /// Removes this file if it is a socket. Nobody minds if it isn't there.
    void remove(const std::string& name) const noexcept;

private:
    RendezvousDirectory(UniqueFd fd, std::string path) noexcept : fd_(std::move(fd)), path_(std::move(path)) {}

    UniqueFd fd_;
    std::string path_;
};

}  // namespace weft
