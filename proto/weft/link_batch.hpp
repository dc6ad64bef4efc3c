// What both ends of a link ask of an arriving batch. Used by link_dialer.cpp and link_listener.cpp only.
#pragma once

#include <google/protobuf/arena.h>

#include <cstdint>
#include <limits>
#include <string_view>

#include "weft/link_session.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

/// A batch that is parsed into an arena, so that its many small messages cost few allocations.
class ParsedBatch {
public:
    ParsedBatch() : arena_(block_, sizeof block_), batch_(google::protobuf::Arena::CreateMessage<v1::Batch>(&arena_)) {}
    ParsedBatch(const ParsedBatch&) = delete;
    ParsedBatch& operator=(const ParsedBatch&) = delete;

    /// False when `bytes` are no batch that an end of a link can have written.
    bool parse(std::string_view bytes) {
        return bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
               batch_->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) && batch_->session() != 0 &&
               static_cast<std::size_t>(batch_->frames_size()) <= kMaxBatchFrames;
    }

    v1::Batch& operator*() noexcept { return *batch_; }
    v1::Batch* operator->() noexcept { return batch_; }

private:
    alignas(8) char block_[8192];
    google::protobuf::Arena arena_;
    v1::Batch* batch_;
};

enum class Sequence {
    next,      // begins with the number that is due
    missing,   // frames before it were lost
    repeated,  // begins with a number that was there already: no honest end does this
};

inline Sequence sequence_of(const v1::Batch& batch, std::uint64_t received) noexcept {
    if (batch.first() == received + 1) return Sequence::next;
    return batch.first() > received ? Sequence::missing : Sequence::repeated;
}

}  // namespace weft
