// The socket on which services connect: one ServiceId for each connection, whole messages both ways.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
#include <zmq.hpp>

#include "call/services.hpp"
#include "config.hpp"
#include "io/log.hpp"
#include "io/socket_file.hpp"
#include "weft/v1/service.pb.h"

namespace weft {

class ServicePort {
public:
    static constexpr std::size_t kMaxConnections = 4'096;  // that are remembered; of those Services::kMax can register
    static constexpr int kSlice = 256;                     // messages taken at once

    class Events {
    public:
        virtual ~Events() = default;
        virtual void on_service_frame(ServiceId service, const v1::ServiceFrame& frame, Instant now) = 0;
        virtual void on_service_gone(ServiceId service, Instant now) = 0;
    };

    /// Binds. Throws StartError. All that is given must outlive this.
    ServicePort(zmq::context_t& context, const Config::Services& config, Events& events, Log& log);

    [[nodiscard]] zmq::socket_ref socket() noexcept { return socket_; }
    /// Takes what arrived, at most kSlice messages. True when more may be waiting.
    bool receive(Instant now);
    /// A service that can't be reached, or doesn't take what it is sent, is gone: Events hear of it at the next
    /// receive() or tick(), never from here.
    void send(ServiceId service, const v1::ServiceFrame& frame);
    void tick(Instant now);

private:
    struct Connection {
        std::string routing_id;
        Instant heard{};
    };
    void tell_gone(Instant now);
    ServiceId identify(const std::string& routing_id, Instant now);
    void forget(ServiceId id);

    Events& events_;
    Log& log_;
    std::unique_ptr<SocketFile> file_;
    zmq::socket_t socket_;
    std::unordered_map<std::string, ServiceId> ids_;  // by routing id
    std::unordered_map<ServiceId, Connection> connections_;
    std::vector<ServiceId> gone_;
    ServiceId last_id_ = 0;
};

}  // namespace weft
