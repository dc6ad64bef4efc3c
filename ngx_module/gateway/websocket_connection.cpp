#include "gateway/websocket_connection.hpp"

#include "websocket/frame_writer.hpp"

namespace weft {

void WebSocketConnection::receive(std::span<char> bytes) {
    gateway().counters().bytes_in.add(bytes.size());
    if (tally() != nullptr) tally()->bytes_in += bytes.size();
    heard();
    if (broken_ || (phase() != Phase::open && phase() != Phase::closing)) return;
    if (const auto violation = parser_.feed(bytes, endpoint().max_message, *this)) {
        broken_ = true;
        if (phase() == Phase::open) {
            end(static_cast<std::uint16_t>(violation->code), violation->why);
        } else {
            set_phase(Phase::lingering);
        }
    }
}

void WebSocketConnection::probe() {
    std::string frame;
    websocket::append_frame(frame, websocket::Opcode::ping, {});
    push_raw(frame);
}

Connection::Phase WebSocketConnection::say_goodbye(std::uint16_t code, std::string_view why) {
    std::string frame;
    websocket::append_close(frame, code, why);
    push_raw(frame);
    if (answering_) return Phase::finished;
    return broken_ ? Phase::lingering : Phase::closing;
}

bool WebSocketConnection::on_message(websocket::Opcode opcode, std::string_view message) {
    if (phase() != Phase::open) return true;  // after our close frame, RFC 6455 §1.4
    if (endpoint().echo) {
        echo(opcode, message);
        return true;
    }
    if ((opcode == websocket::Opcode::binary) != wire_.codec().binary()) {
        end(static_cast<std::uint16_t>(websocket::Close::unsupported_data),
            wire_.codec().binary() ? "this subprotocol takes binary messages only"
                                   : "this subprotocol takes text messages only");
        return true;
    }
    count_message();
    std::chrono::milliseconds retry_after{};
    const bool within = within_rate(retry_after);
    if (phase() != Phase::open) return true;
    const auto command = wire_.codec().decode(message);
    if (!within) {  // decoded all the same: the client must learn which command was not executed
        gateway().fail(*this, command ? command->id : std::string_view(command.error().id),
                       {Code::rate_limited, "more messages than this connection may send", retry_after});
    } else if (command) {
        gateway().execute(*this, *command);
    } else {
        gateway().fail(*this, command.error().id, {command.error().code, command.error().message, {}});
    }
    return true;
}

void WebSocketConnection::echo(websocket::Opcode opcode, std::string_view message) {
    count_message();
    std::chrono::milliseconds retry_after{};
    if (!within_rate(retry_after)) return;
    std::string frame;
    websocket::append_frame(frame, opcode, message);
    push_raw(frame);
    gateway().counters().messages_out.add();
    if (tally() != nullptr) ++tally()->messages_out;
}

void WebSocketConnection::count_message() noexcept {
    gateway().counters().messages_in.add();
    if (tally() != nullptr) ++tally()->messages_in;
}

bool WebSocketConnection::on_ping(std::string_view payload) {
    if (phase() != Phase::open) return true;
    std::chrono::milliseconds retry_after{};
    if (!within_rate(retry_after)) return true;  // pings cost an answer, so they count like messages
    if (queue().bytes() > endpoint().send_queue) return true;
    std::string frame;
    websocket::append_frame(frame, websocket::Opcode::pong, payload);
    push_raw(frame);
    return true;
}

bool WebSocketConnection::on_pong(std::string_view) {
    return true;
}

bool WebSocketConnection::on_close(std::optional<std::uint16_t> code, std::string_view) {
    if (phase() == Phase::open) {
        answering_ = true;
        end(code.value_or(static_cast<std::uint16_t>(websocket::Close::normal)), {});
    } else {
        set_phase(Phase::finished);
    }
    return false;
}

}  // namespace weft
