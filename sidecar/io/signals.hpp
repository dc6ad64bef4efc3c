// The signals that weftd answers, as something to poll.
#pragma once

namespace weft {

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and ignores SIGPIPE; make it before any other thread, so that all
/// inherit the mask. Throws std::system_error.
class Signals {
public:
    Signals();
    ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_; }  // readable when next() has something
    /// The next signal that came; 0 when there is none. Doesn't block.
    int next();

private:
    int fd_ = -1;
};

}  // namespace weft
