#include "gateway/send_queue.hpp"

#include <algorithm>
#include <cstring>

namespace weft {

void SendQueue::push(SharedBytes chunk) {
    if (chunk.size() == 0) return;
    bytes_ += chunk.size();
    if (!first_) {
        first_ = std::move(chunk);
        offset_ = 0;
    } else {
        rest_.push_back(std::move(chunk));
    }
}

std::string_view SendQueue::next(char* scratch, std::size_t scratch_size) const noexcept {
    const std::string_view front = first_.view().substr(offset_);
    if (rest_head_ == rest_.size() || front.size() >= scratch_size) return front;
    std::size_t used = front.size();
    std::memcpy(scratch, front.data(), used);
    for (std::size_t i = rest_head_; i < rest_.size() && used < scratch_size; ++i) {
        const std::string_view chunk = rest_[i].view();
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
            offset_ += count;
            return;
        }
        count -= left;
        offset_ = 0;
        if (rest_head_ < rest_.size()) {
            first_ = std::move(rest_[rest_head_++]);
        } else {
            first_ = SharedBytes();
        }
        if (rest_head_ == rest_.size()) {
            std::vector<SharedBytes>().swap(rest_);  // an idle connection keeps nothing
            rest_head_ = 0;
        } else if (rest_head_ >= 64 && rest_head_ * 2 >= rest_.size()) {
            rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(rest_head_));
            rest_head_ = 0;
        }
    }
}

void SendQueue::drop_unstarted(std::size_t committed) noexcept {
    if (offset_ == 0 && committed == 0) first_ = SharedBytes();
    bytes_ = first_ ? first_.size() - offset_ : 0;
    std::size_t kept = rest_head_;
    for (; kept < rest_.size() && bytes_ < committed; ++kept) bytes_ += rest_[kept].size();
    if (kept == rest_head_) {
        std::vector<SharedBytes>().swap(rest_);
        rest_head_ = 0;
    } else {
        rest_.resize(kept);
    }
}

}  // namespace weft
