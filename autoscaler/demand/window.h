#pragma once
// What:      Window, a ring of time buckets with the average of what was recorded in its span;
//            values of one bucket add up. MaxWindow, the largest value of its span.
// Owner:     demand_store (Window), decision's state (MaxWindow). Pure: takes `now`; control
//            thread.
// Limits:    one double per bucket, span / granularity buckets.
// Invariant: the arithmetic is Knative's (aggregation/bucketing), to six decimals.

#include <cstdint>
#include <deque>
#include <vector>

#include "common/base/clock.h"

namespace rouse::autoscaler {

class Window {
 public:
  explicit Window(Duration span, Duration granularity = std::chrono::seconds(1));

  /// Adds `value` to the bucket of `at`; ignored where that has left the window.
  void Record(TimePoint at, double value);

  /// The mean over the buckets from the first written one on. Buckets of the span after the last
  /// written one are not counted, so a reading between two reports is not diluted. 0 once the span
  /// has passed.
  [[nodiscard]] double Average(TimePoint now) const;

  /// Weights fall by a constant factor per bucket into the past, such that the span holds 99.99 %
  /// of them.
  [[nodiscard]] double WeightedAverage(TimePoint now) const;

  /// True where nothing was recorded within the span.
  [[nodiscard]] bool IsEmpty(TimePoint now) const;

  /// Keeps the newest buckets that fit.
  void Resize(Duration span, TimePoint now);

  /// True where the bucket of `at`, or a later one, has been written.
  [[nodiscard]] bool Reaches(TimePoint at) const { return last_ >= BucketOf(at); }

  [[nodiscard]] size_t buckets() const { return sums_.size(); }

 private:
  [[nodiscard]] int64_t BucketOf(TimePoint at) const;
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(sums_.size()); }
  [[nodiscard]] double& SumOf(int64_t bucket);
  [[nodiscard]] double SumOf(int64_t bucket) const;

  Duration granularity_;
  std::vector<double> sums_;  ///< bucket b is at b modulo size
  int64_t first_;             ///< first written bucket since the ring was last empty
  int64_t last_;              ///< last written bucket
};

class MaxWindow {
 public:
  MaxWindow() = default;
  /// A span of zero keeps only the newest bucket.
  explicit MaxWindow(Duration span, Duration granularity);

  /// Records and returns the largest value of the span that ends at `now`.
  [[nodiscard]] int Record(TimePoint now, int value);
  [[nodiscard]] Duration span() const { return span_; }

 private:
  struct Peak {
    int64_t bucket;
    int value;
  };
  Duration span_ = Duration::zero();
  Duration granularity_ = std::chrono::seconds(1);
  int64_t buckets_ = 1;
  std::deque<Peak> peaks_;  ///< values fall from front to back; the front is the answer
};

}  // namespace rouse::autoscaler
