#include "gateway/poll_connection.hpp"

#include "codec/json_codec.hpp"
#include "gateway/gateway.hpp"

namespace weft {

void PollConnection::on_end_of_input() {
    left_ = phase() == Phase::open;
    if (left_) {
        end(static_cast<std::uint16_t>(websocket::Close::normal), {});
    } else {
        on_broken();
    }
}

void PollConnection::probe() {
    over_ = true;
    set_phase(Phase::finished);
}

Connection::Phase PollConnection::say_goodbye(std::uint16_t code, std::string_view why) {
    if (left_) return Phase::aborted;
    if (over_) return Phase::finished;
    std::string bytes;
    static_cast<StreamWire&>(wire()).append_end(code, why, bytes);
    push_raw(bytes);
    return Phase::finished;
}

bool PollConnection::collect() {
    while (!queue().empty()) {
        // One chunk at a time: whole records.
        const std::string_view chunk = next_bytes(nullptr, 0);
        for (std::string_view rest = chunk; !rest.empty();) {
            const PollRecord record = PollRecord::take(rest);
            news_ = news_ || record.news;
            if (const auto entry = split_channel_position(record.position)) {
                positions_.set(entry->channel, entry->position);
            }
            if (!frames_.empty()) frames_ += ',';
            frames_ += record.message;
        }
        on_written(chunk.size());
    }
    return news_ || phase() == Phase::finished;
}

std::string PollConnection::position() const {
    std::string text;
    positions_.append(text);
    return text;
}

std::string PollConnection::answer() const {
    std::string json = "{\"position\":";
    append_json_string(json, position());
    json.append(",\"frames\":[").append(frames_).append("]}\n");
    return json;
}

void PollConnection::on_answered() {
    over_ = true;
    end(static_cast<std::uint16_t>(websocket::Close::normal), {});
}

}  // namespace weft
