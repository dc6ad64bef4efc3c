#include "limit/shared_rates.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>

namespace weft {

namespace {

// A word: 20 bits of tag, 44 bits of time in ticks. Time comes round after 198 days, so it is compared within half of
// that; what a word could not have reached by itself (a key that was not seen for 99 days, a rate that was changed) is
// cut down to what it could.
constexpr unsigned kTimeBits = 44;
constexpr std::uint64_t kTimeMask = (std::uint64_t{1} << kTimeBits) - 1;
constexpr std::uint64_t kHalf = std::uint64_t{1} << (kTimeBits - 1);
constexpr std::uint64_t kTicksPerMs = 1024;
constexpr std::uint64_t kMostTolerance = kHalf / 2;  // ticks: 49 days of burst
constexpr int kTries = 64;  // of a compare-exchange that others win; then let it pass rather than spin
constexpr std::size_t kLine = 64;

std::uint64_t tag_of(SharedRates::Key key) noexcept {
    return key << kTimeBits;
}

/// How far a word's time is ahead of `now`, in ticks; 0 when it has passed.
std::uint64_t debt_of(std::uint64_t word, std::uint64_t now) noexcept {
    if (word == 0) return 0;  // never used
    const std::uint64_t ahead = (word - now) & kTimeMask;
    return ahead < kHalf ? ahead : 0;
}

}  // namespace

SharedRates* SharedRates::make(std::span<std::byte> memory, const SipKey& secret) noexcept {
    void* start = memory.data();
    std::size_t left = memory.size();
    constexpr std::size_t kHead = (sizeof(SharedRates) + kLine - 1) / kLine * kLine;
    if (std::align(kLine, kHead + kWays * sizeof(Word), start, left) == nullptr) return nullptr;
    const std::size_t sets = (left - kHead) / (kWays * sizeof(Word));
    auto* words = reinterpret_cast<Word*>(static_cast<std::byte*>(start) + kHead);
    for (std::size_t i = 0; i < sets * kWays; ++i) new (words + i) Word(0);
    return new (start) SharedRates(sets, kHead, secret);
}

SharedRates::Word* SharedRates::set_of(Key key) noexcept {
    // The upper half chooses the set, the lowest bits are the tag. The upper half of the product maps 32 bits to the
    // sets, evenly and without a division.
    const std::uint64_t set = (key >> 32) * sets_ >> 32;
    return reinterpret_cast<Word*>(reinterpret_cast<std::byte*>(this) + offset_) + set * kWays;
}

SharedRates::Key SharedRates::key(Kind kind, std::string_view name) const noexcept {
    // The kind goes into the secret, so that the name needs no copy.
    const SipKey secret{secret_[0] ^ static_cast<std::uint64_t>(kind), secret_[1]};
    return std::max<Key>(siphash(secret, name), 1);
}

std::chrono::milliseconds SharedRates::take(Key key, const Rate& rate, Instant now) noexcept {
    if (!rate.limited()) return std::chrono::milliseconds{0};
    const double per_message = 1000.0 * kTicksPerMs / std::min(rate.per_second, kMaxPerSecond);
    const auto step = static_cast<std::uint64_t>(std::llround(std::min<double>(per_message, kMostTolerance)));
    const std::uint64_t tolerance =
        static_cast<std::uint64_t>(std::min(per_message * rate.burst, static_cast<double>(kMostTolerance)));
    const std::uint64_t time = static_cast<std::uint64_t>(now.time_since_epoch().count()) * kTicksPerMs & kTimeMask;
    Word* const set = set_of(key);

    for (int tries = 0; tries < kTries; ++tries) {
        Word* word = nullptr;
        std::uint64_t seen = 0;
        std::uint64_t debt = 0;
        std::uint64_t least = kHalf;
        bool own = false;
        for (std::size_t way = 0; way < kWays; ++way) {
            const std::uint64_t value = set[way].load(std::memory_order_relaxed);
            const bool match = value != 0 && (value ^ tag_of(key)) >> kTimeBits == 0;
            const std::uint64_t owed = debt_of(value, time);
            if (!match && owed >= least) continue;
            word = &set[way];
            seen = value;
            own = match;
            debt = match ? std::min(owed, tolerance + step) : 0;
            if (match) break;
            least = owed;
        }
        if (debt > tolerance) {
            const std::uint64_t ms = (debt - tolerance + kTicksPerMs - 1) / kTicksPerMs;
            return std::chrono::milliseconds{static_cast<std::int64_t>(ms)};
        }
        const std::uint64_t next = tag_of(key) | ((time + debt + step) & kTimeMask);
        if (!word->compare_exchange_weak(seen, next, std::memory_order_relaxed)) continue;
        if (!own && least > 0) forgotten_.fetch_add(1, std::memory_order_relaxed);
        return std::chrono::milliseconds{0};
    }
    return std::chrono::milliseconds{0};
}

}  // namespace weft
