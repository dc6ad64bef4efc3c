#include "gateway/websocket_connection.hpp"

#include "websocket/frame_writer.hpp"
#include "weft/v1/move.pb.h"

namespace weft {

WebSocketConnection::WebSocketConnection(Gateway& gateway, const EndpointSettings& endpoint, WebSocketWire& wire,
                                         const std::optional<websocket::DeflateParameters>& deflate)
    : Connection(gateway, endpoint, wire), deflate_(deflate.has_value()) {
    if (deflate) server_window_ = deflate->server_window;
    if (!deflate || (!deflate->server_takeover && !deflate->client_takeover)) return;
    contexts_ = std::make_unique<Contexts>();
    if (deflate->client_takeover) contexts_->inflater.emplace(true, deflate->client_window);
    if (deflate->server_takeover) {
        websocket::DeflateSettings settings = endpoint.compression.deflate;
        settings.window = deflate->server_window;
        contexts_->deflater.emplace(settings, true);
        rewrite_frames();
    }
}

void WebSocketConnection::receive(std::span<char> bytes) {
    gateway().counters().bytes_in.add(bytes.size());
    if (tally() != nullptr) tally()->bytes_in += bytes.size();
    heard();
    if (broken_ || (phase() != Phase::open && phase() != Phase::closing)) return;
    if (const auto violation = parser_.feed(bytes, message_limit(), *this, deflate_)) {
        if (phase() == Phase::open) {
            fail(*violation);
        } else {
            broken_ = true;
            set_phase(Phase::lingering);
        }
    }
}

bool WebSocketConnection::describe(v1::Leaver& leaver) const {
    const auto& wire = static_cast<const WebSocketWire&>(Connection::wire());
    leaver.set_door(v1::Leaver::WEBSOCKET);
    leaver.set_subprotocol(std::string(wire.codec().subprotocol()));
    if (!deflate_) return true;
    v1::DeflateTerms& terms = *leaver.mutable_deflate();
    const bool server = contexts_ && contexts_->deflater, client = contexts_ && contexts_->inflater;
    terms.set_server_takeover(server);
    terms.set_client_takeover(client);
    terms.set_server_window(server_window_);
    terms.set_client_window(client ? contexts_->inflater->window_bits() : websocket::kMaxWindow);
    return true;
}

void WebSocketConnection::pack(v1::Moved& rest) {
    Connection::pack(rest);
    rest.set_half_read(parser_.half_read());
    if (contexts_ && contexts_->inflater) rest.set_window(contexts_->inflater->window());
}

void WebSocketConnection::unpack(const v1::Moved& rest) {
    Connection::unpack(rest);
    if (contexts_ && contexts_->inflater) contexts_->inflater->go_on_from(rest.window());
    if (rest.half_read().empty() || phase() != Phase::open) return;
    std::string bytes = rest.half_read();
    const std::size_t size = bytes.size();
    bytes.resize(size + websocket::kPadding);
    if (const auto violation = parser_.feed({bytes.data(), size}, message_limit(), *this, deflate_)) fail(*violation);
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
    if (closed_by_peer()) return Phase::finished;
    return broken_ ? Phase::lingering : Phase::closing;
}

bool WebSocketConnection::fail(const websocket::Violation& violation) {
    broken_ = true;
    if (violation.code == websocket::Close::message_too_big) gateway().refusals().size.add();
    end(static_cast<std::uint16_t>(violation.code), violation.why);
    return false;
}

bool WebSocketConnection::on_compressed(websocket::Opcode opcode, std::string_view compressed) {
    if (phase() != Phase::open) return true;
    const bool own = contexts_ && contexts_->inflater;
    CompressionScratch& shared = gateway().compression();
    websocket::Inflater& inflater = own ? *contexts_->inflater : shared.inflater;
    const auto message = inflater.inflate(compressed, message_limit(), shared.inflated);
    if (!message) return fail(message.error());
    if (opcode == websocket::Opcode::text && !websocket::is_utf8(*message)) {
        return fail({websocket::Close::invalid_payload, "a text message isn't UTF-8"});
    }
    gateway().counters().compressed_in.add(compressed.size());
    gateway().counters().inflated_in.add(message->size());
    const bool go_on = on_message(opcode, *message);
    shared.trim();
    return go_on;
}

bool WebSocketConnection::on_message(websocket::Opcode opcode, std::string_view message) {
    if (phase() != Phase::open) return true;  // after our close frame, RFC 6455 §1.4
    if (endpoint().echo) {
        echo(opcode, message);
        return true;
    }
    if ((opcode == websocket::Opcode::binary) != wire().codec().binary()) {
        end(static_cast<std::uint16_t>(websocket::Close::unsupported_data),
            wire().codec().binary() ? "this subprotocol takes binary messages only"
                                    : "this subprotocol takes text messages only");
        return true;
    }
    if (undecided()) {
        gateway().hold(*this, message);
        return true;
    }
    take(message);
    return true;
}

void WebSocketConnection::take(std::string_view message) {
    count_message();
    event::Error refusal{};
    const bool within = within_rates(message.size(), refusal);
    if (phase() != Phase::open) return;
    const auto command = wire().codec().decode(message);
    if (!within) {  // decoded all the same: the client must learn which command was not executed
        gateway().fail(*this, command ? command->id : std::string_view(command.error().id), refusal);
    } else if (command) {
        gateway().execute(*this, *command);
    } else if (authenticated()) {
        gateway().refusals().invalid.add();
        gateway().fail(*this, command.error().id, {command.error().code, command.error().message, {}});
    } else {
        gateway().refuse_unknown(*this, command.error().id,
                                 {Code::authentication_required, "expected \"auth\" as the first message", {}});
    }
}

void WebSocketConnection::echo(websocket::Opcode opcode, std::string_view message) {
    count_message();
    event::Error refusal{};
    if (!within_rates(message.size(), refusal)) return;
    std::string frame;
    wire().append_message(opcode, message, frame);
    push_raw(frame);
    gateway().counters().messages_out.add();
    if (tally() != nullptr) ++tally()->messages_out;
}

SharedBytes WebSocketConnection::rewrite(const SharedBytes& frames) {
    CompressionScratch& shared = gateway().compression();
    shared.rewritten.clear();
    for (std::string_view rest = frames.view(); !rest.empty();) {
        const websocket::WrittenFrame frame = websocket::take_frame(rest);
        const std::size_t before = shared.rewritten.size();
        if (frame.opcode >= websocket::Opcode::close) {
            websocket::append_frame(shared.rewritten, frame.opcode, frame.payload);
        } else if (websocket::append_message(shared.rewritten, frame.opcode, frame.payload, *contexts_->deflater,
                                             shared.deflated)) {
            gateway().counters().count_compressed(frame.payload.size(), shared.rewritten.size() - before);
        }
    }
    SharedBytes rewritten(shared.rewritten, frames.frames());
    shared.trim();
    return rewritten;
}

void WebSocketConnection::count_message() noexcept {
    gateway().counters().messages_in.add();
    if (tally() != nullptr) ++tally()->messages_in;
}

bool WebSocketConnection::on_ping(std::string_view payload) {
    if (phase() != Phase::open) return true;
    event::Error refusal{};
    if (!within_rates(payload.size(), refusal)) return true;  // pings cost an answer, so they count like messages
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
        on_goodbye();
        end(code.value_or(static_cast<std::uint16_t>(websocket::Close::normal)), {});
    } else {
        set_phase(Phase::finished);
    }
    return false;
}

}  // namespace weft
