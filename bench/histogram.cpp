#include "histogram.hpp"

#include <algorithm>
#include <cmath>

namespace weft::bench {

std::uint64_t Histogram::middle_of(std::size_t index) noexcept {
    if (index < kSub) return index;
    const auto shift = static_cast<unsigned>(index / kSub - 1);
    const std::uint64_t low = (kSub + index % kSub) << shift;
    return low + ((std::uint64_t{1} << shift) >> 1);
}

std::uint64_t Histogram::at(double quantile) const noexcept {
    if (count_ == 0) return 0;
    const auto rank =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(count_))));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        seen += counts_[i];
        if (seen >= rank) return std::min(middle_of(i), max_);
    }
    return max_;
}

}  // namespace weft::bench
