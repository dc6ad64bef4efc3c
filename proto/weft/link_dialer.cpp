#include <algorithm>
#include <utility>

#include "weft/link_session.hpp"

namespace weft {
namespace {

using std::chrono::milliseconds;

constexpr unsigned kMaxFailures = 16;  // counted; the delay has reached its bound long before
// A listener's Welcome may ask for any rhythm; what lies outside of these is taken as a mistake.
constexpr milliseconds kMinHeartbeat{10};
constexpr milliseconds kMaxHeartbeat{600'000};

milliseconds reopen_delay(unsigned failures, milliseconds heartbeat) {
    if (failures <= 1) return milliseconds{0};
    return std::min(heartbeat * (1L << (failures - 2)), std::max(kMaxReopenDelay, heartbeat));
}

}  // namespace

std::uint32_t LinkVersions::common(const LinkVersions& other) const noexcept {
    const std::uint32_t both = std::min(newest, other.newest);
    return both >= std::max(oldest, other.oldest) ? both : 0;
}

std::string LinkVersions::text() const {
    return (oldest == newest ? "" : std::to_string(oldest) + " to ") + std::to_string(newest);
}

LinkDialer::LinkDialer(v1::Hello hello, LinkTimings timings, std::function<std::uint64_t()> random, Events& events,
                       LinkVersions versions)
    : hello_(std::move(hello)),
      timings_(timings),
      versions_(versions),
      random_(std::move(random)),
      events_(events),
      heartbeat_(timings.heartbeat),
      dead_(timings.dead) {
    hello_.set_version(versions_.newest);
    hello_.set_oldest_version(versions_.oldest);
}

void LinkDialer::on_connected(Instant now) {
    connected_ = true;
    closing_ = false;
    end_session("the transport connected anew", now);
    if (connected_) open_session(now);
}

void LinkDialer::on_disconnected(std::string_view why, Instant now) {
    connected_ = false;
    closing_ = false;
    end_session(why, now);
}

void LinkDialer::on_message(std::string_view bytes, Instant now) {
    if (!in_session()) return;
    constexpr std::string_view kMalformed = "the listener sent malformed bytes";
    if (!batch_.parse(bytes)) return reopen(kMalformed, now);
    if (batch_.session() != session_) return;  // the tail of an earlier session
    last_heard_ = now;
    if (batch_.first() == 0) {
        if (batch_.frames() != 1) return reopen("the listener sent frames without a number", now);
        const v1::Frame* const frame = batch_.frame(0);
        return frame == nullptr ? reopen(kMalformed, now) : handle_unnumbered(*frame, now);
    }
    if (batch_.ack() >= queue_.next_number()) return reopen("the listener acknowledged what was never sent", now);
    switch (batch_.sequence(received_)) {
        case BatchParser::Sequence::next: break;
        case BatchParser::Sequence::missing: return reopen("frames from the listener are missing", now);
        case BatchParser::Sequence::repeated: return reopen("the listener repeated a frame number", now);
    }
    acked_ = std::max(acked_, batch_.ack());

    const std::uint64_t session = session_;
    for (std::size_t i = 0; i < batch_.frames(); ++i) {
        v1::Frame* const parsed = batch_.frame(i);
        if (parsed == nullptr) return reopen(kMalformed, now);
        v1::Frame& frame = *parsed;
        ++received_;
        if (state_ == State::greeting) {
            handle_welcome(frame, now);
        } else {
            switch (frame.body_case()) {
                case v1::Frame::BODY_NOT_SET: break;  // a kind that was added after this was written
                case v1::Frame::kBye:
                    end_session("the listener said bye", now);
                    retry_at_ = now + heartbeat_;
                    break;
                case v1::Frame::kHello:
                case v1::Frame::kWelcome:
                case v1::Frame::kReset:
                case v1::Frame::kRefused: reopen("the listener sent a frame out of place", now); break;
                default: events_.on_link_frame(frame, now);
            }
        }
        if (session_ != session || !in_session()) return;
    }
}

void LinkDialer::on_tick(Instant now) {
    if (!connected_) return;
    if (in_session()) {
        if (now - last_heard_ < dead_) return;
        end_session("the listener was silent for " + std::to_string((now - last_heard_).count()) + " ms", now);
        if (connected_) open_session(now);
    } else if (now >= retry_at_) {
        open_session(now);
    }
}

std::uint64_t LinkDialer::send(const v1::Frame& frame) {
    if (!up()) return 0;
    encode(frame, scratch_);
    return queue_.push(scratch_);
}

std::uint64_t LinkDialer::send_encoded(std::string_view frame) {
    return up() ? queue_.push(frame) : 0;
}

bool LinkDialer::wants_send(Instant now) const noexcept {
    if (!queue_.empty()) return true;
    if (!in_session()) return false;
    return now - last_sent_ >= heartbeat_ || (received_ > ack_sent_ && now - last_sent_ >= heartbeat_ / 4);
}

bool LinkDialer::next_batch(std::string& out, Instant now) {
    if (!wants_send(now)) return false;
    queue_.pop(out, session_, received_);
    ack_sent_ = received_;
    last_sent_ = now;
    return true;
}

void LinkDialer::close(Instant now) {
    if (in_session()) {
        v1::Frame bye;
        bye.mutable_bye();
        bye.SerializeToString(&scratch_);
        queue_.push(scratch_);
        closing_ = true;
    }
    state_ = State::down;
    connected_ = false;
    retry_at_ = now;
}

void LinkDialer::open_session(Instant now) {
    std::uint64_t session = random_();
    if (session == 0 || session == session_) session = session_ + 1 == 0 ? 1 : session_ + 1;
    session_ = session;
    queue_.clear();
    received_ = acked_ = ack_sent_ = 0;
    heartbeat_ = timings_.heartbeat;
    dead_ = timings_.dead;
    last_sent_ = last_heard_ = opened_at_ = now;
    state_ = State::greeting;

    v1::Frame frame;
    *frame.mutable_hello() = hello_;
    frame.SerializeToString(&scratch_);
    queue_.push(scratch_);
}

void LinkDialer::end_session(std::string_view why, Instant now) {
    const bool was_up = up();
    state_ = State::down;
    retry_at_ = now;
    if (!closing_) queue_.clear();
    if (was_up) events_.on_link_down(why, now);
}

void LinkDialer::reopen(std::string_view why, Instant now) {
    const bool lasted = up() && now - opened_at_ >= dead_;
    failures_ = lasted ? 1 : std::min(failures_ + 1, kMaxFailures);
    end_session(why, now);
    if (!connected_) return;
    const milliseconds delay = reopen_delay(failures_, timings_.heartbeat);
    if (delay.count() == 0) return open_session(now);
    retry_at_ = now + delay;
}

void LinkDialer::refuse(const v1::Refused& refused, Instant now) {
    end_session("refused: " + refused.message(), now);
    if (!connected_) return;
    state_ = State::refused;
    retry_at_ = now + timings_.refused_retry;
    events_.on_link_refused(refused, now);
}

void LinkDialer::handle_unnumbered(const v1::Frame& frame, Instant now) {
    if (frame.has_refused()) return refuse(frame.refused(), now);
    if (!frame.has_reset()) return reopen("the listener sent a frame without a number", now);
    const v1::Reset& reset = frame.reset();
    std::string why = "the listener reset the session: ";
    why += v1::Reset::Reason_IsValid(reset.reason()) ? v1::Reset::Reason_Name(reset.reason()) : "unknown reason";
    if (!reset.message().empty()) why += " (" + reset.message() + ")";
    reopen(why, now);
}

void LinkDialer::handle_welcome(const v1::Frame& frame, Instant now) {
    if (!frame.has_welcome()) return reopen("the listener's first frame is no Welcome", now);
    const v1::Welcome& welcome = frame.welcome();
    if (!versions_.has(welcome.version())) {
        v1::Refused refused;
        refused.set_version(welcome.version());
        refused.set_message("node " + welcome.node() + " speaks link version " + std::to_string(welcome.version()) +
                            ", this end speaks " + versions_.text());
        return refuse(refused, now);
    }
    const milliseconds heartbeat{welcome.heartbeat_ms()};
    const milliseconds dead{welcome.dead_ms()};
    if (heartbeat >= kMinHeartbeat && heartbeat <= kMaxHeartbeat && dead > heartbeat) {
        heartbeat_ = heartbeat;
        dead_ = dead;
    }
    state_ = State::up;
    opened_at_ = now;
    events_.on_link_up(welcome, now);
}

}  // namespace weft
