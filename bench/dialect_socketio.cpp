// Socket.IO 5 over Engine.IO 4, WebSocket alone (no polling first): socket.io's protocol documents. The first digit is
// Engine.IO's packet type (0 open, 2 ping, 3 pong, 4 message), the second Socket.IO's (0 connect, 2 event, 3 ack).
#include "client_frames.hpp"
#include "dialect.hpp"

namespace weft::bench {
namespace {

class SocketIoDialect final : public Dialect {
public:
    [[nodiscard]] Request request(Role, std::uint32_t) const override {
        return {"/socket.io/?EIO=4&transport=websocket", {}};
    }

    Step on_open(Role, std::uint32_t, std::string&) const override { return Step::wait; }

    Step on_message(Role role, std::uint32_t channel, std::string_view message, std::string& out) const override {
        if (message.starts_with("0")) {
            append_client_frame(out, Opcode::text, "40");
        } else if (message.starts_with("40")) {
            if (role == Role::publisher) return Step::ready;
            append_client_frame(out, Opcode::text, R"(420["s",")" + channel_name(channel) + R"("])");
        } else if (message.starts_with("430")) {
            return Step::ready;
        } else if (message.starts_with("44")) {
            return Step::failed;
        } else {
            on_aside(message, out);
        }
        return Step::wait;
    }

    bool on_aside(std::string_view message, std::string& out) const override {
        if (message == "2") append_client_frame(out, Opcode::text, "3");
        return true;
    }

    void append_publication(std::string& out, std::uint32_t channel, std::string_view payload) const override {
        thread_local std::string text;
        text.assign(R"(42["p",")").append(channel_name(channel)).append(R"(",")").append(payload).append(R"("])");
        append_client_frame(out, Opcode::text, text);
    }
};

}  // namespace

std::unique_ptr<Dialect> make_socketio_dialect() {
    return std::make_unique<SocketIoDialect>();
}

}  // namespace weft::bench
