// A mutex in memory that processes share, which tells when its owner died.
//
// The kernel marks it when the owner's thread ends, however it ends, before the sockets of the process are closed and
// before its parent hears of it (man 2 get_robust_list). So there is no need for process ids, which come again, nor for
// waiting until nginx's master has reaped.
#pragma once

#include <pthread.h>

#include <cerrno>

namespace weft {

class RobustMutex {
public:
    enum class Lock {
        taken,
        inherited,  // taken, from an owner that died: what the mutex guards may be half done
        busy,       // not taken: the owner is alive
    };

    RobustMutex() noexcept {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&mutex_, &attributes);
        pthread_mutexattr_destroy(&attributes);
    }
    RobustMutex(const RobustMutex&) = delete;
    RobustMutex& operator=(const RobustMutex&) = delete;
    ~RobustMutex() = default;  // it may be owned, or its memory gone with the other processes

    /// Waits. Never busy.
    Lock lock() noexcept { return taken(pthread_mutex_lock(&mutex_)); }
    /// Doesn't. Busy too when this very thread owns it.
    Lock try_lock() noexcept { return taken(pthread_mutex_trylock(&mutex_)); }
    void unlock() noexcept { pthread_mutex_unlock(&mutex_); }

private:
    Lock taken(int result) noexcept {
        if (result != EOWNERDEAD) return result == 0 ? Lock::taken : Lock::busy;
        // Should we die too before all is in order, then the next one inherits it from us.
        pthread_mutex_consistent(&mutex_);
        return Lock::inherited;
    }

    pthread_mutex_t mutex_;
};

}  // namespace weft
