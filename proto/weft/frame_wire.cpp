#include "weft/frame_wire.hpp"

#include <google/protobuf/io/coded_stream.h>

#include <cstring>

#include "weft/wire_reader.hpp"

namespace weft {
namespace {

using google::protobuf::io::CodedOutputStream;

// The fields of a message, in the order of their numbers. All of these have numbers below 16: one byte of tag.

template <typename Fields>
void visit(const v1::Publisher& message, Fields& fields) {
    fields.bytes(v1::Publisher::kUserFieldNumber, message.user());
    fields.fixed64(v1::Publisher::kClientIdFieldNumber, message.client_id());
}

template <typename Fields>
void visit(const v1::Publish& message, Fields& fields) {
    fields.varint(v1::Publish::kRequestFieldNumber, message.request());
    fields.bytes(v1::Publish::kChannelFieldNumber, message.channel());
    fields.bytes(v1::Publish::kDataFieldNumber, message.data());
    fields.bytes(v1::Publish::kMessageIdFieldNumber, message.message_id());
    if (message.has_publisher()) fields.message(v1::Publish::kPublisherFieldNumber, message.publisher());
}

template <typename Fields>
void visit(const v1::Published& message, Fields& fields) {
    fields.varint(v1::Published::kRequestFieldNumber, message.request());
    fields.bytes(v1::Published::kMessageIdFieldNumber, message.message_id());
    fields.bytes(v1::Published::kPositionFieldNumber, message.position());
}

template <typename Fields>
void visit(const v1::Publication& message, Fields& fields) {
    fields.bytes(v1::Publication::kChannelFieldNumber, message.channel());
    fields.bytes(v1::Publication::kDataFieldNumber, message.data());
    fields.bytes(v1::Publication::kMessageIdFieldNumber, message.message_id());
    fields.varint(v1::Publication::kTimestampMsFieldNumber, static_cast<std::uint64_t>(message.timestamp_ms()));
    fields.bytes(v1::Publication::kPositionFieldNumber, message.position());
    if (message.has_publisher()) fields.message(v1::Publication::kPublisherFieldNumber, message.publisher());
    fields.fixed64(v1::Publication::kStreamFieldNumber, message.stream());
    fields.varint(v1::Publication::kNumberFieldNumber, message.number());
    fields.varint(v1::Publication::kOwnIdFieldNumber, message.own_id() ? 1 : 0);
    fields.varint(v1::Publication::kRepeatFieldNumber, message.repeat() ? 1 : 0);
}

/// Whether it has nothing but what visit() knows.
template <typename Message>
bool is_usual(const Message&) {
    return true;
}

bool is_usual(const v1::Publication& message) {
    return !message.has_retention() && message.age_ms() == 0;
}

/// How long the fields are.
class Size {
public:
    void varint(int, std::uint64_t value) {
        if (value != 0) total_ += 1 + CodedOutputStream::VarintSize64(value);
    }
    void fixed64(int, std::uint64_t value) {
        if (value != 0) total_ += 1 + sizeof value;
    }
    void bytes(int, const std::string& value) {
        if (!value.empty()) add_length_delimited(value.size());
    }
    template <typename Message>
    void message(int, const Message& message) {
        add_length_delimited(of(message));
    }

    template <typename Message>
    static std::size_t of(const Message& message) {
        Size size;
        visit(message, size);
        return size.total_;
    }

private:
    void add_length_delimited(std::size_t length) { total_ += 1 + CodedOutputStream::VarintSize64(length) + length; }

    std::size_t total_ = 0;
};

/// Writes the fields into memory that is large enough.
class Writer {
public:
    explicit Writer(char* out) : at_(reinterpret_cast<std::uint8_t*>(out)) {}

    void varint(int field, std::uint64_t value) {
        if (value == 0) return;
        tag(varint_tag(field));
        at_ = CodedOutputStream::WriteVarint64ToArray(value, at_);
    }
    void fixed64(int field, std::uint64_t value) {
        if (value == 0) return;
        tag(fixed64_tag(field));
        at_ = CodedOutputStream::WriteLittleEndian64ToArray(value, at_);
    }
    void bytes(int field, const std::string& value) {
        if (value.empty()) return;
        head(field, value.size());
        std::memcpy(at_, value.data(), value.size());
        at_ += value.size();
    }
    template <typename Message>
    void message(int field, const Message& message) {
        head(field, Size::of(message));
        visit(message, *this);
    }
    /// What stands before a message of this size.
    void head(int field, std::size_t size) {
        tag(bytes_tag(field));
        at_ = CodedOutputStream::WriteVarint64ToArray(size, at_);
    }

private:
    void tag(std::uint32_t tag) { at_ = CodedOutputStream::WriteTagToArray(tag, at_); }

