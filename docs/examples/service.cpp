// A service that answers the rpc method greet.hello over ZeroMQ: service ENDPOINT
//
//     protoc --proto_path=proto --cpp_out=. weft/v1/service.proto
//     g++ -std=c++20 -I. service.cpp weft/v1/service.pb.cc -lzmq -lprotobuf-lite -o service
#include <chrono>
#include <cstdio>
#include <string>
#include <zmq.hpp>

#include "weft/v1/service.pb.h"

using weft::v1::ServiceFrame;

int main(int argc, char** argv) {
    if (argc != 2) return std::fprintf(stderr, "usage: %s ENDPOINT\n", argv[0]), 2;
    zmq::context_t context;
    zmq::socket_t socket(context, zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 200);
    socket.connect(argv[1]);

    const auto send = [&](const ServiceFrame& frame) {
        const std::string bytes = frame.SerializeAsString();
        socket.send(zmq::buffer(bytes), zmq::send_flags::none);
    };
    ServiceFrame registration, heartbeat;
    registration.mutable_register_()->set_name("greeter");
    registration.mutable_register_()->add_methods("greet.*");
    heartbeat.mutable_heartbeat();
    send(registration);

    std::chrono::milliseconds interval{1000};
    for (zmq::message_t message;;) {
        zmq::pollitem_t item{socket.handle(), 0, ZMQ_POLLIN, 0};
        if (zmq::poll(&item, 1, interval) == 0) {
            send(heartbeat);
            continue;
        }
        ServiceFrame frame;
        if (!socket.recv(message) || !frame.ParseFromArray(message.data(), static_cast<int>(message.size()))) continue;
        switch (frame.body_case()) {
            case ServiceFrame::kRegistered:
                interval = std::chrono::milliseconds(frame.registered().heartbeat_ms());
                std::printf("registered at node %s\n", frame.registered().node().c_str());
                std::fflush(stdout);
                break;
            case ServiceFrame::kRejected:
                std::fprintf(stderr, "rejected: %s\n", frame.rejected().message().c_str());
                return 1;
            case ServiceFrame::kGoodbye: send(registration); break;  // weftd ends, or has forgotten us
            case ServiceFrame::kHeartbeat: send(heartbeat); break;
            case ServiceFrame::kCall: {
                ServiceFrame out;
                out.mutable_answer()->set_id(frame.call().id());
                if (frame.call().method() == "greet.hello") {
                    out.mutable_answer()->set_result("\"hello\"");
                } else {
                    out.mutable_answer()->mutable_error()->set_code(4018);  // method_not_found
                    out.mutable_answer()->mutable_error()->set_message("no such method");
                }
                send(out);
                break;
            }
            default: break;
        }
    }
}
