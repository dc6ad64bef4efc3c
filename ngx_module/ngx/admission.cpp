#include "ngx/admission.hpp"

#include <span>
#include <string>

#include "ngx/conf_values.hpp"

namespace weft {

namespace {

constexpr ngx_uint_t kMostConnections = 1'000'000'000;

/// None for a unix socket, whose clients have no address.
std::optional<ConnectionKey> address_of(const ngx_connection_t& connection) noexcept {
    const auto bytes = [](const auto& address) {
        return std::span(reinterpret_cast<const std::uint8_t*>(&address), sizeof(address));
    };
    switch (connection.sockaddr->sa_family) {
        case AF_INET: return address_key(bytes(reinterpret_cast<const sockaddr_in*>(connection.sockaddr)->sin_addr));
#if (NGX_HAVE_INET6)
        case AF_INET6: return address_key(bytes(reinterpret_cast<const sockaddr_in6*>(connection.sockaddr)->sin6_addr));
#endif
        default: return std::nullopt;
    }
}

}  // namespace

SharedRates::Key rate_key(const ngx_connection_t& connection, const SharedRates& rates) noexcept {
    const auto address = address_of(connection);
    if (!address) return 0;
    char name[sizeof(address->bytes) + 1];
    ngx_memcpy(name, address->bytes.data(), sizeof(address->bytes));
    name[sizeof(address->bytes)] = static_cast<char>(address->kind);
    return rates.key(SharedRates::Kind::address, {name, sizeof(name)});
}

Admission::Admission(ngx_shm_zone_t* zone, const Counters* counters, const CountedKinds& counted) noexcept
    : zone_(zone), counted_(counted), seat_(LockedZone(zone).seat_of(counters)) {}

std::optional<event::Error> Admission::admit(const ngx_connection_t& connection, std::string_view user,
                                             const ConnectionLimits& limits, ConnectionCounts::Hold& hold) noexcept {
    using Verdict = ConnectionCounts::Verdict;
    if (!counted_.any) return std::nullopt;
    const auto address = counted_.addresses ? address_of(connection) : std::nullopt;
    const auto owner = counted_.users ? user_key(user) : std::nullopt;
    Verdict verdict = Verdict::admitted;
    {
        LockedZone zone(zone_);
        verdict = zone.connections().admit(seat_, address, owner, limits, hold);
        if (verdict != Verdict::admitted && zone.retire_dead()) {
            verdict = zone.connections().admit(seat_, address, owner, limits, hold);
        }
    }
    return answer(verdict, connection);
}

std::optional<event::Error> Admission::admit_user(const ngx_connection_t& connection, std::string_view user,
                                                  const ConnectionLimits& limits,
                                                  ConnectionCounts::Hold& hold) noexcept {
    using Verdict = ConnectionCounts::Verdict;
    const auto owner = counted_.users ? user_key(user) : std::nullopt;
    if (!owner || !hold.counted) return std::nullopt;
    Verdict verdict = Verdict::admitted;
    {
        LockedZone zone(zone_);
        verdict = zone.connections().admit_user(seat_, *owner, limits, hold);
        if (verdict != Verdict::admitted && zone.retire_dead()) {
            verdict = zone.connections().admit_user(seat_, *owner, limits, hold);
        }
    }
    return answer(verdict, connection);
}

std::optional<event::Error> Admission::answer(ConnectionCounts::Verdict verdict,
                                              const ngx_connection_t& connection) noexcept {
    using Verdict = ConnectionCounts::Verdict;
    const auto refuse = [](std::string_view why) { return event::Error{Code::too_many_connections, why, {}}; };
    switch (verdict) {
        case Verdict::admitted:
        case Verdict::members: return std::nullopt;
        case Verdict::total: return refuse("this server has as many connections as it takes");
        case Verdict::per_address: return refuse("this address has as many connections as it may have");
        case Verdict::per_user: return refuse("this user has as many connections as they may have");
        case Verdict::full: complain(connection); return refuse("this server can't count any more connections");
    }
    return std::nullopt;
}

void Admission::release(ConnectionCounts::Hold& hold) noexcept {
    if (!hold.counted) return;
    LockedZone(zone_).connections().release(seat_, hold);
}

void Admission::complain(const ngx_connection_t& connection) noexcept {
    const std::time_t now = ngx_time();
    if (complained_ != 0 && now - complained_ < kComplaintInterval) return;
    complained_ = now;
    ngx_log_error(NGX_LOG_ERR, connection.log, 0,
                  "weft: \"weft_zone\" is full, so that connections are refused that \"weft_connections\" can't count, "
                  "expected more than %uz bytes",
                  zone_->shm.size);
}

char* read_connections(ngx_conf_t* cf, std::optional<ConnectionLimits>& limits) noexcept {
    if (limits) return const_cast<char*>("is duplicate");
    limits.emplace();
    if (cf->args->nelts == 2 && view(args(cf)[1]) == "off") return NGX_CONF_OK;
    const struct {
        const char* name;
        std::uint32_t& value;
    } parameters[] = {{"total", limits->total}, {"per_ip", limits->per_address}, {"per_user", limits->per_user}};
    for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
        const ngx_str_t& argument = args(cf)[i];
        bool known = false;
        for (const auto& [name, value] : parameters) {
            const auto text = parameter(argument, name);
            if (!text) continue;
            if (value != 0) return fail(cf, quoted(argument) + " in \"weft_connections\" is there already");
            const auto number = read_number(*text, 1, kMostConnections);
            if (!number) {
                return fail(cf, "invalid number " + quoted(argument) + " in \"weft_connections\", expected 1 to " +
                                    std::to_string(kMostConnections) + ", for example " + name + "=100");
            }
            value = static_cast<std::uint32_t>(*number);
            known = true;
        }
        if (!known) {
            return fail(cf, "invalid parameter " + quoted(argument) +
                                " in \"weft_connections\", expected total=NUMBER, per_ip=NUMBER or per_user=NUMBER, or "
                                "off alone");
        }
    }
    return NGX_CONF_OK;
}

}  // namespace weft
