// Metrics on their way to Prometheus's text.
#pragma once

#include <prometheus/text_serializer.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "call/latency.hpp"
#include "node_status.hpp"

namespace weft {

class Families {
public:
    void gauge(const char* name, const char* help, std::uint64_t value) { one(name, help, value, false); }
    void counter(const char* name, const char* help, std::uint64_t value) { one(name, help, value, true); }

    /// Valid until the next one is added.
    prometheus::MetricFamily& add(const char* name, const char* help, bool counts = false) {
        prometheus::MetricFamily& family = families_.emplace_back();
        family.name = std::string("weftd_") + name;
        family.help = help;
        family.type = counts ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
        return family;
    }
    static void value(prometheus::MetricFamily& family, std::uint64_t value,
                      std::vector<prometheus::ClientMetric::Label> labels = {}) {
        prometheus::ClientMetric& metric = family.metric.emplace_back();
        metric.label = std::move(labels);
        const bool counts = family.type == prometheus::MetricType::Counter;
        (counts ? metric.counter.value : metric.gauge.value) = static_cast<double>(value);
    }
    [[nodiscard]] std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

    /// In seconds, cumulative, as Prometheus has it.
    static void latency(prometheus::MetricFamily& family, const Latency& latency,
                        std::vector<prometheus::ClientMetric::Label> labels = {}) {
        family.type = prometheus::MetricType::Histogram;
        prometheus::ClientMetric& metric = family.metric.emplace_back();
        metric.label = std::move(labels);
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < latency.counts.size(); ++i) {
            sum += latency.counts[i];
            const bool last = i == Latency::kBounds.size();
            metric.histogram.bucket.push_back(
                {sum, last ? std::numeric_limits<double>::infinity() : Latency::kBounds[i] / 1e3});
        }
        metric.histogram.sample_count = sum;
        metric.histogram.sample_sum = static_cast<double>(latency.sum_ms) / 1e3;
    }

private:
    void one(const char* name, const char* help, std::uint64_t number, bool counts) {
        value(add(name, help, counts), number);
    }
    std::vector<prometheus::MetricFamily> families_;
};

/// What is to be told of hooks and services; nothing where there are none.
void add_back_ends(Families& all, const NodeStatus& status);

}  // namespace weft
