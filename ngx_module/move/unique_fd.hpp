// A file descriptor that has one owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace weft {

/// Closes its descriptor when it ends, unless somebody has taken it.
class UniqueFd {
public:
    UniqueFd() noexcept = default;
    /// Owns `fd` from here on; -1 is none.
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(other.release());
        return *this;
    }
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Gives it away: the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd);
        // Linux has let go of the descriptor even where close() says EINTR.
        if (old >= 0) ::close(old);
    }

private:
    int fd_ = -1;
};

}  // namespace weft
