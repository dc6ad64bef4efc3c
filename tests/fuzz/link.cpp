// Arbitrary bytes into both ends of a link, with a Broker behind them: no input may crash, hang, or make an end keep
// more than its bounds allow.
//
// The input is a list of steps. The two low bits of a step's first byte say what it is (bytes for the listener of a
// worker, for the listener of a peer, for the dialer; or time that passes), the next two bytes how long it is, or how
// much time passes. Bytes for an end are taken as a whole batch, or, with bit 4 set, as one Frame that is put into a
// batch of the open session, so that the fuzzer need not guess a session.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "broker/broker.hpp"
#include "weft/link_session.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr LinkTimings kTimings{1000ms, 3000ms, 10000ms};
constexpr std::size_t kMaxQueued = 1024 * 1024;
constexpr std::size_t kMaxSteps = 256;

struct Input {
    std::string_view rest;

    std::string_view take(std::size_t size) {
        const std::string_view part = rest.substr(0, size);
        rest.remove_prefix(part.size());
        return part;
    }
    std::uint8_t byte() {
        const std::string_view one = take(1);
        return one.empty() ? 0 : static_cast<std::uint8_t>(one[0]);
    }
};

class Rig : public Broker::Outbox {
public:
    Rig()
        : broker_(
              settings(), [this] { return ++random_; }, *this) {
        for (LinkId link = 1; link <= 2; ++link) {
            const bool worker = link == 1;
            listeners_[link] = std::make_unique<Listening>(*this, link, worker ? LinkRole::worker : LinkRole::peer_in);
        }
        dialing_ = std::make_unique<Dialing>(*this);
        dialing_->dialer.on_connected(now_);
    }

    void run(Input input) {
        for (std::size_t i = 0; i < kMaxSteps && !input.rest.empty(); ++i) {
            const std::uint8_t what = input.byte();
            const std::size_t size = input.byte() | std::size_t{input.byte()} << 8;
            const std::string_view bytes = input.take(size);
            const bool as_frame = (what & 0x10) != 0;
            switch (what & 0x03) {
                case 0: to_listener(1, bytes, as_frame); break;
                case 1: to_listener(2, bytes, as_frame); break;
                case 2: to_dialer(bytes, as_frame); break;
                case 3: pass(std::chrono::milliseconds{size % 5000}); break;
            }
        }
        pass(70s);
    }

    void send(LinkId link, std::string_view frame) override {
        if (link == kDialerLink) {
            dialing_->dialer.send_encoded(frame);
        } else if (link < 3 && listeners_[link]) {
            listeners_[link]->listener.send(frame, now_);
        }
    }

private:
    static constexpr LinkId kDialerLink = 3;

    static BrokerSettings settings() {
        BrokerSettings settings;
        settings.node = "fuzz";
        settings.max_channels = 16;
        return settings;
    }

    struct Listening : LinkListener::Events {
        Listening(Rig& rig, LinkId link, LinkRole role)
            : rig(rig), link(link), role(role), listener(v1::Welcome{}, kTimings, kMaxQueued, *this) {}
        std::string on_dialer_up(const v1::Hello& hello, Instant now) override {
            rig.broker_.on_link_up(link, role, hello.name(), now,
                                   {.incarnation = hello.incarnation(), .clients = hello.clients()});
            return {};
        }
        void on_dialer_down(std::string_view, Instant now) override { rig.broker_.on_link_down(link, now); }
        void on_dialer_frame(v1::Frame& frame, Instant now) override {
            rig.broker_.on_frame(link, frame, now, WallTime{});
        }
        void on_dialer_rejected(std::string_view, Instant) override {}

        Rig& rig;
        LinkId link;
        LinkRole role;
        std::uint64_t next = 1;  // number of the next frame that the fuzzer puts in
        LinkListener listener;
    };

