#include "gateway/send_queue.hpp"

#include <algorithm>
#include <cstring>

namespace weft {

void SendQueue::push(SharedBytes chunk, ChunkTag tag) {
    if (chunk.size() == 0) return;
    const std::size_t size = chunk.size();
    if (!first_) {
        first_ = std::move(chunk);
        first_tag_ = tag;
        offset_ = 0;
    } else {
        rest_.push_back({std::move(chunk), tag});
        if (rest_.capacity() != counted_) count_rest();
    }
    bytes_ += size;
}

std::string_view SendQueue::next(char* scratch, std::size_t scratch_size) const noexcept {
    const std::string_view front = first_.view().substr(offset_);
    if (rest_head_ == rest_.size() || front.size() >= scratch_size) return front;
    std::size_t used = front.size();
    std::memcpy(scratch, front.data(), used);
    for (std::size_t i = rest_head_; i < rest_.size() && used < scratch_size; ++i) {
        const std::string_view chunk = rest_[i].bytes.view();
        const std::size_t part = std::min(chunk.size(), scratch_size - used);
        std::memcpy(scratch + used, chunk.data(), part);
        used += part;
    }
    return {scratch, used};
}

void SendQueue::consume(std::size_t count) noexcept {
    bytes_ -= count;
    while (count > 0) {
        const std::size_t left = first_.size() - offset_;
        if (count < left) {
            offset_ += static_cast<std::uint32_t>(count);
            return;
        }
        count -= left;
        first_ = SharedBytes();
        refill_first();
    }
}

std::size_t SendQueue::rewrite(std::size_t done, std::size_t enough, Rewriting& rewriting) {
    std::size_t passed = 0;
    const auto pass = [&](SharedBytes& bytes, std::size_t offset) {
        if (passed == done) {
            SharedBytes now = rewriting.rewrite(bytes);
            bytes_ = bytes_ - bytes.size() + now.size();
            done += now.size();
            bytes = std::move(now);
        }
        passed += bytes.size() - offset;
    };
    if (first_) pass(first_, offset_);
    for (std::size_t i = rest_head_; i < rest_.size() && passed < enough; ++i) pass(rest_[i].bytes, 0);
    return done;
}

/// first_ is gone: the next one takes its place.
void SendQueue::refill_first() noexcept {
    offset_ = 0;
    if (rest_head_ < rest_.size()) {
        first_ = std::move(rest_[rest_head_].bytes);
        first_tag_ = rest_[rest_head_].tag;
        ++rest_head_;
    }
    if (rest_head_ == rest_.size()) {
        forget_rest();  // an idle connection keeps nothing
    } else if (rest_head_ >= 64 && rest_head_ * 2 >= rest_.size()) {
        rest_.erase(rest_.begin(), rest_.begin() + rest_head_);
        rest_head_ = 0;
    }
}

void SendQueue::forget_rest() noexcept {
    std::vector<Chunk>().swap(rest_);
    rest_head_ = 0;
    count_rest();
}

void SendQueue::count_rest() noexcept {
    const auto capacity = static_cast<std::uint32_t>(rest_.capacity());
    SendMemory::bytes_ += capacity * sizeof(Chunk);
    SendMemory::bytes_ -= counted_ * sizeof(Chunk);
    counted_ = capacity;
}

std::size_t SendQueue::first_droppable(std::size_t committed) const noexcept {
    std::size_t kept = first_.size() - offset_;
    std::size_t at = rest_head_;
    for (; at < rest_.size() && kept < committed; ++at) kept += rest_[at].bytes.size();
    return at;
}

void SendQueue::drop_unstarted(std::size_t committed) noexcept {
    const std::size_t kept = first_started(committed) ? first_droppable(committed) : rest_head_;
    if (!first_started(committed)) first_ = SharedBytes();
    bytes_ = first_ ? first_.size() - offset_ : 0;
    for (std::size_t i = rest_head_; i < kept; ++i) bytes_ += rest_[i].bytes.size();
    if (kept == rest_head_) {
        forget_rest();
    } else {
        rest_.resize(kept);
    }
}

std::uint32_t SendQueue::drop(ChunkTag tag, std::size_t committed) noexcept {
    std::uint32_t frames = 0;
    const auto gone = std::remove_if(rest_.begin() + static_cast<std::ptrdiff_t>(first_droppable(committed)),
                                     rest_.end(), [&](const Chunk& chunk) {
                                         if (chunk.tag != tag) return false;
                                         frames += chunk.bytes.frames();
                                         bytes_ -= chunk.bytes.size();
                                         return true;
                                     });
    rest_.erase(gone, rest_.end());
    if (first_ && !first_started(committed) && first_tag_ == tag) {
        frames += first_.frames();
        bytes_ -= first_.size();
        first_ = SharedBytes();
        refill_first();
    } else if (rest_head_ == rest_.size()) {
        forget_rest();
    }
    return frames;
}

std::uint32_t SendQueue::shed(std::size_t target, std::size_t committed, Shedding& shedding) {
    std::uint32_t frames = 0;
    std::vector<std::uint32_t> told;  // feeds whose last kept chunk is a gap notice
    // Takes a chunk out, or puts a gap notice in its place; whether it stays in some form.
    const auto keep = [&](SharedBytes& bytes, ChunkTag& tag) {
        const auto known = std::find(told.begin(), told.end(), tag.feed());
        if (tag.is_gap()) {
            if (known == told.end()) told.push_back(tag.feed());
            return true;
        }
        if (!tag.is_publications()) return true;
        if (bytes_ <= target || !shedding.may_drop(tag.feed())) {
            if (known != told.end()) told.erase(known);
            return true;
        }
        SharedBytes gap;
        if (known == told.end()) {
            gap = shedding.gap(tag.feed());
            told.push_back(tag.feed());
        }
        frames += bytes.frames();
        bytes_ = bytes_ - bytes.size() + gap.size();
        tag = ChunkTag::gap(tag.feed());
        bytes = std::move(gap);
        return static_cast<bool>(bytes);
    };
    const std::size_t begin = first_droppable(committed);
    const bool first_gone = first_ && !first_started(committed) && !keep(first_, first_tag_);
    std::size_t kept = begin;
    for (std::size_t i = begin; i < rest_.size(); ++i) {
        if (!keep(rest_[i].bytes, rest_[i].tag)) continue;
        if (kept != i) rest_[kept] = std::move(rest_[i]);
        ++kept;
    }
    rest_.resize(kept);
    if (first_gone) {
        first_ = SharedBytes();
        refill_first();
    } else if (rest_head_ == rest_.size()) {
        forget_rest();
    } else if (rest_.size() < rest_.capacity() / 4) {
        rest_.shrink_to_fit();
        count_rest();
    }
    return frames;
}

}  // namespace weft
