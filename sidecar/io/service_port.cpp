#include "io/service_port.hpp"

#include <utility>

#include "endpoint.hpp"
#include "io/start_error.hpp"
#include "io/zmq_limits.hpp"

namespace weft {
namespace {

constexpr std::chrono::minutes kForgetAfter{1};  // of silence; services say something every second

}  // namespace

ServicePort::ServicePort(zmq::context_t& context, const Config::Services& config, Events& events, Log& log)
    : events_(events), log_(log), socket_(context, zmq::socket_type::router) {
    auto endpoint = Endpoint::parse(config.listen, Endpoint::Use::listen);
    if (!endpoint) throw StartError(endpoint.error());
    if (endpoint->has_file()) file_ = std::make_unique<SocketFile>(endpoint->path);
    socket_.set(zmq::sockopt::router_mandatory, true);  // whoever is gone is noticed when it is sent something
    socket_.set(zmq::sockopt::sndhwm, kHighWaterMark);
    socket_.set(zmq::sockopt::rcvhwm, kHighWaterMark);
    socket_.set(zmq::sockopt::maxmsgsize, kMaxLinkMessage);
    socket_.set(zmq::sockopt::linger, 200);
    socket_.set(zmq::sockopt::handshake_ivl, 5000);
    socket_.set(zmq::sockopt::ipv6, endpoint->ipv6());
    try {
        socket_.bind(endpoint->text);
    } catch (const zmq::error_t& error) {
        throw StartError("can't listen on " + endpoint->text + ": " + error.what());
    }
    if (file_) file_->settle(config.mode, config.group);
}

bool ServicePort::receive(Instant now) {
    zmq::message_t from;
    zmq::message_t message;
    v1::ServiceFrame frame;
    for (int i = 0; i < kSlice; ++i) {
        if (!socket_.recv(from, zmq::recv_flags::dontwait)) {
            tell_gone(now);
            return false;
        }
        if (!from.more()) continue;
        (void)socket_.recv(message, zmq::recv_flags::dontwait);  // all parts arrive together
        const bool one_part = !message.more();
        while (message.more()) (void)socket_.recv(message, zmq::recv_flags::dontwait);
        if (!one_part || !frame.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
            log_.from_link(LogLevel::warn, "service_nonsense", {{"why", "expected one part with a ServiceFrame"}}, now);
            continue;
        }
        const ServiceId id = identify(from.to_string(), now);
        if (id != 0) events_.on_service_frame(id, frame, now);
    }
    tell_gone(now);
    return true;
}

ServiceId ServicePort::identify(const std::string& routing_id, Instant now) {
    const auto known = ids_.find(routing_id);
    if (known != ids_.end()) {
        connections_.at(known->second).heard = now;
        return known->second;
    }
    if (ids_.size() >= kMaxConnections) {
        log_.from_link(LogLevel::warn, "service_refused", {{"why", "too many connections"}}, now);
        return 0;
    }
    ids_.emplace(routing_id, ++last_id_);
    connections_.emplace(last_id_, Connection{routing_id, now});
    return last_id_;
}

void ServicePort::send(ServiceId service, const v1::ServiceFrame& frame) {
    const auto place = connections_.find(service);
    if (place == connections_.end()) return;
    const std::string bytes = frame.SerializeAsString();
    try {
        zmq::message_t to(place->second.routing_id.data(), place->second.routing_id.size());
        if (socket_.send(to, zmq::send_flags::sndmore | zmq::send_flags::dontwait)) {
            zmq::message_t body(bytes.data(), bytes.size());
            (void)socket_.send(body, zmq::send_flags::dontwait);
            return;
        }
    } catch (const zmq::error_t& error) {
        if (error.num() != EHOSTUNREACH) throw;
    }
    gone_.push_back(service);
}

void ServicePort::tell_gone(Instant now) {
    while (!gone_.empty()) {
        const ServiceId id = gone_.back();
        gone_.pop_back();
        if (!connections_.contains(id)) continue;
        forget(id);
        events_.on_service_gone(id, now);
    }
}

void ServicePort::forget(ServiceId id) {
    const auto place = connections_.find(id);
    ids_.erase(place->second.routing_id);
    connections_.erase(place);
}

void ServicePort::tick(Instant now) {
    for (const auto& [id, connection] : connections_) {
        if (now - connection.heard > kForgetAfter) gone_.push_back(id);
    }
    tell_gone(now);
}

}  // namespace weft
