#include "gateway/send_queue.hpp"

#include <algorithm>
#include <cstring>

namespace weft {

namespace {

// Of what is behind the first chunk, kept for the next queue that needs it: many a connection has two chunks in a turn.
constexpr std::size_t kMaxSpares = 256;
constexpr std::size_t kMaxSpareChunks = 16;  // room in each

}  // namespace

std::vector<std::unique_ptr<SendQueue::Rest>>& SendQueue::spares() noexcept {
    thread_local std::vector<std::unique_ptr<Rest>> spares;
    return spares;
}

void SendQueue::Rest::count() noexcept {
    const auto capacity = static_cast<std::uint32_t>(chunks.capacity());
    SendMemory::bytes_ += capacity * sizeof(Chunk);
    SendMemory::bytes_ -= counted * sizeof(Chunk);
    counted = capacity;
}

void SendQueue::push(SharedBytes chunk, ChunkTag tag) {
    if (chunk.size() == 0) return;
    const std::size_t size = chunk.size();
    if (!first_) {
        first_ = std::move(chunk);
        first_tag_ = tag;
        offset_ = 0;
    } else {
        std::unique_ptr<Rest> fresh;
        if (!rest_) {
            if (spares().empty()) {
                fresh = std::make_unique<Rest>();
            } else {
                fresh = std::move(spares().back());
                spares().pop_back();
            }
        }
        Rest& rest = fresh ? *fresh : *rest_;
        rest.chunks.push_back({std::move(chunk), tag});
        if (rest.chunks.capacity() != rest.counted) rest.count();
        if (fresh) rest_ = std::move(fresh);
    }
    bytes_ += size;
}

void SendQueue::push_started(std::string_view bytes) {
    if (bytes.empty()) return;
    std::vector<Chunk> behind;
    if (first_) behind.push_back({std::move(first_), first_tag_});
    if (rest_) {
        for (std::size_t i = rest_->head; i < rest_->chunks.size(); ++i) behind.push_back(std::move(rest_->chunks[i]));
        clear_rest();
    }
    // Behind a byte that counts as written: so it stays, whatever is dropped.
    first_ = SharedBytes(std::string(1, '\0').append(bytes));
    first_tag_ = {};
    offset_ = 1;
    bytes_ = bytes.size();
    for (Chunk& chunk : behind) push(std::move(chunk.bytes), chunk.tag);
}

std::string_view SendQueue::next(char* scratch, std::size_t scratch_size) const noexcept {
    const std::string_view front = first_.view().substr(offset_);
    if (!rest_ || front.size() >= scratch_size) return front;
    std::size_t used = front.size();
    std::memcpy(scratch, front.data(), used);
    for (std::size_t i = rest_->head; i < rest_->chunks.size() && used < scratch_size; ++i) {
        const std::string_view chunk = rest_->chunks[i].bytes.view();
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
    if (!rest_) return done;
    for (std::size_t i = rest_->head; i < rest_->chunks.size() && passed < enough; ++i) pass(rest_->chunks[i].bytes, 0);
    return done;
}

/// first_ is gone: the next one takes its place.
void SendQueue::refill_first() noexcept {
    offset_ = 0;
    if (!rest_) return;
    Rest& rest = *rest_;
    first_ = std::move(rest.chunks[rest.head].bytes);
    first_tag_ = rest.chunks[rest.head].tag;
    ++rest.head;
    if (rest.empty()) {
        clear_rest();  // an idle connection keeps nothing
    } else if (rest.head >= 64 && std::size_t{rest.head} * 2 >= rest.chunks.size()) {
        rest.chunks.erase(rest.chunks.begin(), rest.chunks.begin() + rest.head);
        rest.head = 0;
    }
}

void SendQueue::clear_rest() noexcept {
    if (!rest_) return;
    rest_->chunks.clear();
    rest_->head = 0;
    if (rest_->chunks.capacity() <= kMaxSpareChunks && spares().size() < kMaxSpares) {
        if (spares().capacity() == 0) spares().reserve(kMaxSpares);
        SendMemory::bytes_ -= rest_->counted * sizeof(Chunk);
        rest_->counted = 0;
        spares().push_back(std::move(rest_));
        return;
    }
    SendMemory::bytes_ -= rest_->counted * sizeof(Chunk);
    rest_.reset();
}

std::size_t SendQueue::first_droppable(std::size_t committed) const noexcept {
    if (!rest_) return 0;
    std::size_t kept = first_.size() - offset_;
    std::size_t at = rest_->head;
    for (; at < rest_->chunks.size() && kept < committed; ++at) kept += rest_->chunks[at].bytes.size();
    return at;
}

void SendQueue::drop_unstarted(std::size_t committed) noexcept {
    const bool started = first_started(committed);
    if (rest_) {
        const std::size_t kept = started ? first_droppable(committed) : rest_->head;
        rest_->chunks.resize(kept);
        if (rest_->empty()) clear_rest();
    }
    if (!started) first_ = SharedBytes();
    bytes_ = first_ ? first_.size() - offset_ : 0;
    if (!rest_) return;
    for (std::size_t i = rest_->head; i < rest_->chunks.size(); ++i) bytes_ += rest_->chunks[i].bytes.size();
}

std::uint32_t SendQueue::drop(ChunkTag tag, std::size_t committed) noexcept {
    std::uint32_t frames = 0;
    if (rest_) {
        std::vector<Chunk>& chunks = rest_->chunks;
        const auto begin = chunks.begin() + static_cast<std::ptrdiff_t>(first_droppable(committed));
        const auto gone = std::remove_if(begin, chunks.end(), [&](const Chunk& chunk) {
            if (chunk.tag != tag) return false;
            frames += chunk.bytes.frames();
            bytes_ -= chunk.bytes.size();
            return true;
        });
        chunks.erase(gone, chunks.end());
        if (rest_->empty()) clear_rest();
    }
    if (first_ && !first_started(committed) && first_tag_ == tag) {
        frames += first_.frames();
        bytes_ -= first_.size();
        first_ = SharedBytes();
        refill_first();
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
    if (rest_) {
        std::vector<Chunk>& chunks = rest_->chunks;
        std::size_t kept = begin;
        for (std::size_t i = begin; i < chunks.size(); ++i) {
            if (!keep(chunks[i].bytes, chunks[i].tag)) continue;
            if (kept != i) chunks[kept] = std::move(chunks[i]);
            ++kept;
        }
        chunks.resize(kept);
        if (rest_->empty()) {
            clear_rest();
        } else if (chunks.size() < chunks.capacity() / 4) {
            chunks.shrink_to_fit();
            rest_->count();
        }
    }
    if (first_gone) {
        first_ = SharedBytes();
        refill_first();
    }
    return frames;
}

}  // namespace weft
