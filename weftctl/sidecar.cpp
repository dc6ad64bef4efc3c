#include "sidecar.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>
#include <zmq.hpp>

#include "command.hpp"
#include "weft/codes.hpp"
#include "weft/link_session.hpp"
#include "weft/shard.hpp"

namespace weft {

namespace {

using std::chrono::milliseconds;

Instant clock_now() {
    return std::chrono::time_point_cast<Instant::duration>(std::chrono::steady_clock::now());
}

std::uint64_t random_number() {
    const std::string bytes = random_bytes(sizeof(std::uint64_t));
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data(), sizeof(number));
    return number;
}

v1::Hello make_hello(unsigned shards, unsigned shard) {
    v1::Hello hello;
    hello.set_kind(v1::Hello::TOOL);
    hello.set_name("weftctl/" + std::to_string(::getpid()));
    hello.set_incarnation(random_number());
    hello.set_software("weft/" WEFT_VERSION);
    hello.set_shards(shards);
    hello.set_shard(shard);
    return hello;
}

constexpr const char* kMonitor = "inproc://monitor";

}  // namespace

class Sidecar::Session final : private LinkDialer::Events {
public:
    Session(const Options& options, std::string address, unsigned shards, unsigned shard)
        : address_(std::move(address)),
          timeout_(static_cast<std::int64_t>(options.timeout * 1000)),
          dialer_(make_hello(shards, shard), LinkTimings{}, random_number, *this) {
        socket_.set(zmq::sockopt::linger, 300);
        if (zmq_socket_monitor(socket_.handle(), kMonitor, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) !=
            0) {
            throw Failure(std::string("ZeroMQ: ") + zmq_strerror(zmq_errno()));
        }
        monitor_.connect(kMonitor);
        try {
            socket_.connect(address_);
        } catch (const zmq::error_t& error) {
            throw UsageError("--sidecar " + address_ + ": " + error.what() +
                             "; expected an address such as ipc:///run/weft/weftd.sock");
        }
        wait([this] { return dialer_.up(); }, "no weftd answers at " + address_);
    }

    ~Session() override {
        try {
            dialer_.close(clock_now());
            send();
        } catch (const zmq::error_t&) {
            // weftd will notice by itself that we are gone.
        }
        zmq_socket_monitor(socket_.handle(), nullptr, 0);
    }

    /// Of the weftd that answers; at least 1.
    [[nodiscard]] unsigned shards() const noexcept { return shards_; }
    [[nodiscard]] bool knows_clients() const noexcept { return knows_clients_; }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }

    void send(const v1::Frame& frame) {
        dialer_.send(frame);
        send();
    }

    std::optional<v1::Frame> next(const volatile std::sig_atomic_t& stopped, bool& lost) {
        lost = false;
        lost_ = false;
        while (unasked_.empty() && stopped == 0) {
            poll(milliseconds(200));
            if (lost_ && dialer_.up()) {
                lost = true;
                return std::nullopt;
            }
        }
        if (unasked_.empty()) return std::nullopt;
        v1::Frame frame = std::move(unasked_.front());
        unasked_.pop_front();
        return frame;
    }

    v1::Frame ask(const v1::Frame& frame) {
        dialer_.send(frame);
        wait([this] { return answer_.has_value(); }, "weftd at " + address_ + " did not answer in time");
        if (answer_->has_failed()) {
            const v1::Failed& failed = answer_->failed();
            throw Failure(failed.message() + " (" + std::to_string(failed.code()) + " " +
                          std::string(reason(static_cast<Code>(failed.code()))) + ")");
        }
        return *std::exchange(answer_, std::nullopt);
    }

