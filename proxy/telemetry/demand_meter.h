#pragma once
// What:      DemandMeter: average concurrency and request count of one workload on one shard,
//            between two samples, as Knative's RequestStats computes them.
// Owner:     Workload. One shard.
// Invariant: time that goes back adds nothing; Sample resets the sums, never the concurrency.

#include <cstdint>

#include "common/base/clock.h"

namespace rouse::proxy {

struct DemandSample {
  double average_concurrency = 0;
  uint64_t request_count = 0;
  /// At the moment of the sample.
  uint32_t concurrency = 0;
};

class DemandMeter {
 public:
  explicit DemandMeter(TimePoint now) : changed_(now) {}

  void Enter(TimePoint now) {
    Integrate(now);
    ++concurrency_;
    ++request_count_;
  }
  void Leave(TimePoint now) {
    Integrate(now);
    --concurrency_;
  }
  [[nodiscard]] DemandSample Sample(TimePoint now);
  [[nodiscard]] uint32_t concurrency() const { return concurrency_; }

 private:
  void Integrate(TimePoint now) {
    if (now <= changed_) return;
    area_ += static_cast<double>((now - changed_).count()) * concurrency_;
    span_ += now - changed_;
    changed_ = now;
  }
  TimePoint changed_;
  Duration span_{};
  double area_ = 0;
  uint32_t concurrency_ = 0;
  uint64_t request_count_ = 0;
};

}  // namespace rouse::proxy
