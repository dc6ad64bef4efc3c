// What every publication carries: who published it, which one it is, and when it was sent.
//
// The text form is 34 characters of ~, W and a..p (four bits each): it needs no escaping in JSON, is found by its
// marker in whatever envelope a server puts around it, and decodes without a branch per digit.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace weft::bench {

struct Stamp {
    std::uint32_t publisher;
    std::uint32_t number;   // 0, 1, 2, … per publisher
    std::uint64_t sent_at;  // now_ns() when it was handed to the socket
};

/// The publisher of probes, which only find out whether a subscription works; no ledger counts them.
inline constexpr std::uint32_t kProbe = 0xFFFFFFFF;

inline constexpr std::string_view kStampMarker = "~W";
inline constexpr std::size_t kStampText = 2 + 8 + 8 + 16;

/// Writes kStampText characters to `out`, which has the room.
void write_stamp(char* out, const Stamp& stamp) noexcept;

/// `text` points to kStampText readable bytes that start with the marker.
Stamp read_stamp(const char* text) noexcept;

/// Finds the stamp in a server's message. The envelope hardly ever changes its size, so the place where the last stamp
/// was found is looked at first; one finder per thread.
class StampFinder {
public:
    /// nullptr when the message has none.
    const char* find(std::span<const char> message) noexcept {
        if (last_ + kStampText <= message.size() && std::memcmp(message.data() + last_, kStampMarker.data(), 2) == 0) {
            return message.data() + last_;
        }
        return search(message);
    }

private:
    const char* search(std::span<const char> message) noexcept;
    std::size_t last_ = 0;
};

}  // namespace weft::bench
