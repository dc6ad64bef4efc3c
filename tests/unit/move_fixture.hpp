// What tests of the sockets of moves need: descriptors counted and told apart, and processes that are somebody else.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>

#include "move/unique_fd.hpp"

namespace weft::test {

inline constexpr uid_t kNobody = 65534;

inline int open_descriptors() {
    int count = 0;
    DIR* const directory = ::opendir("/proc/self/fd");
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
    return count;
}

/// Each test ends with as many open descriptors as it began with.
class CountsDescriptors : public testing::Test {
protected:
    ~CountsDescriptors() override { EXPECT_EQ(open_descriptors(), before_); }

private:
    int before_ = open_descriptors();
};

/// A file without a name, which is known again by its inode.
inline UniqueFd some_file() {
    return UniqueFd(::memfd_create("some", MFD_CLOEXEC));
}

inline std::uint64_t inode_of(int fd) {
    struct stat file {};
    EXPECT_EQ(::fstat(fd, &file), 0);
    return file.st_ino;
}

/// What `work` says in a process of its own, 0 to 100. Nothing else of the test runs there.
template <typename Work>
int in_a_child(Work work) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        int said = 101;
        try {
            said = work();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        ::_exit(said);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A pid that no process has: of one that has just ended.
inline pid_t ended_process() {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    return child;
}

}  // namespace weft::test
