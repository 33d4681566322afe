#include "autoscaler/demand/window.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace rouse::autoscaler {
namespace {

/// Before every bucket, and far enough from the limit to subtract from.
constexpr int64_t kUnwritten = INT64_MIN / 4;

/// The least weight of the newest bucket, and the share of all weight that the span shall hold.
constexpr double kWeightMin = 0.2;
constexpr double kWeightOutside = 1 - 0.9999;

int64_t BucketsIn(Duration span, Duration granularity) {
  return (span + granularity - Duration(1)) / granularity;
}

int64_t Floor(Duration time, Duration granularity) {
  const int64_t quotient = time / granularity;
  return time % granularity < Duration::zero() ? quotient - 1 : quotient;
}

double RoundToSixDecimals(double value) { return std::round(value * 1e6) / 1e6; }

}  // namespace

Window::Window(Duration span, Duration granularity)
    : granularity_(granularity),
      sums_(static_cast<size_t>(BucketsIn(span, granularity))),
      first_(kUnwritten),
      last_(kUnwritten) {
  CHECK(granularity > Duration::zero() && !sums_.empty());
}

void Window::Record(TimePoint at, double value) {
  const int64_t bucket = BucketOf(at);
  if (bucket + size() <= last_) return;
  if (first_ == kUnwritten || bucket < first_) first_ = bucket;
  if (bucket > last_) {
    if (bucket - last_ >= size()) {
      first_ = bucket;
      std::fill(sums_.begin(), sums_.end(), 0);
    } else {
      for (int64_t skipped = last_ + 1; skipped <= bucket; ++skipped) SumOf(skipped) = 0;
    }
    last_ = bucket;
  }
  SumOf(bucket) += value;
}

double Window::Average(TimePoint now) const {
  if (last_ == kUnwritten) return 0;
  const int64_t stale = std::max<int64_t>(0, BucketOf(now) - last_);
  if (stale >= size()) return 0;
  double sum = 0;
  for (int64_t age = 0; age < size() - stale; ++age) sum += SumOf(last_ - age);
  const int64_t counted = std::min(last_ - first_ + 1, size() - stale);
  return RoundToSixDecimals(sum / static_cast<double>(counted));
}

double Window::WeightedAverage(TimePoint now) const {
  if (last_ == kUnwritten) return 0;
  const int64_t stale = std::max<int64_t>(0, BucketOf(now) - last_);
  if (stale >= size()) return 0;
  const double share =
      std::max(kWeightMin, 1 - std::pow(kWeightOutside, 1 / static_cast<double>(size())));
  double weight = share * std::pow(1 - share, static_cast<double>(stale));
  double sum = 0;
  for (int64_t age = 0; age < size() - stale; ++age, weight *= 1 - share) {
    sum += SumOf(last_ - age) * weight;
  }
  return sum;
}

bool Window::IsEmpty(TimePoint now) const { return BucketOf(now) - last_ > size(); }

void Window::Resize(Duration span, TimePoint now) {
  const int64_t wanted = BucketsIn(span, granularity_);
  CHECK(wanted > 0);
  if (wanted == size()) return;
  const int64_t before = size();
  std::vector<double> sums(static_cast<size_t>(wanted));
  if (BucketOf(now) - last_ >= before) {
    first_ = last_ = kUnwritten;
  } else {
    for (int64_t age = 0; age < std::min(wanted, before); ++age) {
      const int64_t bucket = last_ - age;
      sums[static_cast<size_t>(((bucket % wanted) + wanted) % wanted)] = SumOf(bucket);
    }
    // What lay before the old span is unknown, so the mean may not count it.
    first_ = std::max(first_, last_ - (before - 1));
  }
  sums_ = std::move(sums);
}

int64_t Window::BucketOf(TimePoint at) const { return Floor(at.time_since_epoch(), granularity_); }

double& Window::SumOf(int64_t bucket) {
  return sums_[static_cast<size_t>(((bucket % size()) + size()) % size())];
}

double Window::SumOf(int64_t bucket) const {
  return sums_[static_cast<size_t>(((bucket % size()) + size()) % size())];
}

MaxWindow::MaxWindow(Duration span, Duration granularity)
    : span_(span),
      granularity_(granularity),
      buckets_(std::max<int64_t>(1, BucketsIn(span, granularity))) {}

int MaxWindow::Record(TimePoint now, int value) {
  const int64_t bucket = Floor(now.time_since_epoch(), granularity_);
  while (!peaks_.empty() && peaks_.back().value <= value) peaks_.pop_back();
  peaks_.push_back({bucket, value});
  while (bucket - peaks_.front().bucket >= buckets_) peaks_.pop_front();
  return peaks_.front().value;
}

}  // namespace rouse::autoscaler
