#include "websocket/frame_parser.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "websocket/frame_header.hpp"
#include "websocket/unmask.hpp"

namespace weft::websocket {
namespace {

// Bytes that grow by what has come, with kPadding behind them. Two runs share them: the unfinished message, and behind
// it a control frame that came in pieces; the latter is always done before the former goes on.
class Assembly {
public:
    Assembly() = default;
    Assembly(const Assembly&) = delete;
    Assembly& operator=(const Assembly&) = delete;
    ~Assembly() { std::free(bytes_); }

    // `coming` is how much more is sure to follow: the room never grows beyond it. Throws std::bad_alloc.
    void add_to_message(std::string_view piece, std::uint64_t coming) {
        append(piece, coming);
        size_ += piece.size();
    }
    void add_to_control(std::string_view piece, std::uint64_t coming) {
        append(piece, coming);
        control_size_ += piece.size();
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t control_size() const noexcept { return control_size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    [[nodiscard]] std::string_view message() const noexcept { return {bytes_, size_}; }
    [[nodiscard]] std::string_view control() const noexcept { return {bytes_ + size_, control_size_}; }
    void drop_control() noexcept { control_size_ = 0; }

private:
    void append(std::string_view piece, std::uint64_t coming) {
        const std::size_t end = size_ + control_size_ + piece.size();
        const std::size_t need = end + kPadding;
        if (need > capacity_) {
            const std::size_t most = coming > SIZE_MAX - need ? SIZE_MAX : need + static_cast<std::size_t>(coming);
            const std::size_t room = std::max(need, std::min(capacity_ * 2, most));
            auto* const bytes = static_cast<char*>(std::realloc(bytes_, room));
            if (bytes == nullptr) throw std::bad_alloc();
            bytes_ = bytes;
            capacity_ = room;
        }
        std::copy(piece.begin(), piece.end(), bytes_ + end - piece.size());
        std::memset(bytes_ + end, 0, kPadding);
    }

    char* bytes_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
    std::size_t control_size_ = 0;
};

// §7.4: the codes defined and those registered with IANA, save the three that stand for the lack of a code; and the
// ranges of libraries and applications.
bool is_sendable(std::uint16_t code) noexcept {
    if (code >= 3000) return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

// Checks as much of a close frame's payload as has come.
std::optional<Violation> check_close(std::string_view payload, bool whole) noexcept {
    if (payload.size() < 2) return std::nullopt;
    const auto code =
        static_cast<std::uint16_t>(static_cast<std::uint8_t>(payload[0]) << 8 | static_cast<std::uint8_t>(payload[1]));
    if (!is_sendable(code)) return Violation{Close::protocol_error, "a close frame holds a code that can't be sent"};
    Utf8Checker checker;
    if (!checker.feed(payload.substr(2)) || (whole && !checker.complete())) {
        return Violation{Close::invalid_payload, "a close frame's reason isn't UTF-8"};
    }
    return std::nullopt;
}

// The head of a client's frame, RFC 6455 §5.2.
void append_client_header(std::string& out, const Frame& frame, std::uint64_t size, const MaskingKey& key) {
    out += static_cast<char>((frame.final ? 0x80 : 0) | (frame.compressed ? 0x40 : 0) |
                             static_cast<std::uint8_t>(frame.opcode));
    const int bytes = size < 126 ? 0 : size <= 0xffff ? 2 : 8;
    out += static_cast<char>(0x80 | (bytes == 0 ? size : bytes == 2 ? 126U : 127U));
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i) & 0xff);
    out.append(key.data(), key.size());
}

bool dispatch_data(Opcode opcode, bool compressed, std::string_view message, FrameParser::Sink& sink) {
    return compressed ? sink.on_compressed(opcode, message) : sink.on_message(opcode, message);
}

bool dispatch_control(Opcode opcode, std::string_view payload, FrameParser::Sink& sink) {
    if (opcode == Opcode::ping) return sink.on_ping(payload);
    if (opcode == Opcode::pong) return sink.on_pong(payload);
    if (payload.empty()) return sink.on_close(std::nullopt, payload);
    const auto code =
        static_cast<std::uint16_t>(static_cast<std::uint8_t>(payload[0]) << 8 | static_cast<std::uint8_t>(payload[1]));
    return sink.on_close(code, payload.substr(2));
}

}  // namespace

static_assert(sizeof(FrameParser) <= 64);

// Exists exactly while something is half read.
struct FrameParser::Message {
    char header[kMaxClientHeader];  // of a frame whose header is half read
    std::uint8_t header_size = 0;
    bool in_payload = false;               // `frame` is half read
    bool compressed = false;               // the unfinished data message
    Opcode opcode = Opcode::continuation;  // of it; continuation for none
    Utf8Checker utf8;
    Frame frame;
    Assembly assembly;

