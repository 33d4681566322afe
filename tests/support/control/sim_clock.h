#pragma once
// What:  SimClock, time that moves only when told.
// Owner: one per test, shared by every simulated part of it.
// Never: goes back.

#include <algorithm>

#include "common/base/clock.h"

namespace rouse {

class SimClock final : public Clock {
 public:
  /// Starts an hour after the beginning of time, so that a test may subtract.
  SimClock() : now_(std::chrono::hours(1)) {}

  [[nodiscard]] TimePoint now() const override { return now_; }
  /// Runs with now(); starts at 2026-01-01T00:00:00Z.
  [[nodiscard]] WallTime wall() const override {
    constexpr auto kStart = std::chrono::seconds(1767225600) - std::chrono::hours(1);
    const auto since = kStart + now_.time_since_epoch();
    return WallTime(std::chrono::duration_cast<WallTime::duration>(since));
  }

  void Advance(Duration by) { now_ += std::max(by, Duration::zero()); }
  /// Moves to `when`, unless that has passed.
  void AdvanceTo(TimePoint when) { now_ = std::max(now_, when); }

 private:
  TimePoint now_;
};

}  // namespace rouse