    struct Dialing : LinkDialer::Events {
        explicit Dialing(Rig& rig)
            : rig(rig),
              dialer(
                  v1::Hello{}, kTimings, [&rig] { return ++rig.random_; }, *this) {}
        void on_link_up(const v1::Welcome& welcome, Instant now) override {
            rig.broker_.on_link_up(kDialerLink, LinkRole::peer_out, welcome.node(), now,
                                   {.clients = welcome.clients()});
        }
        void on_link_down(std::string_view, Instant now) override { rig.broker_.on_link_down(kDialerLink, now); }
        void on_link_frame(v1::Frame& frame, Instant now) override {
            rig.broker_.on_frame(kDialerLink, frame, now, WallTime{});
        }
        void on_link_refused(const v1::Refused&, Instant) override {}

        Rig& rig;
        std::uint64_t session = 0, next = 1;
        LinkDialer dialer;
    };

    static std::string batch_of(const v1::Frame& frame, std::uint64_t session, std::uint64_t first) {
        v1::Batch batch;
        batch.set_session(session);
        batch.set_first(first);
        *batch.add_frames() = frame;
        return batch.SerializeAsString();
    }

    void to_listener(LinkId link, std::string_view bytes, bool as_frame) {
        Listening& end = *listeners_[link];
        if (!as_frame) {
            end.listener.on_message(bytes, now_);
            return drain();
        }
        v1::Frame frame;
        if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
        if (!end.listener.up()) {
            v1::Frame hello;
            hello.mutable_hello()->set_version(kLinkVersion);
            hello.mutable_hello()->set_kind(v1::Hello::WORKER);
            end.listener.on_message(batch_of(hello, ++sessions_, 1), now_);
            session_of_[link] = sessions_;
            end.next = 2;
        }
        end.listener.on_message(batch_of(frame, session_of_[link], end.next++), now_);
        drain();
    }

    void to_dialer(std::string_view bytes, bool as_frame) {
        Dialing& end = *dialing_;
        if (!as_frame) {
            end.dialer.on_message(bytes, now_);
            return drain();
        }
        v1::Frame frame;
        if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
        if (end.dialer.state() == LinkDialer::State::greeting) {
            v1::Frame welcome;
            welcome.mutable_welcome()->set_version(kLinkVersion);
            welcome.mutable_welcome()->set_node("b");
            end.dialer.on_message(batch_of(welcome, end.session, 1), now_);
            end.next = 2;
        }
        end.dialer.on_message(batch_of(frame, end.session, end.next++), now_);
        drain();
    }

    // What an end sends is thrown away, except that the dialer's session is learned from it.
    void drain() {
        std::string bytes;
        v1::Batch batch;
        for (auto& listening : listeners_) {
            if (!listening) continue;
            if (listening->listener.queued_bytes() > 2 * kMaxQueued) std::abort();
            while (listening->listener.next_batch(bytes, now_)) continue;
        }
        while (dialing_->dialer.next_batch(bytes, now_)) {
            // Strings of the fuzzer's making may make what is sent unreadable to protobuf; that is the peer's affair.
            if (batch.ParseFromString(bytes)) dialing_->session = batch.session();
        }
        if (broker_.counts().channels > settings().max_channels) std::abort();
    }

    void pass(std::chrono::milliseconds time) {
        now_ += time;
        for (auto& listening : listeners_) {
            if (listening) listening->listener.on_tick(now_);
        }
        dialing_->dialer.on_tick(now_);
        broker_.on_tick(now_);
        drain();
    }

    Instant now_{1000ms};
    std::uint64_t random_ = 0;
    std::uint64_t sessions_ = 0;
    std::uint64_t session_of_[3]{};
    Broker broker_;
    std::unique_ptr<Listening> listeners_[3];  // by LinkId
    std::unique_ptr<Dialing> dialing_;
};

}  // namespace
}  // namespace weft

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    weft::Rig rig;
    rig.run({{reinterpret_cast<const char*>(data), size}});
    return 0;
}
