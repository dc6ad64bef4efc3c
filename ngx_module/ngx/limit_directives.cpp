#include "ngx/limit_directives.hpp"

#include <span>
#include <string>

#include "gateway/leaver.hpp"
#include "ngx/conf_values.hpp"
#include "ngx/rate_values.hpp"
#include "ngx/settings.hpp"

namespace weft {

namespace {

constexpr ngx_msec_t kLeastFirst = 1'000;
constexpr ngx_msec_t kMostFirst = 600'000;  // until then there is no heartbeat
constexpr ngx_uint_t kLeastDepth = 2;       // a message and its payload

/// Without weft_rate, and with one that says nothing of bytes.
constexpr ByteRate kDefaultBytes{1024.0 * 1024, std::uint64_t{4} * 1024 * 1024};

char* const kDuplicate = const_cast<char*>("is duplicate");

LimitSettings& limits_of(void* conf) noexcept {
    return static_cast<LocationSettings*>(conf)->limits;
}

std::span<const ngx_str_t> words(ngx_conf_t* cf) noexcept {
    return {args(cf) + 1, cf->args->nelts - 1};
}

char* set_shared_rate(ngx_conf_t* cf, std::optional<Rate>& setting) noexcept {
    if (setting) return kDuplicate;
    setting = read_rate(cf, view(args(cf)[0]), words(cf));
    if (!setting) return kFailed;
    if (setting->per_second > SharedRates::kMaxPerSecond) {
        return fail(cf, "invalid rate " + quoted(args(cf)[1]) + " in " + quoted(args(cf)[0]) +
                            ", expected at most 100000r/s, or off");
    }
    return NGX_CONF_OK;
}

template <class Number>
char* set_number(ngx_conf_t* cf, std::optional<Number>& setting, ngx_uint_t least, ngx_uint_t most) noexcept {
    if (setting) return kDuplicate;
    const auto number = read_number(args(cf)[1], least, most);
    if (!number) {
        return fail(cf, "invalid number " + quoted(args(cf)[1]) + " in " + quoted(args(cf)[0]) + ", expected " +
                            std::to_string(least) + " to " + std::to_string(most));
    }
    setting = static_cast<Number>(*number);
    return NGX_CONF_OK;
}

}  // namespace

void LimitSettings::inherit(const LimitSettings& outer) noexcept {
    if (!traffic) traffic = outer.traffic;
    if (!user_rate) user_rate = outer.user_rate;
    if (!address_rate) address_rate = outer.address_rate;
    if (!subscriptions) subscriptions = outer.subscriptions;
    if (!rpcs) rpcs = outer.rpcs;
    if (!first_subscribe) first_subscribe = outer.first_subscribe;
}

void LimitSettings::apply(EndpointSettings& endpoint) const noexcept {
    if (traffic) endpoint.rate = traffic->messages;
    endpoint.byte_rate = traffic ? traffic->bytes : kDefaultBytes;
    if (user_rate) endpoint.user_rate = *user_rate;
    if (address_rate) endpoint.address_rate = *address_rate;
    if (subscriptions) endpoint.max_subscriptions = *subscriptions;
    if (rpcs) endpoint.max_rpcs = *rpcs;
    if (first_subscribe) endpoint.first_subscribe = *first_subscribe;
}

char* set_rate(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& setting = limits_of(conf).traffic;
    if (setting) return kDuplicate;
    setting.emplace();
    setting->bytes = kDefaultBytes;
    return read_traffic(cf, words(cf), setting->messages, setting->bytes) ? NGX_CONF_OK : kFailed;
}

char* set_user_rate(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_shared_rate(cf, limits_of(conf).user_rate);
}

char* set_ip_rate(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_shared_rate(cf, limits_of(conf).address_rate);
}

char* set_subscriptions(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_number(cf, limits_of(conf).subscriptions, 1, ngx_uint_t{kMostSubscriptions});
}

char* set_pending_rpcs(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_number(cf, limits_of(conf).rpcs, 1, Connection::kMostRpcs);
}

char* set_first_subscribe(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& setting = limits_of(conf).first_subscribe;
    if (setting) return kDuplicate;
    setting.emplace();
    if (view(args(cf)[1]) == "off") return NGX_CONF_OK;
    const auto time = read_time(args(cf)[1], kLeastFirst);
    if (!time || *time > kMostFirst) {
        return fail(cf, "invalid time " + quoted(args(cf)[1]) +
                            " in \"weft_first_subscribe\", expected 1s to 10m, for example 30s, or off");
    }
    setting = std::chrono::milliseconds(*time);
    return NGX_CONF_OK;
}

char* set_json_depth(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return set_number(cf, static_cast<MainSettings*>(conf)->json_depth, kLeastDepth, kMaxDepth);
}

}  // namespace weft
