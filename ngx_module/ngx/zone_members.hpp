// Members of bounded channels, counted in the zone.
#pragma once

#include <ctime>

#include "gateway/shared_limits.hpp"
#include "ngx/zone.hpp"

namespace weft {

/// Takes the zone's lock for each connection that enters or leaves a channel whose rule has max_members; channels
/// without it don't come here.
class ZoneMembers final : public ChannelMembers {
public:
    /// `zone` and `counters`, this worker's in it, must outlive it.
    ZoneMembers(ngx_shm_zone_t* zone, const Counters* counters, ngx_log_t* log) noexcept
        : zone_(zone), log_(log), seat_(LockedZone(zone).seat_of(counters)) {}

    bool enter(std::string_view channel, std::uint32_t most) override;
    void leave(std::string_view channel) noexcept override;

private:
    static constexpr std::time_t kComplaintInterval = 60;  // seconds

    ngx_shm_zone_t* zone_;
    ngx_log_t* log_;
    std::size_t seat_;
    std::time_t complained_ = 0;  // when the log last heard that the zone is full
};

}  // namespace weft
