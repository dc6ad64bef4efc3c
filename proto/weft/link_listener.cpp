#include <algorithm>
#include <utility>

#include "weft/link_session.hpp"

namespace weft {
namespace {

constexpr std::size_t kMaxNameInMessage = 64;  // bytes of a dialer's name that are repeated to it

std::string describe(const v1::Hello& hello) {
    std::string text = hello.kind() == v1::Hello::PEER ? "peer " : "worker ";
    // Other software chose the name; what isn't plain ASCII could be cut in the middle of a character.
    for (const char c : std::string_view(hello.name()).substr(0, kMaxNameInMessage)) {
        text += c > ' ' && c < 0x7f ? c : '?';
    }
    return text;
}

}  // namespace

LinkListener::LinkListener(v1::Welcome welcome, LinkTimings timings, std::size_t max_queued, Events& events,
                           LinkVersions versions)
    : welcome_(std::move(welcome)), timings_(timings), max_queued_(max_queued), versions_(versions), events_(events) {
    welcome_.set_heartbeat_ms(static_cast<std::uint32_t>(timings_.heartbeat.count()));
    welcome_.set_dead_ms(static_cast<std::uint32_t>(timings_.dead.count()));
}

void LinkListener::on_message(std::string_view bytes, Instant now) {
    report_overflow(now);
    if (closed_) return;
    if (!up_) last_heard_ = now;
    if (!batch_.parse(bytes)) {
        if (up_) return reset(v1::Reset::MALFORMED, "these bytes are no batch", now);
        // There is no session to name in a Reset; a dialer that means well will time out and begin again.
        return events_.on_dialer_rejected("malformed bytes outside a session", now);
    }

    std::size_t begin = 0;
    if (!up_ || batch_.session() != session_) {
        const v1::Frame* const hello = batch_.first() == 1 && batch_.frames() != 0 ? batch_.frame(0) : nullptr;
        if (hello == nullptr || !hello->has_hello()) {
            const bool asked = std::any_of(unnumbered_.begin(), unnumbered_.end(),
                                           [&](const Unnumbered& u) { return u.session == batch_.session(); });
            if (asked) return;  // the Reset that it needs waits already
            v1::Frame frame;
            frame.mutable_reset()->set_reason(v1::Reset::UNKNOWN_SESSION);
            frame.mutable_reset()->set_message("node " + welcome_.node() + " doesn't know this session");
            queue_unnumbered(frame, batch_.session());
            return events_.on_dialer_rejected("a batch of an unknown session", now);
        }
        if (up_) end_session("the dialer opened a new session", now);
        if (closed_) return;
        greet(hello->hello(), batch_.session(), now);
        if (!up_ || batch_.session() != session_) return;
        begin = 1;
    } else {
        last_heard_ = now;
        switch (batch_.sequence(received_)) {
            case BatchParser::Sequence::next: break;
            case BatchParser::Sequence::missing: return reset(v1::Reset::MISSING_FRAME, "frames are missing", now);
            case BatchParser::Sequence::repeated:
                return reset(v1::Reset::MALFORMED, "a frame number was repeated", now);
        }
        if (batch_.ack() >= queue_.next_number()) {
            return reset(v1::Reset::MALFORMED, "what was never sent was acknowledged", now);
        }
        acked_ = std::max(acked_, batch_.ack());
    }

    for (std::size_t i = begin; i < batch_.frames(); ++i) {
        v1::Frame* const parsed = batch_.frame(i);
        if (parsed == nullptr) return reset(v1::Reset::MALFORMED, "these bytes are no frame", now);
        v1::Frame& frame = *parsed;
        ++received_;
        switch (frame.body_case()) {
            case v1::Frame::BODY_NOT_SET: break;  // a kind that was added after this was written
            case v1::Frame::kBye: return end_session("the dialer said bye", now);
            case v1::Frame::kHello:
            case v1::Frame::kWelcome:
            case v1::Frame::kReset:
            case v1::Frame::kRefused: return reset(v1::Reset::MALFORMED, "a frame is out of place", now);
            default: events_.on_dialer_frame(frame, now);
        }
        if (!up_) return report_overflow(now);
    }
}

void LinkListener::on_unreachable(Instant now) {
    report_overflow(now);
    unnumbered_.clear();
    if (up_) end_session("the dialer is unreachable", now);
}

void LinkListener::on_tick(Instant now) {
    report_overflow(now);
    if (up_ && now - last_heard_ >= timings_.dead) {
        end_session("the dialer was silent for " + std::to_string((now - last_heard_).count()) + " ms", now);
    }
}

bool LinkListener::send(std::string_view frame, Instant) {
    if (!up_) return false;
    if (!queue_.empty() && queue_.bytes() + frame.size() > max_queued_) {
        up_ = false;
        overflowed_ = true;
        queue_.clear();
        v1::Frame reset;
        reset.mutable_reset()->set_reason(v1::Reset::OVERFLOW);
        reset.mutable_reset()->set_message("more than " + std::to_string(max_queued_) + " bytes waited");
        queue_unnumbered(reset, session_);
        return false;
    }
    queue_.push(frame);
    return true;
}

bool LinkListener::wants_send(Instant now) const noexcept {
    if (!unnumbered_.empty() || !queue_.empty()) return true;
    if (!up_) return false;
    return now - last_sent_ >= timings_.heartbeat ||
           (received_ > ack_sent_ && now - last_sent_ >= timings_.heartbeat / 4);
}

bool LinkListener::next_batch(std::string& out, Instant now) {
    if (!wants_send(now)) return false;
    if (!unnumbered_.empty()) {
        out = std::move(unnumbered_.front().batch);
        unnumbered_.pop_front();
        return true;
    }
    queue_.pop(out, session_, received_);
    ack_sent_ = received_;
    last_sent_ = now;
    return true;
}

void LinkListener::close(Instant) {
    if (up_) {
        v1::Frame bye;
        bye.mutable_bye();
        queue_.push(bye.SerializeAsString());
    }
    up_ = false;
    closed_ = true;
    overflowed_ = false;
}

bool LinkListener::idle(Instant now) const noexcept {
    return !up_ && !overflowed_ && now - last_heard_ >= timings_.dead;
}

void LinkListener::greet(const v1::Hello& hello, std::uint64_t session, Instant now) {
    const LinkVersions theirs{hello.oldest_version() != 0 ? hello.oldest_version() : hello.version(), hello.version()};
    const std::uint32_t version = versions_.common(theirs);
    if (version == 0) {
        return refuse(describe(hello) + " speaks link version " + theirs.text() + ", node " + welcome_.node() +
                          " speaks " + versions_.text(),
                      session, now);
    }
    if (hello.kind() != v1::Hello::WORKER && hello.kind() != v1::Hello::PEER && hello.kind() != v1::Hello::TOOL) {
        return refuse("Hello says neither worker nor peer nor tool", session, now);
    }
    session_ = session;
    received_ = 1;
    acked_ = ack_sent_ = 0;
    last_heard_ = last_sent_ = now;
    queue_.clear();
    v1::Frame frame;
    *frame.mutable_welcome() = welcome_;
    frame.mutable_welcome()->set_version(version);
    queue_.push(frame.SerializeAsString());
    up_ = true;

    const std::string refusal = events_.on_dialer_up(hello, now);
    if (refusal.empty()) return;
    up_ = false;
    overflowed_ = false;  // it never was up for the owner
    queue_.clear();
    refuse(refusal, session, now);
}

void LinkListener::reset(v1::Reset::Reason reason, std::string_view message, Instant now) {
    v1::Frame frame;
    frame.mutable_reset()->set_reason(reason);
    frame.mutable_reset()->set_message(std::string(message));
    queue_unnumbered(frame, session_);
    events_.on_dialer_rejected(message, now);
    end_session(message, now);
}

void LinkListener::refuse(std::string_view message, std::uint64_t session, Instant now) {
    v1::Frame frame;
    frame.mutable_refused()->set_version(versions_.newest);
    frame.mutable_refused()->set_incarnation(welcome_.incarnation());
    frame.mutable_refused()->set_message(std::string(message));
    queue_unnumbered(frame, session);
    events_.on_dialer_rejected(message, now);
}

void LinkListener::queue_unnumbered(const v1::Frame& frame, std::uint64_t session) {
    v1::Batch batch;
    batch.set_session(session);
    *batch.add_frames() = frame;
    if (unnumbered_.size() == kMaxUnnumbered) unnumbered_.pop_front();
    unnumbered_.push_back({session, batch.SerializeAsString()});
}

void LinkListener::end_session(std::string_view why, Instant now) {
    up_ = false;
    queue_.clear();
    events_.on_dialer_down(why, now);
}

void LinkListener::report_overflow(Instant now) {
    if (!overflowed_) return;
    overflowed_ = false;
    events_.on_dialer_rejected("it did not take what was queued for it", now);
    events_.on_dialer_down("it did not take what was queued for it", now);
}

}  // namespace weft
