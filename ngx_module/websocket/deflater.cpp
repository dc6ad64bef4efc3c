#include "websocket/deflater.hpp"

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <new>

namespace weft::websocket {
namespace {

constexpr std::size_t kTail = 4;  // bytes 00 00 ff ff, that a flush ends with and the peer adds again

}  // namespace

void Deflater::End::operator()(z_stream_s* stream) const noexcept {
    deflateEnd(stream);
    delete stream;
}

bool Deflater::start() noexcept {
    if (stream_) return takeover_ || deflateReset(stream_.get()) == Z_OK;
    auto* const stream = new (std::nothrow) z_stream_s{};
    if (stream == nullptr) return false;
    // Half of zlib's memory is the window, the other half grows with this: it stays in proportion.
    const int memory = std::max(1, settings_.window - 7);
    if (deflateInit2(stream, settings_.level, Z_DEFLATED, -settings_.window, memory, Z_DEFAULT_STRATEGY) != Z_OK) {
        delete stream;
        return false;
    }
    stream_.reset(stream);
    return true;
}

void Deflater::forget() noexcept {
    if (stream_) deflateReset(stream_.get());
}

// Once a publication and wire. bench/ has no case for it; docs/compression.md says what it costs.
std::optional<std::string_view> Deflater::compress(std::string_view message, std::string& storage) {
    if (message.empty() || message.size() < settings_.min_size || message.size() > UINT_MAX / 2) return std::nullopt;
    if (!start()) return std::nullopt;
    // Room for a result that is one byte shorter than the message, and for the byte by which zlib shows that it had
    // room enough.
    const std::size_t room = message.size() + kTail;
    if (storage.size() < room) storage.resize(room);
    z_stream_s& stream = *stream_;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
    stream.avail_in = static_cast<uInt>(message.size());
    stream.next_out = reinterpret_cast<Bytef*>(storage.data());
    stream.avail_out = static_cast<uInt>(room);
    if (deflate(&stream, Z_SYNC_FLUSH) != Z_OK || stream.avail_out == 0) {
        forget();  // what it has seen of this message, the peer won't
        return std::nullopt;
    }
    return std::string_view(storage.data(), room - stream.avail_out - kTail);
}

}  // namespace weft::websocket