private:
    template <class Done>
    void wait(Done done, const std::string& why_not) {
        const Instant deadline = clock_now() + timeout_;
        while (!done()) {
            const Instant now = clock_now();
            if (now >= deadline) throw Failure(why_not);
            poll(std::min(deadline - now, milliseconds(100)));
        }
    }

    void poll(milliseconds timeout) {
        zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {monitor_.handle(), 0, ZMQ_POLLIN, 0}};
        if (zmq_poll(items, std::size(items), timeout.count()) < 0 && zmq_errno() != EINTR) {
            throw Failure(std::string("ZeroMQ: ") + zmq_strerror(zmq_errno()));
        }
        turn();
        if (!refusal_.empty()) throw Failure("weftd at " + address_ + " refused: " + refusal_);
    }

    void turn() {
        zmq::message_t message;
        while (socket_.recv(message, zmq::recv_flags::dontwait)) {
            dialer_.on_message(message.to_string_view(), clock_now());
        }
        while (monitor_.recv(message, zmq::recv_flags::dontwait)) {
            std::uint16_t event = 0;
            std::memcpy(&event, message.data(), std::min(sizeof(event), message.size()));
            while (message.more()) (void)monitor_.recv(message);
            if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
                dialer_.on_connected(clock_now());
            } else {
                dialer_.on_disconnected("disconnected", clock_now());
            }
        }
        dialer_.on_tick(clock_now());
        send();
    }

    void send() {
        while (dialer_.wants_send(clock_now())) {
            dialer_.next_batch(batch_, clock_now());
            (void)socket_.send(zmq::buffer(batch_), zmq::send_flags::dontwait);
        }
    }

    static bool answers(const v1::Frame& frame) noexcept {
        return frame.has_published() || frame.has_rpc_result() || frame.has_history_page() ||
               frame.has_members_page() || frame.has_channels_page() || frame.has_clients_page() ||
               frame.has_nodes_page() || (frame.has_failed() && frame.failed().request() != 0);
    }

    void on_link_up(const v1::Welcome& welcome, Instant) override {
        shards_ = std::max(1U, welcome.shards());
        knows_clients_ = welcome.clients();
    }
    void on_link_down(std::string_view, Instant) override { lost_ = true; }
    void on_link_frame(v1::Frame& frame, Instant) override {
        if (answers(frame)) {
            answer_ = frame;
        } else {
            unasked_.push_back(frame);
        }
    }
    void on_link_refused(const v1::Refused& refused, Instant) override { refusal_ = refused.message(); }

    std::string address_;
    milliseconds timeout_;
    unsigned shards_ = 1;
    bool knows_clients_ = false;
    bool lost_ = false;
    LinkDialer dialer_;
    zmq::context_t context_;
    zmq::socket_t socket_{context_, zmq::socket_type::dealer};
    zmq::socket_t monitor_{context_, zmq::socket_type::pair};
    std::string batch_;
    std::optional<v1::Frame> answer_;
    std::deque<v1::Frame> unasked_;  // as many as came in one turn: they are taken before the next
    std::string refusal_;
};

void Sidecar::add_options(CLI::App& command, Options& options) {
    command.add_option("--sidecar", options.address, "Where weftd listens for workers")
        ->envname("WEFT_SIDECAR")
        ->capture_default_str();
    command.add_option("--timeout", options.timeout, "Seconds to wait for weftd")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
}

std::unique_ptr<Sidecar::Session> Sidecar::dial(const Options& options, unsigned shards, unsigned shard) {
    const auto address = shard_address(options.address, shard);
    if (!address) throw Failure("weftd at " + options.address + " has shards whose addresses can't be told from that");
    return std::make_unique<Session>(options, *address, shards, shard);
}

Sidecar::Sidecar(std::unique_ptr<Session> session) : session_(std::move(session)) {}

Sidecar::Sidecar(const Options& options, std::string_view channel) : session_(dial(options, 0, 0)) {
    const unsigned shards = session_->shards();
    const unsigned shard = channel.empty() ? 0 : shard_of(channel, shards);
    if (shard != 0) session_ = dial(options, shards, shard);
}

std::vector<v1::Frame> Sidecar::ask_all(const Options& options, const v1::Frame& frame) {
    Sidecar first(options);
    std::vector<v1::Frame> answers = {first.ask(frame)};
    const unsigned shards = first.session_->shards();
    for (unsigned shard = 1; shard < shards; ++shard) {
        answers.push_back(Sidecar(dial(options, shards, shard)).ask(frame));
    }
    return answers;
}

Sidecar::~Sidecar() = default;

void Sidecar::expect_clients() const {
    if (session_->knows_clients()) return;
    throw Failure("weftd at " + session_->address() + " is of a version that can't list clients");
}

v1::Frame Sidecar::ask(const v1::Frame& frame) {
    return session_->ask(frame);
}

std::optional<v1::Frame> Sidecar::next(const volatile std::sig_atomic_t& stopped, bool& lost) {
    return session_->next(stopped, lost);
}

void Sidecar::send(const v1::Frame& frame) {
    session_->send(frame);
}

}  // namespace weft
