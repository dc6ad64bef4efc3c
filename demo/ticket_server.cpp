// weft-demo-tickets: gives whoever asks a ticket that is good for a minute. For the demo alone: a real application
// signs tickets where it knows who is asking, in its own back end.
//
//   GET or POST /ticket?name=Ada  ->  {"ticket":"eyJ…","expires_in":60}
#include <httplib.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "auth/ticket.hpp"
#include "codec/json_codec.hpp"
#include "websocket/utf8.hpp"

namespace {

constexpr std::chrono::seconds kLifetime{60};
constexpr std::size_t kMaxName = 128;  // bytes
constexpr const char* kJson = "application/json";

/// What is wrong with `name`, or nothing.
std::string_view fault_of(std::string_view name) {
    if (name.empty()) return "name is missing: expected /ticket?name=NAME";
    if (name.size() > kMaxName) return "name is too long: at most 128 bytes";
    if (!weft::websocket::is_utf8(name)) return "name is not UTF-8";
    bool visible = false;
    for (const unsigned char c : name) {
        if (c < 0x20 || c == 0x7f) return "name has a control character";
        visible = visible || c != ' ';
    }
    return visible ? std::string_view{} : "name is blank";
}

std::string claims_for(std::string_view name, std::chrono::system_clock::time_point now) {
    const auto issued = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
    std::string claims = R"({"sub":)";
    weft::append_json_string(claims, name);
    claims += R"(,"iat":)" + std::to_string(issued.count());
    claims += R"(,"exp":)" + std::to_string((issued + kLifetime).count());
    claims += R"(,"channels":{"chat:*":["subscribe","publish","signal","presence","history"]},"rpc":["weft.*"]})";
    return claims;
}

void answer_error(httplib::Response& response, int status, std::string_view message) {
    std::string body = R"({"error":)";
    weft::append_json_string(body, message);
    response.status = status;
    response.set_content(body + "}\n", kJson);
}

void answer_ticket(const httplib::Request& request, httplib::Response& response, const std::string& key) {
    response.set_header("Cache-Control", "no-store");
    const std::string name = request.get_param_value("name");
    if (const auto fault = fault_of(name); !fault.empty()) return answer_error(response, 400, fault);

    const auto ticket = weft::sign_ticket(claims_for(name, std::chrono::system_clock::now()), key);
    if (!ticket) {
        std::fprintf(stderr, "weft-demo-tickets: %s\n", ticket.error().c_str());
        return answer_error(response, 500, "the ticket could not be signed");
    }
    std::string body = R"({"ticket":)";
    weft::append_json_string(body, *ticket);
    body += R"(,"expires_in":)" + std::to_string(kLifetime.count()) + "}\n";
    response.set_content(body, kJson);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Signs one-minute tickets for the Weft demo, on 127.0.0.1 only."};
    std::string key_file;
    std::string port_file;
    std::uint16_t port = 0;
    app.add_option("--key", key_file, "key file, the one that weft_ticket names in nginx.conf")->required();
    app.add_option("--port", port, "port to listen on; 0, the default, for any free one");
    app.add_option("--port-file", port_file, "file to write the port into once it is open");
    CLI11_PARSE(app, argc, argv);

    std::ifstream file(key_file, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    if (!file.is_open() || file.bad()) {
        std::fprintf(stderr, "weft-demo-tickets: %s can't be read\n", key_file.c_str());
        return 1;
    }
    const auto key = weft::read_key(content);
    if (!key) {
        std::fprintf(stderr, "weft-demo-tickets: %s: %s\n", key_file.c_str(), key.error().c_str());
        return 1;
    }

    httplib::Server server;
    const auto handler = [&key](const httplib::Request& request, httplib::Response& response) {
        answer_ticket(request, response, *key);
    };
    server.Get("/ticket", handler);
    server.Post("/ticket", handler);

    const int bound = port == 0 ? server.bind_to_any_port("127.0.0.1") : port;
    if (bound < 0 || (port != 0 && !server.bind_to_port("127.0.0.1", port))) {
        std::fprintf(stderr, "weft-demo-tickets: 127.0.0.1:%u can't be listened on\n", static_cast<unsigned>(port));
        return 1;
    }
    if (!port_file.empty()) {
        const std::string unfinished = port_file + ".new";
        std::ofstream(unfinished) << bound << '\n';
        if (std::rename(unfinished.c_str(), port_file.c_str()) != 0) std::perror(port_file.c_str());
    }
    std::printf("listening on 127.0.0.1:%d\n", bound);
    std::fflush(stdout);
    // It holds nothing that a stop could lose, so signals end it in their ordinary way.
    return server.listen_after_bind() ? 0 : 1;
}
