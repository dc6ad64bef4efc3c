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

/// Looks at kWide bytes: returns the index of the first that is '"', '\\' or a control character, or kWide if there is
/// none. Without SSE2 the index may be too low, even 0, but never too high. Sets `ascii` to false if a byte is above
/// 0x7f, be it behind a stop: at worst a text's UTF-8 is checked without need.
inline std::size_t plain_block(const char* text, bool& ascii) noexcept {
#ifdef __SSE2__
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    const auto stops = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)));
    ascii &= _mm_movemask_epi8(bytes) == 0;
    return static_cast<std::size_t>(std::countr_zero(stops | 1U << kWide));
#else
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    constexpr std::uint64_t kHighs = 0x8080808080808080;
    std::uint64_t bytes;
    std::memcpy(&bytes, text, sizeof bytes);
    ascii &= (bytes & kHighs) == 0;
    // A byte is zero, or below 0x20, where subtracting borrows into its high bit. A borrow may spill into the next byte
    // and report a stop there that is none.
    const auto zeros = [](std::uint64_t word) { return (word - kOnes) & ~word & kHighs; };
    const std::uint64_t control = (bytes - kOnes * 0x20) & ~bytes & kHighs;
    return (zeros(bytes ^ kOnes * '"') | zeros(bytes ^ kOnes * '\\') | control) == 0 ? kWide : 0;
#endif
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

}  // namespace weft
