#include "proxy/telemetry/start_times.h"

#include <algorithm>

namespace rouse::proxy {

void StartTimes::Observe(Duration start) {
  kept_[seen_ % kKept] = start;
  ++seen_;
}

std::optional<Duration> StartTimes::Median() const {
  const size_t count = std::min(seen_, kKept);
  if (count == 0) return std::nullopt;
  std::array<Duration, kKept> sorted = kept_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(count));
  return *middle;
}

std::chrono::seconds RetryAfter(const StartTimes& times, TimePoint waiting_since, TimePoint now) {
  using std::chrono::seconds;
  constexpr seconds kLeast(1);
  constexpr seconds kMost(60);
  const std::optional<Duration> usual = times.Median();
  if (!usual) return kLeast;
  Duration left = *usual;
  if (waiting_since != kNever && waiting_since < now) left -= now - waiting_since;
  return std::clamp(std::chrono::ceil<seconds>(left), kLeast, kMost);
}

}  // namespace rouse::proxy
