#pragma once
// What:      Counter, Gauge, Histogram as plain numbers that one thread writes; MetricPage, the
//            Prometheus text page (version 0.0.4) built from merged sets.
// Owner:     each shard (or the control thread) owns its numbers; the page is built from copies of
//            them.
// Limits:    label sets come from bounded sets: workload, code class, error kind, side; never path
//            or client.
// Never:     atomic, shared or locked: sum copies instead.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace rouse::obs {

struct Counter {
  uint64_t value = 0;
  void Add(uint64_t n = 1) { value += n; }
  void Merge(const Counter& other) { value += other.value; }
};

struct Gauge {
  double value = 0;
  void Set(double v) { value = v; }
  void Add(double v) { value += v; }
  void Merge(const Gauge& other) { value += other.value; }
};

/// Durations in buckets of 1, 2.5 and 5 times each power of ten from 100 us to 100 s, and infinity.
class Histogram {
 public:
  static constexpr size_t kBuckets = 20;
  /// Upper bounds in seconds; the last is infinity.
  [[nodiscard]] static std::span<const double, kBuckets> bounds();
  void Observe(Duration value);
  void Merge(const Histogram& other);
  /// Not cumulative; one count per bucket.
  [[nodiscard]] const std::array<uint64_t, kBuckets>& counts() const { return counts_; }
  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] double sum_seconds() const { return sum_seconds_; }
  /// The value below which `share` (0..1) of the observations lie, by interpolation; 0 where empty.
  [[nodiscard]] Duration Quantile(double share) const;

 private:
  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  double sum_seconds_ = 0;
};

using Labels = std::vector<std::pair<std::string, std::string>>;

/// One program's metrics page. A family is declared where its first sample is added; a sample added
/// twice with the same labels is summed.
class MetricPage {
 public:
  MetricPage();
  ~MetricPage();
  void Add(std::string_view name, std::string_view help, const Labels& labels,
           const Counter& value);
  void Add(std::string_view name, std::string_view help, const Labels& labels, const Gauge& value);
  void Add(std::string_view name, std::string_view help, const Labels& labels,
           const Histogram& value);
  /// Families in the order of their names.
  [[nodiscard]] std::string Text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace rouse::obs
