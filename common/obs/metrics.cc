#include "common/obs/metrics.h"

#include <algorithm>
#include <limits>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "common/base/check.h"

namespace rouse::obs {
namespace {

constexpr std::array<double, Histogram::kBuckets> kBounds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025,
    0.005,  0.01,    0.025,  0.05,  0.1,
    0.25,   0.5,     1,      2.5,   5,
    10,     25,      50,     100.0, std::numeric_limits<double>::infinity()};

double Seconds(Duration value) { return std::chrono::duration<double>(value).count(); }

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

prometheus::ClientMetric::Histogram Export(const Histogram& histogram) {
  prometheus::ClientMetric::Histogram out;
  out.sample_count = histogram.count();
  out.sample_sum = histogram.sum_seconds();
  uint64_t below = 0;
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    below += histogram.counts()[i];
    out.bucket.push_back({below, kBounds[i]});
  }
  return out;
}

}  // namespace

std::span<const double, Histogram::kBuckets> Histogram::bounds() { return kBounds; }

void Histogram::Observe(Duration value) {
  const double seconds = Seconds(value);
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end() - 1, seconds);
  ++counts_[static_cast<size_t>(bucket - kBounds.begin())];
  ++count_;
  sum_seconds_ += seconds;
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_seconds_ += other.sum_seconds_;
}

Duration Histogram::Quantile(double share) const {
  if (count_ == 0) return Duration::zero();
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(count_);
  double below = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    const double in = static_cast<double>(counts_[i]);
    if (in == 0 || below + in < rank) {
      below += in;
      continue;
    }
    const double low = i == 0 ? 0 : kBounds[i - 1];
    if (i == kBuckets - 1) return FromSeconds(low);  // nothing is known above the last finite bound
    return FromSeconds(low + (kBounds[i] - low) * (rank - below) / in);
  }
  return FromSeconds(kBounds[kBuckets - 2]);
}

/// Families by name, and in each the samples by their labels.
struct MetricPage::Families {
  struct Family {
    std::string help;
    prometheus::MetricType type = prometheus::MetricType::Untyped;
    std::map<Labels, Counter> counters;
    std::map<Labels, Gauge> gauges;
    std::map<Labels, Histogram> histograms;
  };

  Family& Declare(std::string_view name, std::string_view help, prometheus::MetricType type) {
    const auto [at, added] = by_name.try_emplace(std::string(name));
    if (added) {
      at->second.help = help;
      at->second.type = type;
    }
    CHECK(at->second.type == type);
    return at->second;
  }

  std::map<std::string, Family> by_name;
};

MetricPage::MetricPage() : families_(std::make_unique<Families>()) {}
MetricPage::~MetricPage() = default;

void MetricPage::Add(std::string_view name, std::string_view help, const Labels& labels,
                     const Counter& value) {
  families_->Declare(name, help, prometheus::MetricType::Counter).counters[labels].Merge(value);
}

void MetricPage::Add(std::string_view name, std::string_view help, const Labels& labels,
                     const Gauge& value) {
  families_->Declare(name, help, prometheus::MetricType::Gauge).gauges[labels].Merge(value);
}

void MetricPage::Add(std::string_view name, std::string_view help, const Labels& labels,
                     const Histogram& value) {
  families_->Declare(name, help, prometheus::MetricType::Histogram).histograms[labels].Merge(value);
}

namespace {

prometheus::ClientMetric Labelled(const Labels& labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

}  // namespace

std::string MetricPage::Text() const {
  std::vector<prometheus::MetricFamily> out;
  for (const auto& [name, family] : families_->by_name) {
    prometheus::MetricFamily exported;
    exported.name = name;
    exported.help = family.help;
    exported.type = family.type;
    for (const auto& [labels, value] : family.counters) {
      exported.metric.push_back(Labelled(labels));
      exported.metric.back().counter.value = static_cast<double>(value.value);
    }
    for (const auto& [labels, value] : family.gauges) {
      exported.metric.push_back(Labelled(labels));
      exported.metric.back().gauge.value = value.value;
    }
    for (const auto& [labels, value] : family.histograms) {
      exported.metric.push_back(Labelled(labels));
      exported.metric.back().histogram = Export(value);
    }
    out.push_back(std::move(exported));
  }
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace rouse::obs