    std::uint8_t* at_;
};

template <typename Body>
void encode_body(const v1::Frame& frame, const Body& body, int field, std::string& out) {
    if (!is_usual(body)) return void(frame.SerializeToString(&out));
    const std::size_t size = Size::of(body);
    out.resize(CodedOutputStream::VarintSize32(bytes_tag(field)) + CodedOutputStream::VarintSize64(size) + size);
    Writer writer(out.data());
    writer.head(field, size);
    visit(body, writer);
}

// Each takes what the reader stands at, and overwrites all that visit() knows. False for anything but a body as it is
// usually written, or for what is none.

bool read(WireReader reader, v1::Publisher& out) {
    std::string_view user;
    std::uint64_t client_id = 0;
    while (!reader.at_end()) {
        bool read = false;
        switch (reader.tag()) {
            case bytes_tag(v1::Publisher::kUserFieldNumber): read = reader.bytes(user); break;
            case fixed64_tag(v1::Publisher::kClientIdFieldNumber): read = reader.fixed64(client_id); break;
            default: break;
        }
        if (!read) return false;
    }
    out.mutable_user()->assign(user);
    out.set_client_id(client_id);
    return true;
}

template <typename Body>
bool read_publisher(WireReader& reader, bool& has_publisher, Body& out) {
    std::string_view publisher;
    if (has_publisher || !reader.bytes(publisher)) return false;  // two of them would be merged
    has_publisher = true;
    return read(WireReader(publisher), *out.mutable_publisher());
}

bool read(WireReader reader, v1::Publish& out) {
    std::uint64_t request = 0;
    std::string_view channel, data, message_id;
    bool has_publisher = false;
    while (!reader.at_end()) {
        bool read = false;
        switch (reader.tag()) {
            case varint_tag(v1::Publish::kRequestFieldNumber): read = reader.varint(request); break;
            case bytes_tag(v1::Publish::kChannelFieldNumber): read = reader.bytes(channel); break;
            case bytes_tag(v1::Publish::kDataFieldNumber): read = reader.bytes(data); break;
            case bytes_tag(v1::Publish::kMessageIdFieldNumber): read = reader.bytes(message_id); break;
            case bytes_tag(v1::Publish::kPublisherFieldNumber):
                read = read_publisher(reader, has_publisher, out);
                break;
            default: break;
        }
        if (!read) return false;
    }
    out.set_request(request);
    out.mutable_channel()->assign(channel);
    out.mutable_data()->assign(data);
    out.mutable_message_id()->assign(message_id);
    if (!has_publisher) out.clear_publisher();
    return true;
}

bool read(WireReader reader, v1::Published& out) {
    std::uint64_t request = 0;
    std::string_view message_id, position;
    while (!reader.at_end()) {
        bool read = false;
        switch (reader.tag()) {
            case varint_tag(v1::Published::kRequestFieldNumber): read = reader.varint(request); break;
            case bytes_tag(v1::Published::kMessageIdFieldNumber): read = reader.bytes(message_id); break;
            case bytes_tag(v1::Published::kPositionFieldNumber): read = reader.bytes(position); break;
            default: break;
        }
        if (!read) return false;
    }
    out.set_request(request);
    out.mutable_message_id()->assign(message_id);
    out.mutable_position()->assign(position);
    return true;
}

bool read(WireReader reader, v1::Publication& out) {
    std::uint64_t timestamp = 0, stream = 0, number = 0, own_id = 0, repeat = 0;
    std::string_view channel, data, message_id, position;
    bool has_publisher = false;
    while (!reader.at_end()) {
        bool read = false;
        switch (reader.tag()) {
            case bytes_tag(v1::Publication::kChannelFieldNumber): read = reader.bytes(channel); break;
            case bytes_tag(v1::Publication::kDataFieldNumber): read = reader.bytes(data); break;
            case bytes_tag(v1::Publication::kMessageIdFieldNumber): read = reader.bytes(message_id); break;
            case varint_tag(v1::Publication::kTimestampMsFieldNumber): read = reader.varint(timestamp); break;
            case bytes_tag(v1::Publication::kPositionFieldNumber): read = reader.bytes(position); break;
            case bytes_tag(v1::Publication::kPublisherFieldNumber):
                read = read_publisher(reader, has_publisher, out);
                break;
            case fixed64_tag(v1::Publication::kStreamFieldNumber): read = reader.fixed64(stream); break;
            case varint_tag(v1::Publication::kNumberFieldNumber): read = reader.varint(number); break;
            case varint_tag(v1::Publication::kOwnIdFieldNumber): read = reader.varint(own_id); break;
            case varint_tag(v1::Publication::kRepeatFieldNumber): read = reader.varint(repeat); break;
            default: break;
        }
        if (!read) return false;
    }
    out.mutable_channel()->assign(channel);
    out.mutable_data()->assign(data);
    out.mutable_message_id()->assign(message_id);
    out.set_timestamp_ms(static_cast<std::int64_t>(timestamp));
    out.mutable_position()->assign(position);
    if (!has_publisher) out.clear_publisher();
    out.set_stream(stream);
    out.set_number(number);
    out.set_own_id(own_id != 0);
    out.set_repeat(repeat != 0);
    return true;
}

}  // namespace

void encode(const v1::Frame& frame, std::string& out) {
    switch (frame.body_case()) {
        case v1::Frame::kPublish: return encode_body(frame, frame.publish(), v1::Frame::kPublishFieldNumber, out);
        case v1::Frame::kPublished: return encode_body(frame, frame.published(), v1::Frame::kPublishedFieldNumber, out);
        case v1::Frame::kPublication:
            return encode_body(frame, frame.publication(), v1::Frame::kPublicationFieldNumber, out);
        default: frame.SerializeToString(&out);
    }
}

template <typename Body>
v1::Frame* BodyParser<Body>::parse(std::string_view bytes) {
    trim();
    large_ = bytes.size() > kMaxKept;
    Body& body = *(frame_.*body_)();
    if (!usual_) body.Clear();
    usual_ = read(WireReader(bytes), body);
    if (usual_ || body.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return &frame_;
    return nullptr;
}

template <typename Body>
void BodyParser<Body>::trim() {
    if (!large_) return;
    frame_.Clear();
    large_ = false;
}

template class BodyParser<v1::Publish>;
template class BodyParser<v1::Published>;
template class BodyParser<v1::Publication>;

}  // namespace weft
