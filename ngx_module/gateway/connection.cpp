#include "gateway/connection.hpp"

#include <algorithm>
#include <new>

#include "gateway/gateway.hpp"

namespace weft {

void Connection::end(std::uint16_t code, std::string_view why) {
    if (phase_ != Phase::open) return;
    close_code_ = code;
    gateway_.detach(*this);
    set_phase(say_goodbye(code, why));
}

void Connection::on_broken() {
    if (phase_ == Phase::aborted) return;
    if (close_code_ == 0) close_code_ = 1006;
    gateway_.detach(*this);
    set_phase(Phase::aborted);
}

void Connection::on_departure() {
    if (phase_ != Phase::open) return on_broken();
    on_goodbye();
    end(static_cast<std::uint16_t>(websocket::Close::normal), {});
}

Connection::Rare& Connection::rare() {
    if (!rare_) rare_ = std::make_unique<Rare>();
    return *rare_;
}

void Connection::keep_tally(std::unique_ptr<Tally> tally) {
    if (tally || rare_) rare().tally = std::move(tally);
}

void Connection::enter_by(std::unique_ptr<Entrance> entrance) {
    if (entrance || rare_) rare().entrance = std::move(entrance);
}

Connection::Subscription* Connection::subscription_to(const Feed& feed) noexcept {
    for (std::size_t i = subscriptions_.size(); i-- > 0;) {
        if (subscriptions_[i].feed == &feed) return &subscriptions_[i];
    }
    return nullptr;
}

void Connection::on_written(std::size_t count) {
    gateway_.counters().bytes_out.add(count);
    if (rare_ && rare_->tally) rare_->tally->bytes_out += count;
    queue_.consume(count);
    committed_ = rewrites_ ? committed_ - static_cast<std::uint32_t>(count) : 0;
    if (queue_.empty()) gateway_.remove_blocked(*this);
}

bool Connection::rewrite_front(std::size_t enough) noexcept {
    class Rewriting final : public SendQueue::Rewriting {
    public:
        explicit Rewriting(Connection& connection) : connection_(connection) {}
        SharedBytes rewrite(const SharedBytes& frames) override { return connection_.rewrite(frames); }

    private:
        Connection& connection_;
    };
    try {
        Rewriting rewriting(*this);
        committed_ = static_cast<std::uint32_t>(queue_.rewrite(committed_, enough, rewriting));
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void Connection::on_blocked(std::size_t committed) {
    // What was rewritten must be sent in any case: what is rewritten next may refer to it.
    if (!rewrites_) committed_ = static_cast<std::uint32_t>(committed);
    if (phase_ != Phase::open) return;
    gateway_.add_blocked(*this);
    if (!endpoint_->echo && queue_.bytes() > endpoint_->send_queue) shed(endpoint_->send_queue);
}

void Connection::shed(std::size_t most) {
    // A quarter of it gets free, so that this isn't to be done again at once.
    gateway_.drop_oldest(*this, most - most / 4, committed_);
    if (queue_.bytes() <= most) return;
    gateway_.counters().slow_closed.add();
    // What this turn has collected comes now, to be dropped with the rest: who got it behind a loss would resume from
    // there.
    gateway_.detach(*this);
    queue_.drop_unstarted(committed_);
    end(Code::slow_consumer);
}

void Connection::drain(Instant deadline, std::chrono::milliseconds grace) {
    if (phase_ != Phase::open || draining_) return;
    draining_ = true;
    // Nobody outstays their ticket, or their time to say who they are, because the worker takes its own to go.
    deadline = std::min(deadline, authenticated() || endpoint_->echo ? next_expiry() : gateway_.now() + grace);
    grace_ = std::chrono::duration_cast<decltype(grace_)>(grace);
    gateway_.wheel().arm(*this, deadline);
}

void Connection::drain_now() {
    if (phase_ != Phase::open) return;
    if (!leaving_) tell_to_reconnect(std::chrono::milliseconds(100 + gateway_.random() % 900));
    end_for_reconnect();
}

void Connection::tell_to_reconnect(std::chrono::milliseconds after) {
    leaving_ = true;
    if (endpoint_->echo || !greeted_) return;
    ServerFrame frame;
    frame.body = event::Reconnect{after, "shutting_down"};
    gateway_.send(*this, frame);
}

void Connection::end_for_reconnect() {
    end(static_cast<std::uint16_t>(websocket::Close::service_restart), "reconnect");
}

void Connection::heard() noexcept {
    last_heard_ms_ = static_cast<std::uint32_t>(gateway_.now().time_since_epoch().count());
    probing_ = false;
}

/// Of the peer, until now.
std::chrono::milliseconds Connection::silence() const noexcept {
    return std::chrono::milliseconds(static_cast<std::uint32_t>(gateway_.now().time_since_epoch().count()) -
                                     last_heard_ms_);
}

void Connection::set_phase(Phase phase) {
    phase_ = phase;
    switch (phase) {
        case Phase::open: break;
        case Phase::closing:
        case Phase::finished: gateway_.wheel().arm(*this, gateway_.now() + kCloseTimeout); break;
        case Phase::lingering: gateway_.wheel().arm(*this, gateway_.now() + kLinger); break;
        case Phase::aborted: gateway_.wheel().disarm(*this); break;
    }
    gateway_.mark_dirty(*this);
}

void Connection::push_raw(std::string_view bytes) {
    queue_.push(SharedBytes(bytes));
    gateway_.mark_dirty(*this);
}

bool Connection::may_read() const noexcept {
    if (phase_ != Phase::open) return true;  // what comes is thrown away, and may be the peer's goodbye
    if (endpoint_->echo && queue_.bytes() > endpoint_->send_queue) return false;
    if (asked_ || still_) return false;
    // What it says is meant for channels that it is in, and behind that it hears all that is said there.
    if (rare_ && rare_->entrance && rare_->entrance->unanswered > 0) return false;
    return !gateway_.congested();
}

void Connection::pause_reading() {
    gateway_.add_paused(*this);
}

bool Connection::within_rates(std::size_t size, event::Error& refusal) {
    const EndpointSettings& endpoint = *endpoint_;
    const Instant now = gateway_.now();
    Refusals& refusals = gateway_.refusals();
    if (endpoint.rate.limited() || endpoint.byte_rate.limited()) {
        const auto [wait, bytes] = bucket_.take(endpoint.rate, endpoint.byte_rate, size, now);
        if (wait.count() > 0 && bytes) {
            return over_rate(wait, refusals.bytes, "more bytes than this connection may send", refusal);
        }
        if (wait.count() > 0) {
            return over_rate(wait, refusals.messages, "more messages than this connection may send", refusal);
        }
    }
    if (SharedRates* rates = gateway_.shared_rates()) {
        if (endpoint.user_rate.limited() && !user().empty()) {
            const auto wait = rates->take(rates->key(SharedRates::Kind::user, user()), endpoint.user_rate, now);
            if (wait.count() > 0) {
                return over_rate(wait, refusals.user, "more messages than this user may send", refusal);
            }
        }
        if (endpoint.address_rate.limited() && address_key_ != 0) {
            const auto wait = rates->take(address_key_, endpoint.address_rate, now);
            if (wait.count() > 0) {
                return over_rate(wait, refusals.address, "more messages than may come from this address", refusal);
            }
        }
    }
    // Forgiven once a second has passed without excess, so that sending at just above the rate adds up too.
    if (strikes_ > 0 && static_cast<std::uint32_t>(now.time_since_epoch().count()) - last_strike_ms_ > 1000) {
        strikes_ = 0;
    }
    return true;
}

bool Connection::over_rate(std::chrono::milliseconds wait, SharedCounter& counter, std::string_view why,
                           event::Error& refusal) {
    counter.add();
    gateway_.counters().rate_limited.add();
    refusal = {Code::rate_limited, why, wait};
    strike();
    return false;
}

void Connection::strike() {
    last_strike_ms_ = static_cast<std::uint32_t>(gateway_.now().time_since_epoch().count());
    const std::uint32_t limit = std::clamp<std::uint32_t>(endpoint_->rate.burst, kMaxStrikes, 10'000);
    if (++strikes_ <= limit || phase_ != Phase::open) return;
    gateway_.refusals().abusers.add();
    end(Code::rate_limited);
}

void Connection::arm_first() {
    if (endpoint_->first_subscribe.count() == 0 || endpoint_->echo) {
        arm_heartbeat();
        return;
    }
    awaited_ = true;
    arm(gateway_.now() + endpoint_->first_subscribe);
}

void Connection::subscribed_first() {
    awaited_ = false;
    if (!draining_ && phase_ == Phase::open) arm_heartbeat();  // a drain has set a deadline of its own
}

void Connection::arm_heartbeat() {
    // Up to a tenth early, so that connections opened together aren't pinged together.
    const auto interval = endpoint_->heartbeat;
    const auto jitter =
        interval.count() >= 10
            ? std::chrono::milliseconds(gateway_.random() % static_cast<std::uint64_t>(interval.count() / 10))
            : std::chrono::milliseconds::zero();
    arm(gateway_.now() + std::max<std::chrono::milliseconds>(interval - jitter - silence(), TimerWheel::kTick));
}

void Connection::on_deadline() {
    switch (phase_) {
        case Phase::open: break;
        case Phase::closing:
        case Phase::lingering:
        case Phase::finished: set_phase(Phase::aborted); return;
        case Phase::aborted: return;
    }
    if (leaving_) {
        end_for_reconnect();
        return;
    }
    if (draining_) {
        if (grace_ == kWithoutAWord) return probe();
        if (grace_.count() < 2) {
            drain_now();
            return;
        }
        // Spread over the first half of the grace, so that there is time to connect and subscribe before the end.
        tell_to_reconnect(std::chrono::milliseconds(gateway_.random() % (grace_.count() / 2)));
        gateway_.wheel().arm(*this, std::min(gateway_.now() + grace_, expiry_end()));
        return;
    }
    if (!authenticated() && !endpoint_->echo) {
        gateway_.give_up_waiting(*this);
        return;
    }
    if (asked_) {
        gateway_.give_up_asking(*this);
        return;
    }
    if (next_expiry() <= gateway_.now()) {
        expire();
        if (phase_ != Phase::open) return;
        if (awaited_) {  // as with the probe
            arm_first();
            return;
        }
        if (probing_) {  // this wasn't the deadline of the probe, which gets a new one
            arm(gateway_.now() + endpoint_->heartbeat_timeout);
            return;
        }
    }
    if (paused_) {  // its silence is ours
        heard();
        awaited_ ? arm_first() : arm_heartbeat();
        return;
    }
    if (awaited_) {
        gateway_.refusals().first_subscribe.add();
        end(static_cast<std::uint16_t>(Code::timeout), "no subscription in time");
        return;
    }
    if (probing_) {
        gateway_.counters().timed_out.add();
        end(Code::timeout);
        if (phase_ == Phase::closing) set_phase(Phase::finished);  // nobody will answer
        return;
    }
    // The tenth that the deadline may be early counts as silence enough.
    if (silence() < endpoint_->heartbeat - endpoint_->heartbeat / 10) {
        arm_heartbeat();
        return;
    }
    probing_ = true;
    probe();
    if (phase_ != Phase::open) return;
    if (probing_) {
        arm(gateway_.now() + endpoint_->heartbeat_timeout);
    } else {  // no answer is expected
        arm_heartbeat();
    }
}

}  // namespace weft
