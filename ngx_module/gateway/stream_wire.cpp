#include "gateway/stream_wire.hpp"

#include "codec/frame_type.hpp"
#include "codec/json_codec.hpp"

namespace weft {

namespace {

/// What a stream's framing has to know of a frame.
struct Described {
    std::string_view name;  // empty: a publication
    std::string_view channel;
    std::optional<std::string_view> position = std::nullopt;  // where `channel` stands behind it
};

Described describe(const ServerFrame& frame) noexcept {
    if (const auto* event = std::get_if<event::Event>(&frame.body)) return {{}, event->channel, event->position};
    if (const auto* subscribed = std::get_if<event::Subscribed>(&frame.body)) {
        return {frame_type(frame), subscribed->channel, subscribed->position};
    }
    // `error` is what EventSource calls its own events about the connection.
    if (std::holds_alternative<event::Error>(frame.body)) return {"weft-error", {}};
    return {frame_type(frame), {}};
}

void append_close(std::uint16_t code, std::string_view why, std::string& out) {
    out += R"({"type":"close","payload":{"code":)" + std::to_string(code) + R"(,"reason":)";
    append_json_string(out, why);
    out += "}}";
}

void append_position(const Described& what, std::string& out) {
    out.append(what.channel).append("=").append(*what.position);
}

/// JSON text on one line: a line's end can only stand between its tokens.
void append_on_one_line(std::string_view json, std::string& out) {
    const std::size_t begin = out.size();
    out += json;
    for (std::size_t at = out.find_first_of("\r\n", begin); at != std::string::npos;
         at = out.find_first_of("\r\n", at + 1)) {
        out[at] = ' ';
    }
    out += '\n';
}

class SseWire final : public StreamWire {
public:
    SseWire(std::uint8_t index, Codec& codec) : StreamWire(Kind::sse, index, codec) {}

    void append(const ServerFrame& frame, std::string& out) override {
        if (!codec_.tells(frame)) return;
        const Described what = describe(frame);
        if (what.position) {  // in front, see StreamConnection::rewrite()
            out += "id: ";
            append_position(what, out);
            out += '\n';
        }
        if (const auto* greeting = std::get_if<event::Established>(&frame.body)) {
            append_retry(kRetry + static_cast<std::int64_t>(greeting->client_id % kRetrySpread), out);
        } else if (const auto* reconnect = std::get_if<event::Reconnect>(&frame.body)) {
            append_retry(reconnect->after.count(), out);
        }
        if (!what.name.empty()) out.append("event: ").append(what.name).append("\n");
        append_data(encode(frame), out);
    }

    [[nodiscard]] std::string_view heartbeat() const noexcept override { return ":\n\n"; }

    void append_end(std::uint16_t code, std::string_view why, std::string& out) const override {
        std::string close;
        append_close(code, why, close);
        out += "event: close\n";
        append_data(close, out);
    }

private:
    // Milliseconds until an EventSource comes again, unless it is told otherwise; spread, as all come at once.
    static constexpr std::int64_t kRetry = 1000;
    static constexpr std::uint64_t kRetrySpread = 2000;

    static void append_retry(std::int64_t milliseconds, std::string& out) {
        out += "retry: " + std::to_string(milliseconds) + '\n';
    }

    static void append_data(std::string_view data, std::string& out) {
        while (true) {
            const std::size_t end = data.find_first_of("\r\n");
            out.append("data: ").append(data.substr(0, end)).append("\n");
            if (end == std::string_view::npos) break;
            data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
        }
        out += '\n';
    }
};

class LinesWire final : public StreamWire {
public:
    LinesWire(std::uint8_t index, Codec& codec) : StreamWire(Kind::lines, index, codec) {}

    void append(const ServerFrame& frame, std::string& out) override {
        if (codec_.tells(frame)) append_on_one_line(encode(frame), out);
    }

    [[nodiscard]] std::string_view heartbeat() const noexcept override { return "\n"; }

    void append_end(std::uint16_t code, std::string_view why, std::string& out) const override {
        append_close(code, why, out);
        out += '\n';
    }
};

class PollWire final : public StreamWire {
public:
    PollWire(std::uint8_t index, Codec& codec) : StreamWire(Kind::poll, index, codec) {}

    void append(const ServerFrame& frame, std::string& out) override {
        // Each poll would be greeted anew.
        if (std::holds_alternative<event::Established>(frame.body) || !codec_.tells(frame)) return;
        const Described what = describe(frame);
        const auto* subscribed = std::get_if<event::Subscribed>(&frame.body);
        const auto* change = std::get_if<event::MemberChange>(&frame.body);
        auto kind = change != nullptr ? PollRecord::Kind::member : PollRecord::Kind::news;
        if (subscribed != nullptr) {
            const bool all = subscribed->resumed && subscribed->recovered;
            kind = all ? PollRecord::Kind::entered : PollRecord::Kind::behind;
        }
        out += static_cast<char>(kind);
        if (what.position) append_position(what, out);
        if (change != nullptr) out += change->member.user;
        out += '\n';
        append_on_one_line(encode(frame), out);
    }

    [[nodiscard]] std::string_view heartbeat() const noexcept override { return {}; }

    void append_end(std::uint16_t code, std::string_view why, std::string& out) const override {
        out += "+\n";
        append_close(code, why, out);
        out += '\n';
    }
};

}  // namespace

std::unique_ptr<StreamWire> StreamWire::make(Kind kind, std::uint8_t index, Codec& codec) {
    switch (kind) {
        case Kind::sse: return std::make_unique<SseWire>(index, codec);
        case Kind::lines: return std::make_unique<LinesWire>(index, codec);
        case Kind::poll: break;
    }
    return std::make_unique<PollWire>(index, codec);
}

std::string_view StreamWire::transport() const noexcept {
    switch (kind_) {
        case Kind::sse: return "sse";
        case Kind::lines: return "stream";
        case Kind::poll: break;
    }
    return "poll";
}

bool StreamWire::fits(Kind kind, const Codec& codec) noexcept {
    return kind == Kind::sse ? !codec.binary() : codec.is_json();
}

PollRecord PollRecord::take(std::string_view& bytes) noexcept {
    const auto line = [&bytes] {
        const std::size_t end = bytes.find('\n');
        const std::string_view text = bytes.substr(0, end);
        bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
        return text;
    };
    const std::string_view head = line();
    if (head.empty()) return {Kind::news, {}, line()};
    return {static_cast<Kind>(head.front()), head.substr(1), line()};
}

}  // namespace weft
