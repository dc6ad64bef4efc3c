#include "weft/batch_parser.hpp"

#include <limits>

#include "weft/link_session.hpp"
#include "weft/wire_reader.hpp"

namespace weft {

bool BatchParser::parse(std::string_view bytes) {
    arena_.Reset();
    publish_.trim();
    published_.trim();
    publication_.trim();
    frames_.clear();
    session_ = first_ = ack_ = 0;
    if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return false;  // protobuf's bound
    WireReader reader(bytes);
    while (!reader.at_end()) {
        const std::uint32_t tag = reader.tag();
        bool read = false;
        switch (tag) {
            case fixed64_tag(v1::Batch::kSessionFieldNumber): read = reader.fixed64(session_); break;
            case varint_tag(v1::Batch::kFirstFieldNumber): read = reader.varint(first_); break;
            case varint_tag(v1::Batch::kAckFieldNumber): read = reader.varint(ack_); break;
            case bytes_tag(v1::Batch::kFramesFieldNumber):
                read = frames_.size() < kMaxBatchFrames && reader.bytes(frames_.emplace_back());
                break;
            default: read = reader.skip(tag);
        }
        if (!read) return false;
    }
    return session_ != 0;
}

v1::Frame* BatchParser::frame(std::size_t index) {
    const std::string_view bytes = frames_[index];
    WireReader reader(bytes);
    const std::uint32_t tag = reader.at_end() ? 0 : reader.tag();
    std::string_view body;
    // The body and nothing else: as every end writes it.
    if (tag != 0 && reader.bytes(body) && reader.at_end()) {
        switch (tag) {
            case bytes_tag(v1::Frame::kPublishFieldNumber): return publish_.parse(body);
            case bytes_tag(v1::Frame::kPublishedFieldNumber): return published_.parse(body);
            case bytes_tag(v1::Frame::kPublicationFieldNumber): return publication_.parse(body);
            default: break;
        }
    }
    auto* const other = google::protobuf::Arena::CreateMessage<v1::Frame>(&arena_);
    return other->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ? other : nullptr;
}

}  // namespace weft
