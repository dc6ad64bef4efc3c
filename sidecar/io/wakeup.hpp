// Something to poll that another thread can set off.
#pragma once

namespace weft {

class Wakeup {
public:
    Wakeup();  ///< throws std::system_error
    ~Wakeup();
    Wakeup(const Wakeup&) = delete;
    Wakeup& operator=(const Wakeup&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_; }  // readable after ring(), until clear()
    void ring() const noexcept;                            ///< from any thread
    void clear() const noexcept;

private:
    int fd_ = -1;
};

}  // namespace weft
