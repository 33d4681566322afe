#pragma once
// What:      StartTimes, how long a workload takes to start, as its parked exchanges saw it; for
//            Retry-After.
// Owner:     Workload. One shard.
// Limits:    kKept observations.

#include <array>
#include <cstddef>
#include <optional>

#include "common/base/clock.h"

namespace rouse::proxy {

class StartTimes {
 public:
  static constexpr size_t kKept = 16;

  /// From the first parked exchange to the first slot of a cold start.
  void Observe(Duration start);
  /// The median; nullopt where none has been seen.
  [[nodiscard]] std::optional<Duration> Median() const;

 private:
  std::array<Duration, kKept> kept_{};
  size_t seen_ = 0;
};

/// What to tell a refused client: what remains of a usual start, at least 1 s, at most 60 s.
/// `waiting_since` is when the running cold start began; kNever where none runs.
[[nodiscard]] std::chrono::seconds RetryAfter(const StartTimes& times, TimePoint waiting_since,
                                              TimePoint now);

}  // namespace rouse::proxy
