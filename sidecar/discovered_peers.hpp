// The peers behind names of DNS: which addresses are dialed, as answers come and addresses go.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "endpoint.hpp"
#include "weft/time.hpp"

namespace weft {

class DiscoveredPeers {
public:
    static constexpr std::size_t kMaxPeers = 64;  // of all names together; more are left out

    /// An address that no answer has any more is kept for `keep`, and for as long as its link is up: answers may be
    /// incomplete, and a node that is there need not be in them.
    explicit DiscoveredPeers(std::chrono::milliseconds keep) : keep_(keep) {}

    /// The names from now on, as endpoints of the transport dns+tcp. What was found for others is forgotten.
    void set_names(std::vector<Endpoint> names);
    [[nodiscard]] const std::vector<Endpoint>& names() const noexcept { return names_; }

    /// What DNS answered for names()[i].host: IP addresses as text. Returns whether endpoints() is another now.
    bool take(std::size_t i, const std::vector<std::string>& addresses, Instant now);
    /// Forgets what is long gone. `up` says whether an endpoint's link is up. Returns as take().
    bool expire(Instant now, const std::function<bool(std::string_view endpoint)>& up);

    /// To be dialed: "tcp://ADDRESS:PORT", each once, sorted.
    [[nodiscard]] std::vector<std::string> endpoints() const;

private:
    struct Found {
        std::string endpoint;
        std::size_t name;
        Instant seen;  // in the last answer that had it
    };
    std::chrono::milliseconds keep_;
    std::vector<Endpoint> names_;
    std::vector<Found> found_;
};

}  // namespace weft
