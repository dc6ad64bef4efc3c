#include "e2e/test_link.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "e2e/weftd_process.hpp"

namespace weft::e2e {
namespace {

std::uint64_t random_bits() {
    static std::mt19937_64 generator(std::random_device{}());
    return generator();
}

}  // namespace

Instant now() {
    return std::chrono::time_point_cast<Instant::duration>(std::chrono::steady_clock::now());
}

zmq::context_t& context() {
    static zmq::context_t one;
    return one;
}

TestLink::TestLink(const std::string& endpoint, v1::Hello hello, LinkVersions versions)
    : dialer_(std::move(hello), {}, random_bits, *this, versions),
      socket_(context(), zmq::socket_type::dealer),
      monitor_(context(), zmq::socket_type::pair) {
    socket_.set(zmq::sockopt::immediate, true);
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::reconnect_ivl, 50);
    monitor_.set(zmq::sockopt::linger, 0);
    const std::string address = "inproc://monitor-" + std::to_string(random_bits());
    zmq_socket_monitor(socket_.handle(), address.c_str(), ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    monitor_.connect(address);
    socket_.connect(endpoint);
}

TestLink::~TestLink() {
    // First, or ZeroMQ's thread waits for ever to hand an event to a monitor that is gone.
    zmq_socket_monitor(socket_.handle(), nullptr, 0);
}

v1::Hello TestLink::worker(std::string_view name) {
    v1::Hello hello;
    hello.set_kind(v1::Hello::WORKER);
    hello.set_name(std::string(name));
    hello.set_incarnation(random_bits());
    hello.set_software("weft-e2e");
    return hello;
}

v1::Hello TestLink::peer(std::string_view node, std::string_view listen) {
    v1::Hello hello = worker(node);
    hello.set_kind(v1::Hello::PEER);
    hello.mutable_peer()->set_node(std::string(node));
    hello.mutable_peer()->set_listen(std::string(listen));
    return hello;
}

bool TestLink::until(const std::function<bool()>& done) {
    const Instant deadline = now() + kPatience;
    while (!done()) {
        if (now() > deadline) return false;
        turn();
    }
    return true;
}

void TestLink::subscribe(std::string_view channel) {
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(std::string(channel));
    dialer_.send(frame);
}

void TestLink::publish(std::string_view channel, std::string_view data, std::uint64_t request) {
    v1::Frame frame;
    frame.mutable_publish()->set_channel(std::string(channel));
    frame.mutable_publish()->set_data(std::string(data));
    frame.mutable_publish()->set_request(request);
    dialer_.send(frame);
}

const v1::Frame* TestLink::find(const std::function<bool(const v1::Frame&)>& matches) const {
    const auto found = std::ranges::find_if(frames, matches);
    return found == frames.end() ? nullptr : &*found;
}

bool TestLink::subscribed(std::string_view channel) const {
    return find([&](const v1::Frame& f) { return f.has_subscribed() && f.subscribed().channel() == channel; }) !=
           nullptr;
}

int TestLink::received(std::string_view channel, std::string_view data) const {
    return static_cast<int>(std::ranges::count_if(frames, [&](const v1::Frame& f) {
        return f.has_publication() && f.publication().channel() == channel && f.publication().data() == data;
    }));
}

void TestLink::on_link_up(const v1::Welcome& accepted, Instant) {
    welcome = accepted;
}

void TestLink::on_link_down(std::string_view why, Instant) {
    downs.emplace_back(why);
}

void TestLink::on_link_frame(v1::Frame& frame, Instant) {
    frames.push_back(frame);
}

void TestLink::on_link_refused(const v1::Refused& refused, Instant) {
    refusals.push_back(refused.message());
}

void TestLink::turn() {
    zmq_pollitem_t items[] = {{monitor_.handle(), 0, ZMQ_POLLIN, 0}, {socket_.handle(), 0, ZMQ_POLLIN, 0}};
    zmq::poll(items, 2, std::chrono::milliseconds(20));
    zmq::message_t message;
    // What came before a disconnect counts, a Bye above all.
    while (socket_.recv(message, zmq::recv_flags::dontwait)) dialer_.on_message(message.to_string_view(), now());
    while (monitor_.recv(message, zmq::recv_flags::dontwait)) {
        std::uint16_t event = 0;
        std::memcpy(&event, message.data(), sizeof event);
        while (message.more()) (void)monitor_.recv(message);
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            dialer_.on_connected(now());
        } else {
            // It may have come with the event, after the socket was read.
            while (socket_.recv(message, zmq::recv_flags::dontwait))
                dialer_.on_message(message.to_string_view(), now());
            dialer_.on_disconnected("disconnected", now());
        }
    }
    dialer_.on_tick(now());
    while (dialer_.wants_send(now()) && (socket_.get(zmq::sockopt::events) & ZMQ_POLLOUT) != 0) {
        dialer_.next_batch(batch_, now());
        (void)socket_.send(zmq::buffer(batch_), zmq::send_flags::dontwait);
    }
}

}  // namespace weft::e2e
