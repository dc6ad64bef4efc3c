// Immutable bytes shared by the send queues of many connections of one worker.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace weft {

/// Bytes of heap memory that send queues hold at the moment, shared ones once, bookkeeping included. A worker has one
/// thread, and one gateway.
class SendMemory {
public:
    [[nodiscard]] static std::size_t bytes() noexcept { return bytes_; }

private:
    friend class SharedBytes;
    friend class SendQueue;
    static inline std::size_t bytes_ = 0;
};

/// A counted reference to a block of bytes; one pointer wide. A worker has one thread, so the count is not atomic.
class SharedBytes {
public:
    SharedBytes() = default;
    /// Copies `bytes`, which are `frames` whole frames, once; every copy of the SharedBytes after that shares them.
    explicit SharedBytes(std::string_view bytes, std::uint32_t frames = 1) {
        void* memory = std::malloc(sizeof(Block) + bytes.size());
        if (memory == nullptr) throw std::bad_alloc();
        block_ = new (memory) Block{1, frames, bytes.size()};
        std::memcpy(block_->bytes(), bytes.data(), bytes.size());
        SendMemory::bytes_ += sizeof(Block) + bytes.size();
    }
    SharedBytes(const SharedBytes& other) noexcept : block_(other.block_) {
        if (block_ != nullptr) ++block_->references;
    }
    SharedBytes(SharedBytes&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    SharedBytes& operator=(SharedBytes other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~SharedBytes() {
        if (block_ != nullptr && --block_->references == 0) destroy(block_);
    }

    [[nodiscard]] std::string_view view() const noexcept {
        return block_ == nullptr ? std::string_view() : std::string_view(block_->bytes(), block_->size);
    }
    [[nodiscard]] std::size_t size() const noexcept { return block_ == nullptr ? 0 : block_->size; }
    [[nodiscard]] std::uint32_t frames() const noexcept { return block_ == nullptr ? 0 : block_->frames; }
    explicit operator bool() const noexcept { return block_ != nullptr; }

private:
    struct Block {
        std::uint32_t references;
        std::uint32_t frames;
        std::size_t size;
        char* bytes() noexcept { return reinterpret_cast<char*>(this + 1); }
    };
    // Not inlined: g++ 12 doesn't follow the count, and warns of a use after this.
    [[gnu::noinline]] static void destroy(Block* block) noexcept {
        SendMemory::bytes_ -= sizeof(Block) + block->size;
        std::free(block);
    }

    Block* block_ = nullptr;
};

}  // namespace weft
