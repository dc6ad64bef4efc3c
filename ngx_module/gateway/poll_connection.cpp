#include "gateway/poll_connection.hpp"

#include "codec/json_codec.hpp"
#include "gateway/gateway.hpp"

namespace weft {

void PollConnection::probe() {
    over_ = true;
    set_phase(Phase::finished);
}

Connection::Phase PollConnection::say_goodbye(std::uint16_t code, std::string_view why) {
    if (closed_by_peer()) return Phase::aborted;
    if (over_) return Phase::finished;
    std::string bytes;
    static_cast<StreamWire&>(wire()).append_end(code, why, bytes);
    push_raw(bytes);
    return Phase::finished;
}

bool PollConnection::is_news(const PollRecord& record) const noexcept {
    switch (record.kind) {
        case PollRecord::Kind::news:
        case PollRecord::Kind::behind: return true;
        case PollRecord::Kind::entered: return false;
        case PollRecord::Kind::member: return record.text.empty() || record.text != user();
    }
    return true;
}

void PollConnection::take(const PollRecord& record) {
    const bool entered = record.kind == PollRecord::Kind::entered || record.kind == PollRecord::Kind::behind;
    if (entered && outside_ > 0) --outside_;
    news_ = news_ || is_news(record);
    if (record.kind != PollRecord::Kind::member) {
        if (const auto entry = split_channel_position(record.text)) positions_.set(entry->channel, entry->position);
    }
    if (!frames_.empty()) frames_ += ',';
    frames_ += record.message;
}

bool PollConnection::collect() {
    while (!queue().empty()) {
        // One chunk at a time: whole records.
        const std::string_view chunk = next_bytes(nullptr, 0);
        for (std::string_view rest = chunk; !rest.empty();) {
            const PollRecord record = PollRecord::take(rest);
            // A position brings it with the next answer. What has none would never be told.
            const bool can_wait = record.kind == PollRecord::Kind::news && !record.text.empty();
            if (!can_wait || frames_.size() < kEnough) {
                take(record);
            } else {
                news_ = true;
            }
        }
        on_written(chunk.size());
    }
    return news_ || (at_once_ && outside_ == 0) || phase() == Phase::finished;
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
