#include "io/wakeup.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace weft {

Wakeup::Wakeup() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Wakeup::~Wakeup() {
    close(fd_);
}

void Wakeup::ring() const noexcept {
    (void)eventfd_write(fd_, 1);  // it fails only where it is set already
}

void Wakeup::clear() const noexcept {
    eventfd_t count = 0;
    (void)eventfd_read(fd_, &count);
}

}  // namespace weft
