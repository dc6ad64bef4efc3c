// weft_connections: whether there is room for one more connection.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>

#include "codec/message.hpp"
#include "limit/connection_counts.hpp"
#include "ngx/ngx.hpp"
#include "ngx/zone.hpp"

namespace weft {

/// What some location of a configuration limits, so that connections are counted by it in all locations. What nobody
/// limits isn't counted.
struct CountedKinds {
    bool any = false;
    bool addresses = false;
    bool users = false;

    void include(const ConnectionLimits& limits) noexcept {
        any = any || limits != ConnectionLimits();
        addresses = addresses || limits.per_address != 0;
        users = users || limits.per_user != 0;
    }
};

/// What a connection's address goes by among rates, as nginx sees it now (an IPv6 one by its /64); 0 when it has none.
SharedRates::Key rate_key(const ngx_connection_t& connection, const SharedRates& rates) noexcept;

/// A worker's door.
class Admission {
public:
    /// `zone` and `counters`, this worker's in it, must outlive it.
    Admission(ngx_shm_zone_t* zone, const Counters* counters, const CountedKinds& counted) noexcept;

    /// Counts a connection in `hold`, until release(). Otherwise says why not. `connection` is as nginx sees it now,
    /// behind real_ip and proxy_protocol; nothing of it is kept.
    std::optional<event::Error> admit(const ngx_connection_t& connection, std::string_view user,
                                      const ConnectionLimits& limits, ConnectionCounts::Hold& hold) noexcept;
    /// Counts the user of a connection that admit() has counted in `hold` without one.
    std::optional<event::Error> admit_user(const ngx_connection_t& connection, std::string_view user,
                                           const ConnectionLimits& limits, ConnectionCounts::Hold& hold) noexcept;
    void release(ConnectionCounts::Hold& hold) noexcept;

private:
    static constexpr std::time_t kComplaintInterval = 60;  // seconds

    std::optional<event::Error> answer(ConnectionCounts::Verdict verdict, const ngx_connection_t& connection) noexcept;
    void complain(const ngx_connection_t& connection) noexcept;

    ngx_shm_zone_t* zone_;
    CountedKinds counted_;
    std::size_t seat_ = 0;
    std::time_t complained_ = 0;  // when the log last heard that the zone is full
};

/// Reads "weft_connections" into `limits`, unless it was given before.
char* read_connections(ngx_conf_t* cf, std::optional<ConnectionLimits>& limits) noexcept;

}  // namespace weft
