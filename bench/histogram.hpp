// A log-linear histogram of latencies: 128 buckets for every power of two, so a quantile is off by less than 0.8 %.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace weft::bench {

class Histogram {
public:
    /// Nanoseconds, any value. Costs one count of leading zeros and one increment; never allocates.
    void record(std::uint64_t value) noexcept {
        ++counts_[index_of(value)];
        ++count_;
        if (value > max_) max_ = value;
    }

    /// The value below which `quantile` (0 to 1) of the records lie: the middle of its bucket; 0 without records.
    [[nodiscard]] std::uint64_t at(double quantile) const noexcept;
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] std::uint64_t max() const noexcept { return max_; }

private:
    static constexpr unsigned kSubBits = 7;
    static constexpr std::uint64_t kSub = 1U << kSubBits;
    static constexpr std::size_t kBuckets = (64 - kSubBits + 1) * kSub;

    // Values below kSub have a bucket each; above, the bit length chooses a row and the next kSubBits bits a bucket.
    static std::size_t index_of(std::uint64_t value) noexcept {
        if (value < kSub) return value;
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
        return (shift + 1) * kSub + ((value >> shift) - kSub);
    }
    static std::uint64_t middle_of(std::size_t index) noexcept;

    std::array<std::uint64_t, kBuckets> counts_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace weft::bench
