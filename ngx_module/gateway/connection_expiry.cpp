// What becomes of a connection when its ticket ends.
//
// Tickets that were made together end together. So neither the notice nor the end comes to all of them at once: each
// connection has moments of its own, which follow from its number.
#include <algorithm>

#include "gateway/gateway.hpp"

namespace weft {

void Connection::arm(Instant liveness) {
    gateway_.wheel().arm(*this, std::min(liveness, next_expiry()));
}

Instant Connection::expiry_end() const noexcept {
    if (!authenticated() || identity_->expires_at == Identity::kNever) return Instant::max();
    // The wheel is late by a tick and the worker's timer by another, which must not go beyond the leeway.
    const auto spread = std::max<std::int64_t>((endpoint_->leeway - 2 * TimerWheel::kTick).count(), 1);
    const std::chrono::milliseconds own(client_id_ % static_cast<std::uint64_t>(spread));
    return gateway_.now() + (identity_->expires_at - gateway_.wall()) + own;
}

Instant Connection::next_expiry() const noexcept {
    const auto notice = endpoint_->expiry_notice;
    if (expiry_told_ || notice.count() == 0) return expiry_end();
    if (!authenticated() || identity_->expires_at == Identity::kNever) return Instant::max();
    // Within the first half of the time, so that the other half is left for getting a new ticket.
    const auto spread = std::max<std::int64_t>(notice.count() / 2, 1);
    const std::chrono::milliseconds own(client_id_ % static_cast<std::uint64_t>(spread));
    return gateway_.now() + (identity_->expires_at - gateway_.wall()) - notice + own;
}

void Connection::expire() {
    const bool tell = !expiry_told_ && endpoint_->expiry_notice.count() > 0;
    if (tell) {
        expiry_told_ = true;
        gateway_.fail(*this, {}, {Code::token_expired, "the ticket ends soon: send \"refresh\" with a new one", {}});
    }
    if (expiry_end() <= gateway_.now()) {
        gateway_.counters().expired.add();
        end(Code::token_expired);
    }
}

}  // namespace weft