    [[nodiscard]] bool unfinished() const noexcept { return opcode != Opcode::continuation; }
};

struct FrameParser::Outcome {
    bool stop = false;  // said the sink
    std::optional<Violation> violation = {};
};

void FrameParser::MessageDeleter::operator()(Message* message) const noexcept {
    delete message;
}

FrameParser::Message& FrameParser::message() {
    if (!message_) message_.reset(new Message);
    return *message_;
}

HeaderReading FrameParser::read_header(std::string_view& bytes, HeaderRules rules) {
    Unfinished unfinished;
    if (message_ && message_->unfinished()) unfinished = {true, message_->compressed, message_->assembly.size()};

    if (!message_ || message_->header_size == 0) {
        const auto reading = read_frame_header(bytes, unfinished, rules);
        if (reading.size > 0) {
            bytes.remove_prefix(reading.size);
        } else if (!reading.violation) {
            bytes.copy(message().header, bytes.size());
            message().header_size = static_cast<std::uint8_t>(bytes.size());
        }
        return reading;
    }
    for (;;) {
        message_->header[message_->header_size++] = bytes.front();
        bytes.remove_prefix(1);
        const auto reading = read_frame_header({message_->header, message_->header_size}, unfinished, rules);
        if (reading.size > 0) message_->header_size = 0;
        if (reading.size > 0 || reading.violation || bytes.empty()) return reading;
    }
}

FrameParser::Outcome FrameParser::take_control(const Frame& frame, std::string_view piece, Sink& sink) {
    const bool whole = frame.left == 0;
    std::string_view payload = piece;
    if (!whole || (message_ && message_->assembly.control_size() > 0)) {
        message().assembly.add_to_control(piece, frame.left);
        payload = message_->assembly.control();
    }
    if (frame.opcode == Opcode::close) {
        if (auto violation = check_close(payload, whole)) return {.violation = violation};
    }
    if (!whole) {
        message_->frame = frame;
        message_->in_payload = true;
        return {};
    }
    // Settle everything before the call: the sink may destroy this parser, as long as it then says stop. `payload` may
    // lie in the message, so that is let go only afterwards.
    std::unique_ptr<Message, MessageDeleter> done;
    if (message_) {
        message_->in_payload = false;
        message_->assembly.drop_control();
        if (!message_->unfinished()) done = std::move(message_);
    }
    return {.stop = !dispatch_control(frame.opcode, payload, sink)};
}

FrameParser::Outcome FrameParser::take_data(const Frame& frame, std::string_view piece, bool ascii, Sink& sink) {
    const bool going_on = message_ && message_->unfinished();
    const Opcode opcode = going_on ? message_->opcode : frame.opcode;
    const bool compressed = going_on ? message_->compressed : frame.compressed;
    const bool done = frame.final && frame.left == 0;
    if (opcode == Opcode::text && !compressed) {
        Utf8Checker fresh;
        Utf8Checker& utf8 = message_ ? message_->utf8 : fresh;
        if ((!ascii || !utf8.complete()) && !utf8.feed(piece)) {
            return {.violation = Violation{Close::invalid_payload, "a text message isn't UTF-8"}};
        }
        if (done && !utf8.complete()) {
            return {.violation = Violation{Close::invalid_payload, "a text message ends inside a character"}};
        }
        if (!done) message().utf8 = utf8;
    }
    // From here on as in take_control: nothing of this parser is touched once the sink is called.
    if (done && (!message_ || message_->assembly.size() == 0)) {
        message_.reset();
        return {.stop = !dispatch_data(opcode, compressed, piece, sink)};
    }
    Message& message = this->message();
    // More fragments of any size may follow one that isn't final: let the room double.
    if (!piece.empty()) message.assembly.add_to_message(piece, frame.final ? frame.left : UINT64_MAX);
    if (done) {
        const auto whole = std::move(message_);
        return {.stop = !dispatch_data(opcode, compressed, whole->assembly.message(), sink)};
    }
    message.opcode = opcode;
    message.compressed = compressed;
    message.frame = frame;
    message.in_payload = frame.left > 0;
    return {};
}

Violation FrameParser::fail(const Violation& violation) noexcept {
    message_.reset();
    return violation;
}

std::optional<Violation> FrameParser::feed(std::span<char> bytes, std::size_t max_message, Sink& sink, bool deflate) {
    char* at = bytes.data();
    char* const end = at + bytes.size();
    while (at != end) {
        Frame frame;
        if (message_ && message_->in_payload) {
            frame = message_->frame;
        } else {
            std::string_view rest(at, end);
            const auto reading = read_header(rest, {max_message, deflate});
            if (reading.violation) return fail(*reading.violation);
            if (reading.size == 0) return std::nullopt;
            frame = reading.frame;
            at = end - rest.size();
        }
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(frame.left, end - at));
        const bool ascii = unmask(at, size, frame.key);
        const std::string_view piece(at, size);
        at += size;
        frame.left -= size;
        const auto outcome = frame.control() ? take_control(frame, piece, sink) : take_data(frame, piece, ascii, sink);
        if (outcome.violation) return fail(*outcome.violation);
        if (outcome.stop) return std::nullopt;
    }
    return std::nullopt;
}

bool FrameParser::mid_message() const noexcept {
    return message_ != nullptr;
}

std::string FrameParser::half_read() const {
    std::string out;
    if (!message_) return out;
    const Message& half = *message_;
    if (half.unfinished()) {
        const std::string_view came = half.assembly.message();
        append_client_header(out, {0, {}, half.opcode, false, half.compressed}, came.size(), {});
        out += came;
    }
    if (half.in_payload && half.frame.control()) {
        const std::string_view came = half.assembly.control();
        MaskingKey key;
        for (std::size_t i = 0; i < key.size(); ++i) key[(came.size() + i) % key.size()] = half.frame.key[i];
        append_client_header(out, half.frame, came.size() + half.frame.left, key);
        for (std::size_t i = 0; i < came.size(); ++i) out += static_cast<char>(came[i] ^ key[i % key.size()]);
    } else if (half.in_payload) {  // the rest of the fragment goes on as one of its own
        append_client_header(out, {0, {}, Opcode::continuation, half.frame.final, false}, half.frame.left,
                             half.frame.key);
    }
    return out.append(half.header, half.header_size);
}

std::size_t FrameParser::buffered() const noexcept {
    return message_ ? sizeof(Message) + message_->assembly.capacity() : 0;
}

}  // namespace weft::websocket
