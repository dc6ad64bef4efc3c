// The inner loop of reading and writing JSON strings: how far text goes without anything that needs a closer look.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace weft {

#ifdef __SSE2__
inline constexpr std::size_t kWide = 16;  // bytes that plain_run reads at once
#else
inline constexpr std::size_t kWide = 8;
#endif

/// What JSON strings can't hold as it is (RFC 8259 §7).
constexpr bool must_be_escaped(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

#ifdef __SSE2__
using Block = __m128i;  // kWide bytes in a register

inline Block block_of(const char* text) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
}
inline Block block_of(std::uint64_t first, std::uint64_t last) noexcept {
    return _mm_set_epi64x(static_cast<long long>(last), static_cast<long long>(first));
}
inline Block block_of(std::uint32_t first, std::uint32_t last) noexcept {
    return _mm_set1_epi64x(static_cast<long long>(std::uint64_t{last} << 32 | first));
}
#else
using Block = std::uint64_t;

inline Block block_of(const char* text) noexcept {
    Block bytes;
    std::memcpy(&bytes, text, sizeof bytes);
    return bytes;
}
inline Block block_of(std::uint32_t first, std::uint32_t last) noexcept {
    return std::uint64_t{last} << 32 | first;
}
#endif

/// The index of the first of the block's bytes that is '"', '\\' or a control character, or kWide if there is none.
/// Without SSE2 the index may be too low, even 0, but never too high.
inline std::size_t plain_size(Block bytes) noexcept {
#ifdef __SSE2__
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    const auto stops = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)));
    return static_cast<std::size_t>(std::countr_zero(stops | 1U << kWide));
#else
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    constexpr std::uint64_t kHighs = 0x8080808080808080;
    // A byte is zero, or below 0x20, where subtracting borrows into its high bit. A borrow may spill into the next byte
    // and report a stop there that is none.
    const auto zeros = [](std::uint64_t word) { return (word - kOnes) & ~word & kHighs; };
    const std::uint64_t control = (bytes - kOnes * 0x20) & ~bytes & kHighs;
    return (zeros(bytes ^ kOnes * '"') | zeros(bytes ^ kOnes * '\\') | control) == 0 ? kWide : 0;
#endif
}

/// plain_size() of the kWide bytes at `text`. Sets `ascii` to false if a byte is above 0x7f, be it behind a stop: at
/// worst a text's UTF-8 is checked without need.
inline std::size_t plain_block(const char* text, bool& ascii) noexcept {
    const Block bytes = block_of(text);
#ifdef __SSE2__
    ascii &= _mm_movemask_epi8(bytes) == 0;
#else
    ascii &= (bytes & 0x8080808080808080) == 0;
#endif
    return plain_size(bytes);
}

/// The length of the beginning of `text` that holds no such byte, as far as plain_block tells: from blocks that begin
/// below `wide_end`, behind which kWide - 1 bytes must be readable. The caller looks at what is there by itself.
inline std::size_t plain_run(const char* text, const char* wide_end, bool& ascii) noexcept {
    const char* at = text;
    while (at < wide_end) {
        const std::size_t plain = plain_block(at, ascii);
        at += plain;
        if (plain < kWide) break;
    }
    return static_cast<std::size_t>(at - text);
}

/// Copies a text of one to two words by its two ends, which may overlap; says whether all of it is plain.
template <class Word>
bool copy_ends(const char* text, std::size_t size, char* out) noexcept {
    Word first;
    Word last;
    std::memcpy(&first, text, sizeof first);
    std::memcpy(&last, text + size - sizeof last, sizeof last);
    std::memcpy(out, &first, sizeof first);
    std::memcpy(out + size - sizeof last, &last, sizeof last);
    return plain_size(block_of(first, last)) == kWide;
}

/// Copies a text up to its first byte that must be escaped, or to one before that, and returns how many bytes that
/// are: `size` only if all of it is plain. Reads no more than the text, and may write as much: `out` has room for that.
inline std::size_t copy_plain(const char* text, std::size_t size, char* out) noexcept {
    if (size >= kWide) {
        const std::size_t last = size - kWide;
        for (std::size_t at = 0;; at = at + kWide < last ? at + kWide : last) {
            const Block bytes = block_of(text + at);
            std::memcpy(out + at, &bytes, sizeof bytes);
            const std::size_t plain = plain_size(bytes);
            if (plain < kWide) return at + plain;
            if (at == last) return size;
        }
    }
#ifdef __SSE2__
    if (size >= sizeof(std::uint64_t) && copy_ends<std::uint64_t>(text, size, out)) return size;
    const bool small = size < sizeof(std::uint64_t);
#else
    constexpr bool small = true;
#endif
    if (small && size >= sizeof(std::uint32_t) && copy_ends<std::uint32_t>(text, size, out)) return size;
    std::size_t at = 0;
    while (at < size && !must_be_escaped(text[at])) {
        out[at] = text[at];
        ++at;
    }
    return at;
}

}  // namespace weft
