#include "websocket/inflater.hpp"

#include <zlib.h>

#include <algorithm>
#include <new>

namespace weft::websocket {
namespace {

// §7.2.2: what the sender left away. An empty stored block, but for its three bits of header.
constexpr std::string_view kTail("\0\0\xff\xff", 4);

constexpr std::size_t kFirstRoom = 4096;  // bytes

constexpr std::string_view kNotDeflate = "a compressed message isn't DEFLATE data";

// inflate()'s data_type: it stands right behind a block. True of the call that got there, not of one that then finds
// nothing to do.
constexpr int kBehindBlock = 128;

tl::unexpected<Violation> invalid(std::string_view why) {
    return tl::unexpected(Violation{Close::invalid_payload, why});
}

// Where the message grows: `storage` but for the padding.
class Room {
public:
    Room(std::string& storage, std::size_t limit) : storage_(storage), limit_(limit) {
        if (storage_.size() < kFirstRoom + kPadding) storage_.resize(kFirstRoom + kPadding);
    }

    // Points zlib at the free bytes, some at least: one more than the message may have.
    void offer(z_stream_s& stream) {
        if (size_ == storage_.size() - kPadding) {
            storage_.resize(std::min(size_ * 2, limit_ + 1) + kPadding);
        }
        offered_ = std::min(storage_.size() - kPadding, limit_ + 1) - size_;
        offered_ = std::min<std::size_t>(offered_, std::size_t{1} << 30);
        stream.next_out = reinterpret_cast<Bytef*>(storage_.data() + size_);
        stream.avail_out = static_cast<uInt>(offered_);
    }
    void settle(const z_stream_s& stream) noexcept { size_ += offered_ - stream.avail_out; }

    [[nodiscard]] std::string_view message() const noexcept { return {storage_.data(), size_}; }
    [[nodiscard]] bool over() const noexcept { return size_ > limit_; }

private:
    std::string& storage_;
    std::size_t limit_;
    std::size_t size_ = 0;
    std::size_t offered_ = 0;
};

}  // namespace

void Inflater::End::operator()(z_stream_s* stream) const noexcept {
    inflateEnd(stream);
    delete stream;
}

void Inflater::start() {
    if (stream_) {
        if (!takeover_) inflateReset(stream_.get());
        return;
    }
    auto stream = std::make_unique<z_stream_s>();
    if (inflateInit2(stream.get(), -window_) != Z_OK) throw std::bad_alloc();
    stream_.reset(stream.release());
}

std::string Inflater::window() const {
    std::string bytes;
    if (!stream_) return bytes;
    bytes.resize(std::size_t{1} << kMaxWindow);
    uInt size = 0;
    if (inflateGetDictionary(stream_.get(), reinterpret_cast<Bytef*>(bytes.data()), &size) != Z_OK) size = 0;
    bytes.resize(size);
    return bytes;
}

void Inflater::go_on_from(std::string_view window) {
    if (window.empty()) return;
    start();
    inflateSetDictionary(stream_.get(), reinterpret_cast<const Bytef*>(window.data()),
                         static_cast<uInt>(window.size()));
}

tl::expected<std::string_view, Violation> Inflater::inflate(std::string_view compressed, std::size_t max_message,
                                                            std::string& storage) {
    Room room(storage, max_message);
    if (compressed.empty()) return room.message();
    start();
    z_stream_s& stream = *stream_;
    bool final_block_last = false;
    bool behind_block = false;
    for (const std::string_view input : {compressed, kTail}) {
        if (final_block_last) break;
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
        stream.avail_in = static_cast<uInt>(input.size());
        // Each round takes input or fills the room that it was offered.
        for (bool full = false; stream.avail_in > 0 || full;) {
            room.offer(stream);
            const int code = ::inflate(&stream, Z_SYNC_FLUSH);
            room.settle(stream);
            if (room.over()) return tl::unexpected(Violation{Close::message_too_big, "the message is too big"});
            full = stream.avail_out == 0;
            final_block_last = code == Z_STREAM_END && stream.avail_in == 0;
            switch (code) {
                case Z_OK: behind_block = (stream.data_type & kBehindBlock) != 0; break;
                case Z_BUF_ERROR:  // nothing was left to do
                    if (stream.avail_in > 0) return invalid(kNotDeflate);
                    full = false;
                    break;
                case Z_STREAM_END:
                    // A final block. Unlike inflateReset() this keeps the window, which what follows may refer to, and
                    // costs the same however many such blocks there are.
                    inflateResetKeep(&stream);
                    full = false;
                    break;
                case Z_MEM_ERROR: throw std::bad_alloc();
                default: return invalid(kNotDeflate);
            }
        }
    }
    if (!final_block_last && !behind_block) {
        return invalid("a compressed message ends within a block");
    }
    return room.message();
}

}  // namespace weft::websocket
