#include "ngx/carrier.hpp"

#include "ngx/credentials.hpp"
#include "ngx/worker.hpp"

namespace weft {

Carrier::~Carrier() {
    worker_.admission().release(hold_);
}

tl::expected<std::shared_ptr<const Identity>, event::Error> Carrier::identify(std::string_view token) {
    const LocationSettings& location = *client().endpoint().location;
    auto identity = identify_token(token, location, connection_->log);
    if (!identity || client().authenticated()) return identity;
    if (const auto full = worker_.admission().admit_user(*connection_, (*identity)->user,
                                                         location.connections.value_or(ConnectionLimits()), hold_)) {
        return tl::unexpected(*full);
    }
    return identity;
}

void Carrier::log_end() noexcept {
    Connection& connection = client();
    if (connection.tally() == nullptr) return;
    const std::uint16_t code = connection.close_code() != 0 ? connection.close_code() : ConnectionEnd::kBroken;
    auto closed_by = ConnectionEnd::By::nobody;
    if (code != ConnectionEnd::kBroken) {
        closed_by = connection.closed_by_peer() ? ConnectionEnd::By::client : ConnectionEnd::By::server;
    }
    static_cast<ConnectionRecord&>(*connection.tally())
        .write(worker_.gateway().now(), connection.user(), connection.client_id(), code, closed_by);
    connection.keep_tally(nullptr);
}

}  // namespace weft
