// weft_rate, weft_user_rate, weft_ip_rate, weft_subscriptions, weft_pending_rpcs, weft_first_subscribe,
// weft_json_depth.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "gateway/connection.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// What a location says of limits.
struct LimitSettings {
    struct Traffic {
        Rate messages;
        ByteRate bytes;
    };
    std::optional<Traffic> traffic;
    std::optional<Rate> user_rate;
    std::optional<Rate> address_rate;
    std::optional<std::uint32_t> subscriptions;
    std::optional<std::uint32_t> rpcs;
    std::optional<std::chrono::milliseconds> first_subscribe;

    /// Takes from the block around it what isn't said here.
    void inherit(const LimitSettings& outer) noexcept;
    /// Puts what is said into `endpoint`; the rest stays as it is there.
    void apply(EndpointSettings& endpoint) const noexcept;
};

char* set_rate(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_user_rate(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_ip_rate(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_subscriptions(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_pending_rpcs(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
char* set_first_subscribe(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;
/// In http, as all connections of a worker share one decoder.
char* set_json_depth(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept;

}  // namespace weft
