// What systemd wants to hear from a Type=notify service (sd_notify(3)): a datagram to $NOTIFY_SOCKET. Without that
// variable all of it does nothing.
#pragma once

#include <string_view>

#include "weft/time.hpp"

namespace weft {

class ServiceNotify {
public:
    /// Reads NOTIFY_SOCKET and WATCHDOG_USEC.
    ServiceNotify();
    ~ServiceNotify();
    ServiceNotify(const ServiceNotify&) = delete;
    ServiceNotify& operator=(const ServiceNotify&) = delete;

    /// `state` is newline-separated assignments: "READY=1", "STOPPING=1". Errors are ignored: nobody could act on them.
    void send(std::string_view state) const;

    /// Call in every turn of the loop: pets the watchdog at half its interval.
    void pet(Instant now);

private:
    int fd_ = -1;
    Instant::duration pet_every_{};  // 0: no watchdog
    Instant petted_{};
};

}  // namespace weft
