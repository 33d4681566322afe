#pragma once
// What:      time as a value: TimePoint and Duration (monotonic, nanoseconds), WallTime, and the
//            Clock that hands them out.
// Owner:     one SteadyClock, built in main; tests build a SimClock. Passed by reference, any
//            thread.
// Invariant: now() never goes back. Pure code takes `now` as an argument and sees no Clock.
// Never:     used for timeouts: wall(). It is for logs, dates, certificates and Retry-After only.

#include <chrono>

namespace rouse {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::system_clock::time_point;

/// A deadline that never comes.
inline constexpr TimePoint kNever = TimePoint::max();

/// `now + wait`, or kNever where the sum would overflow or `wait` is Duration::max().
[[nodiscard]] TimePoint Later(TimePoint now, Duration wait);

/// Whole milliseconds of a duration, towards zero; for logs, JSON and metrics.
[[nodiscard]] inline int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

/// The only reader of real time.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] WallTime wall() const override;
};

}  // namespace rouse
