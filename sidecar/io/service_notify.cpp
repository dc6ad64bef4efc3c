#include "io/service_notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace weft {

ServiceNotify::ServiceNotify() {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (path == nullptr || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path);
    if (path[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ >= 0 && connect(fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        close(fd_);
        fd_ = -1;
    }
    if (const char* interval = std::getenv("WATCHDOG_USEC"); interval != nullptr) {
        pet_every_ = Instant::duration(std::strtoull(interval, nullptr, 10) / 2000);
    }
}

ServiceNotify::~ServiceNotify() {
    if (fd_ >= 0) close(fd_);
}

void ServiceNotify::send(std::string_view state) const {
    if (fd_ >= 0) (void)::send(fd_, state.data(), state.size(), MSG_NOSIGNAL);
}

void ServiceNotify::pet(Instant now) {
    if (pet_every_ == Instant::duration::zero() || now - petted_ < pet_every_) return;
    petted_ = now;
    send("WATCHDOG=1");
}

}  // namespace weft
