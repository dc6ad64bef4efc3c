#include <google/protobuf/io/coded_stream.h>

#include "weft/link_session.hpp"
#include "weft/wire_tag.hpp"

namespace weft {
namespace {

using google::protobuf::io::CodedOutputStream;

constexpr std::size_t kMaxHeader = 40;  // tags and values of session, first, ack; or of one frame's tag and length
// A larger buffer belonged to one huge frame, and isn't worth keeping.
constexpr std::size_t kMaxSpare = 2 * kMaxBatchBytes;

}  // namespace

std::uint64_t BatchQueue::push(std::string_view frame) {
    if (batches_.empty() || batches_.back().frames == kMaxBatchFrames ||
        batches_.back().body.size() >= kMaxBatchBytes) {
        batches_.push_back({std::move(spare_), next_number_, 0});
        spare_ = {};
        batches_.back().body.clear();
    }
    Open& open = batches_.back();
    std::uint8_t header[kMaxHeader];
    std::uint8_t* end = CodedOutputStream::WriteTagToArray(bytes_tag(v1::Batch::kFramesFieldNumber), header);
    end = CodedOutputStream::WriteVarint64ToArray(frame.size(), end);
    const auto header_size = static_cast<std::size_t>(end - header);
    open.body.append(reinterpret_cast<const char*>(header), header_size).append(frame);
    bytes_ += header_size + frame.size();
    ++open.frames;
    return next_number_++;
}

void BatchQueue::pop(std::string& out, std::uint64_t session, std::uint64_t ack) {
    std::uint64_t first = next_number_;
    out.clear();
    if (!batches_.empty()) {
        Open& open = batches_.front();
        first = open.first;
        bytes_ -= open.body.size();
        out.swap(open.body);
        if (open.body.capacity() <= kMaxSpare) spare_ = std::move(open.body);
        batches_.pop_front();
    }
    // The numbers go behind the frames: protobuf reads fields in any order, and so the frames need not be moved.
    std::uint8_t trailer[kMaxHeader];
    std::uint8_t* end = trailer;
    end = CodedOutputStream::WriteTagToArray(fixed64_tag(v1::Batch::kSessionFieldNumber), end);
    end = CodedOutputStream::WriteLittleEndian64ToArray(session, end);
    end = CodedOutputStream::WriteTagToArray(varint_tag(v1::Batch::kFirstFieldNumber), end);
    end = CodedOutputStream::WriteVarint64ToArray(first, end);
    end = CodedOutputStream::WriteTagToArray(varint_tag(v1::Batch::kAckFieldNumber), end);
    end = CodedOutputStream::WriteVarint64ToArray(ack, end);
    out.append(reinterpret_cast<const char*>(trailer), static_cast<std::size_t>(end - trailer));
}

void BatchQueue::clear() noexcept {
    batches_.clear();
    bytes_ = 0;
    next_number_ = 1;
}

}  // namespace weft
