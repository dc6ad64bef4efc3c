#include "ngx/zone_members.hpp"

namespace weft {

bool ZoneMembers::enter(std::string_view channel, std::uint32_t most) {
    using Verdict = ConnectionCounts::Verdict;
    const ConnectionKey key = channel_key(channel);
    Verdict verdict = Verdict::admitted;
    {
        LockedZone zone(zone_);
        verdict = zone.connections().enter(seat_, key, most);
        if (verdict != Verdict::admitted && zone.retire_dead()) verdict = zone.connections().enter(seat_, key, most);
    }
    const std::time_t now = ngx_time();
    if (verdict == Verdict::full && (complained_ == 0 || now - complained_ >= kComplaintInterval)) {
        complained_ = now;
        ngx_log_error(NGX_LOG_ERR, log_, 0,
                      "weft: \"weft_zone\" is full, so that nobody comes into channels whose \"max_members\" can't be "
                      "counted, expected more than %uz bytes",
                      zone_->shm.size);
    }
    return verdict == Verdict::admitted;
}

void ZoneMembers::leave(std::string_view channel) noexcept {
    const ConnectionKey key = channel_key(channel);
    LockedZone(zone_).connections().leave(seat_, key);
}

}  // namespace weft
