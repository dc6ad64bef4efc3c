#include "bench/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace weft::bench {
namespace {

constexpr double kQuantiles[] = {0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};

// The nearest-rank definition, on all values.
std::uint64_t exact(std::vector<std::uint64_t> values, double quantile) {
    std::sort(values.begin(), values.end());
    const auto rank = static_cast<std::size_t>(std::ceil(quantile * static_cast<double>(values.size())));
    return values[std::max<std::size_t>(rank, 1) - 1];
}

void expect_close(const std::vector<std::uint64_t>& values) {
    Histogram histogram;
    for (const std::uint64_t value : values) histogram.record(value);
    for (const double quantile : kQuantiles) {
        const auto want = static_cast<double>(exact(values, quantile));
        EXPECT_NEAR(static_cast<double>(histogram.at(quantile)), want, want * 0.008) << "quantile " << quantile;
    }
    EXPECT_EQ(histogram.count(), values.size());
    EXPECT_EQ(histogram.max(), *std::max_element(values.begin(), values.end()));
}

TEST(Histogram, HasNothingToSayWithoutRecords) {
    const Histogram histogram;
    EXPECT_EQ(histogram.count(), 0U);
    EXPECT_EQ(histogram.at(0.5), 0U);
    EXPECT_EQ(histogram.max(), 0U);
}

TEST(Histogram, IsExactBelow128) {
    Histogram histogram;
    for (std::uint64_t value = 0; value < 128; ++value) histogram.record(value);
    for (std::uint64_t rank = 1; rank <= 128; ++rank) {
        EXPECT_EQ(histogram.at(static_cast<double>(rank) / 128), rank - 1);
    }
}

TEST(Histogram, IsWithin0Point8PercentOfEverySingleValue) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 100'000; ++i) {
        const std::uint64_t value = random() >> (random() % 64);
        Histogram histogram;
        histogram.record(value / 2);  // so that the maximum doesn't bound what is asked
        histogram.record(value);
        histogram.record(value);
        histogram.record(value == UINT64_MAX ? value : value + value / 2 >= value ? value + value / 2 : UINT64_MAX);
        ASSERT_NEAR(static_cast<double>(histogram.at(0.5)), static_cast<double>(value),
                    static_cast<double>(value) * 0.008);
    }
}

TEST(Histogram, AgreesWithExactPercentilesOfManyShapes) {
    std::mt19937_64 random(2);
    std::vector<std::uint64_t> uniform(10'000);
    for (auto& value : uniform) value = random() % 5'000'000;
    expect_close(uniform);

    std::vector<std::uint64_t> tailed(10'000);
    std::lognormal_distribution<double> lognormal(12, 2);
    for (auto& value : tailed) value = static_cast<std::uint64_t>(lognormal(random));
    expect_close(tailed);

    std::vector<std::uint64_t> stalled(1000, 100'000);
    for (std::size_t i = 0; i < 11; ++i) stalled[i * 90] = 400'000'000;  // 1.1 %: p99 must show it, p90 must not
    expect_close(stalled);

    expect_close({7});
    expect_close({1, 1'000'000'000});
}

TEST(Histogram, TakesTheGreatestValues) {
    Histogram histogram;
    histogram.record(UINT64_MAX);
    histogram.record(UINT64_MAX - 1);
    EXPECT_EQ(histogram.max(), UINT64_MAX);
    EXPECT_GT(histogram.at(1), UINT64_MAX - (UINT64_MAX >> 7));
}

}  // namespace
}  // namespace weft::bench
